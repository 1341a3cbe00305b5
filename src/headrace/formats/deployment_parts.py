"""The parts of a deployment file that say what a copy is made from: size, scale, limits, probes, tags, image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Final

from headrace.domain.deployment import (
    ACA,
    AZUREML,
    LOCAL,
    Deployment,
    FlowChoice,
    Probe,
    RequestLimits,
    Scale,
    Size,
    TargetName,
)
from headrace.domain.version import parse_version_name
from headrace.errors import UsageError
from headrace.formats.arms import parse_model, parse_variant
from headrace.formats.deployment_limits import CONTAINER, CPU_STEPS, LIMITS
from headrace.formats.deployment_settings import read_connections, read_environment
from headrace.formats.experiment_parts import adopt, refuse
from headrace.formats.flex import is_entry
from headrace.formats.paths import exists, is_file
from headrace.formats.shape import Block
from headrace.formats.traffic_parts import read_limited, read_share

COPY_KEYS: Final = (
    "flow", "variant", "model", "sample", "image", "size", "scale", "requests", "probes", "environment", "connections",
    "collect", "tags",
)  # fmt: skip
"""Keys of a whole file, for all of its deployments, and of one arm, for that one."""
SIZE_KEYS: Final = ("instance_type", "cpu", "memory_gib")
SCALE_KEYS: Final = ("min", "max", "requests_at_once", "cpu_percent")
REQUEST_KEYS: Final = ("timeout_s", "at_once")
PROBE_KEYS: Final = ("initial_delay_s", "period_s", "timeout_s", "successes", "failures")
IMAGE: Final = r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$"
"""An image by digest."""

OUR_TAGS: Final = "headrace"
"""What the names of our own tags begin with."""
_IMAGE = re.compile(IMAGE)
_MOST_TAGS = 40
_TAG_LENGTH = 256
_TAG = re.compile(r"[^<>%&\\?/\x00-\x1f]{1,256}")
_FIX_FLOW = "Correct the path; it is relative to the folder of the file, or name a version: triage@prod."


def first_copy(target: TargetName) -> Deployment:
    """A deployment of which a file says nothing yet."""
    probe = LIMITS[target].probe
    return Deployment(
        name="",
        arm="",
        flow=FlowChoice(source=""),
        size=CONTAINER if target == ACA else Size(),
        liveness=probe,
        readiness=probe,
    )


def read_copy(block: Block, start: Deployment, target: TargetName, file: Path) -> Deployment:
    """What a block says of a deployment, over what was said before.

    Args:
        block: A whole file, or an arm.
        start: What holds where the block says nothing.
        target: Where it is deployed to.
        file: The deployment file; paths are relative to its folder.
    """
    liveness, readiness = _read_probes(block, start, target)
    return replace(
        start,
        flow=_read_choice(block, start.flow, file),
        image=_read_image(block) or start.image,
        size=_read_size(block, start.size, target),
        scale=_read_scale(block, start.scale, target),
        limits=_read_limits(block, start.limits, target),
        liveness=liveness,
        readiness=readiness,
        settings=tuple(
            sorted(
                {
                    item.name: item
                    for item in (
                        *start.settings,
                        *read_connections(block, target),
                        *read_environment(block, target),
                    )
                }.values(),
                key=lambda item: item.name,
            )
        ),
        collect_share=_read_collect(block, start.collect_share, target),
        tags={**start.tags, **_read_tags(block)},
    )


def read_flow(block: Block, file: Path) -> str:
    """The flow at ``flow``: a path, or the name of a version; empty without one. F001 for what does not exist."""
    text = block.text("flow")
    if text is None:
        return ""
    target = file.parent / text
    if exists(target) or is_entry(target.name):
        return str(target)
    if parse_version_name(text) is None:
        block.findings.add("F001", block.at("flow"), f"{text} does not exist.", _FIX_FLOW)
    return text


def _read_choice(block: Block, start: FlowChoice, file: Path) -> FlowChoice:
    variant, model = start.variant, start.model
    if (text := block.text("variant")) is not None:
        try:
            variant = "${{{}.{}}}".format(*parse_variant(text))
        except UsageError as error:
            adopt(block.findings, error, block.at("variant"))
    if (text := block.text("model")) is not None:
        try:
            spec = parse_model(text)
            model = text.strip() if spec.connection == text.strip() else f"{spec.connection}/{spec.model}"
        except UsageError as error:
            adopt(block.findings, error, block.at("model"))
    sample = start.sample
    if (text := block.text("sample")) is not None:
        sample = str(file.parent / text)
        if not is_file(file.parent / text):
            fix = "Correct the path; it is relative to the folder of the file."
            block.findings.add("F001", block.at("sample"), f"{text} does not exist.", fix)
    return replace(
        start, source=read_flow(block, file) or start.source, variant=variant, model=model, sample=sample
    )


def _read_image(block: Block) -> str:
    text = block.text("image")
    if text is not None and not _IMAGE.fullmatch(text):
        what = "The image is not named by its digest, so what runs could change under its name."
        fix = "Write registry/name@sha256:…, as docker inspect and az acr manifest show it."
        block.findings.add("X107", block.at("image"), what, fix)
    return text or ""


def _read_size(block: Block, start: Size, target: TargetName) -> Size:
    size = block.block("size")
    size.check_keys(SIZE_KEYS, "A size", severity="error")
    if target == LOCAL:
        return start
    for key in ("cpu", "memory_gib") if target == AZUREML else ("instance_type",):
        if size.data.get(key) is not None:
            not_of_target(size, key, target)
    if target == AZUREML:
        return replace(start, instance_type=size.text("instance_type") or start.instance_type)
    cpu, memory = size.number("cpu"), size.number("memory_gib")
    if cpu is None and memory is None:
        return start
    cpu = memory / 2 if cpu is None and memory is not None else cpu
    memory = cpu * 2 if memory is None and cpu is not None else memory
    if cpu not in CPU_STEPS or memory != (cpu or 0) * 2:
        what = "Container Apps have no containers of this size."
        fix = "Write cpu in steps of 0.25 from 0.25 to 4, and twice as much memory_gib: 0.5 with 1, 4 with 8."
        block.findings.add("X103", block.at("size"), what, fix)
    return Size(cpu=cpu, memory_gib=memory)


def _read_scale(block: Block, start: Scale, target: TargetName) -> Scale:
    scale = block.block("scale")
    scale.check_keys(SCALE_KEYS, "A scale", severity="error")
    limits = LIMITS[target]
    fewest = read_count(scale, "min", start.minimum, low=0)
    given = scale.data.get("max") is not None
    most = read_count(scale, "max", max(start.maximum, fewest, 1) if "min" in scale else start.maximum, low=1)
    if fewest < limits.fewest_copies:
        what = f"{limits.called} always runs at least one copy."
        scale.findings.add("X103", scale.at("min"), what, "Write 1 or more, or deploy to Container Apps.")
    elif most < fewest and scale.data:
        what = f"min is {fewest}, above max, which is {most}."
        scale.findings.add("F005", scale.at("max" if given else "min"), what, "Lower min, or raise max.")
    if most > limits.most_copies and given:
        what = f"{limits.called} runs at most {limits.most_copies} copies of a deployment."
        scale.findings.add("X103", scale.at("max"), what, f"Write {limits.most_copies} or less.")
    at_once = read_count(scale, "requests_at_once", start.requests_at_once or 0, low=1)
    return Scale(
        minimum=fewest,
        maximum=max(most, fewest),
        requests_at_once=at_once or None,
        cpu_percent=read_count(scale, "cpu_percent", start.cpu_percent or 0, low=1, high=100) or None,
    )


def _read_limits(block: Block, start: RequestLimits, target: TargetName) -> RequestLimits:
    requests = block.block("requests")
    requests.check_keys(REQUEST_KEYS, "The limits of requests", severity="error")
    timeout_s = requests.number("timeout_s")
    longest = LIMITS[target].longest_timeout_s
    if timeout_s is not None and (timeout_s <= 0 or not isfinite(timeout_s)):
        refuse(requests, "timeout_s", "a number of seconds above 0")
    elif timeout_s is not None and longest is not None and timeout_s > longest:
        what = f"{LIMITS[target].called} gives up a request after {longest:g} seconds."
        requests.findings.add("X103", requests.at("timeout_s"), what, f"Write {longest:g} or less.")
    return RequestLimits(
        timeout_s=start.timeout_s if timeout_s is None else float(timeout_s),
        at_once=read_count(requests, "at_once", start.at_once, low=1),
    )


def _read_probes(block: Block, start: Deployment, target: TargetName) -> tuple[Probe, Probe]:
    probes = block.block("probes")
    probes.check_keys(("liveness", "readiness"), "The probes", severity="error")
    return (
        _read_probe(probes.block("liveness"), start.liveness, target),
        _read_probe(probes.block("readiness"), start.readiness, target),
    )


def _read_probe(probe: Block, start: Probe, target: TargetName) -> Probe:
    probe.check_keys(PROBE_KEYS, "A probe", severity="error")
    limits = LIMITS[target]
    found = Probe(
        initial_delay_s=read_count(probe, "initial_delay_s", start.initial_delay_s, low=0),
        period_s=read_count(probe, "period_s", start.period_s, low=1),
        timeout_s=read_count(probe, "timeout_s", start.timeout_s, low=1),
        successes=read_count(probe, "successes", start.successes, low=1),
        failures=read_count(probe, "failures", start.failures, low=1),
    )
    if probe.pointer[-1] == "liveness" and found.successes != 1:
        refuse(probe, "successes", "1: what answers once is alive")
    _check_most(probe, "failures", found.failures, limits.most_failures, limits.called)
    _check_most(probe, "initial_delay_s", found.initial_delay_s, limits.longest_delay_s, limits.called)
    return found


def _check_most(block: Block, key: str, value: int, most: int | None, called: str) -> None:
    if most is not None and value > most:
        block.findings.add("X103", block.at(key), f"{called} takes at most {most}.", f"Write {most} or less.")


def _read_collect(block: Block, start: float, target: TargetName) -> float:
    share = read_share(block, "collect", default=start)
    if share and target == ACA and block.data.get("collect") is not None:
        not_of_target(block, "collect", target)
    return share


def _read_tags(block: Block) -> Mapping[str, str]:
    tags = block.block("tags")
    found: dict[str, str] = {}
    for name in tags.data:
        text = tags.text(name)
        if not _TAG.fullmatch(name) or len(text or "") > _TAG_LENGTH:
            what = "Azure takes no tag of this name and length."
            fix = "A name has no <, >, %, &, \\, ? and /, and a value at most 256 characters."
            tags.findings.add("F005", tags.at(name), what, fix, at_key=True)
        elif name.lower().startswith(OUR_TAGS):
            what = f"Tags whose names begin with {OUR_TAGS} are set by headrace itself."
            tags.findings.add("F005", tags.at(name), what, "Choose another name.", at_key=True)
        else:
            found[name] = text or ""
    if len(found) > _MOST_TAGS:
        refuse(block, "tags", f"at most {_MOST_TAGS} tags, because Azure takes 50 with those of headrace")
    return found


def read_count(block: Block, key: str, default: int, *, low: int, high: int | None = None) -> int:
    """The whole number at ``key``; F005 for anything else, and for one out of its limits."""
    number = block.number(key)
    if number is None:
        return default
    if not isinstance(number, int) or number < low or (high is not None and number > high):
        wanted = (
            f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"
        )
        refuse(block, key, wanted)
        return default
    return number


def read_percent(block: Block, key: str, default: int) -> int:
    """The whole percent at ``key``, from 0 to 100; F005 for anything else."""
    number = read_limited(block, key, default=default, low=0, high=100, wanted="a whole number from 0 to 100")
    if number != int(number):
        refuse(block, key, "a whole number from 0 to 100")
    return int(number)


def not_of_target(block: Block, key: str, target: TargetName, fix: str | None = None) -> None:
    """Report X104: a target has no use for a key."""
    what = f"{LIMITS[target].called} has no use for {key}."
    fix = fix or f"Remove {key}; in an overlay, {key}: null takes it away."
    block.findings.add("X104", block.at(key), what, fix, at_key=True)
