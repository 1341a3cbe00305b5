"""Traffic files: how the requests of a served flow are split among arms, and how that is decided.

::

    name: triage                       # default: name of the folder; unique in a store
    flow: .                            # the served flow; or triage@prod
    experiment: experiment.yaml        # where arms below come from; or the name of an experiment
    unit: [{header: x-user-id}, {cookie: visitor}]   # or {field: user}, {session: chat_id}; the first that is there
    seed: triage-1                     # another one assigns anew
    baseline: zero_shot                # default: the first arm that answers
    holdout: 0.05                      # share of units that get the baseline and never take part
    namespace: {name: support, range: [0, 0.5]}      # tests in other ranges have other units
    target: [{header: x-country, in: [DE, FR]}]      # all of them; is, in, not_in, at_least, at_most, matches, exists
    force_header: x-arm                # a tester names an arm in it
    fall_back: true                    # the baseline answers where another arm fails
    arms:
      - {name: zero_shot, weight: 0.5}
      - {name: few_shot, weight: 0.5, variant: "${classify.few_shot}"}
      - {name: mini, shadow: 0.1, model: my_aoai/gpt-4o-mini}         # mirrored to, never answers
    ramp: [{after: 0s, coverage: 0.1}, {after: 1d, coverage: 1}]      # or coverage: 0.1
    metrics:                           # the first one decides
      - {name: helpful, from: thumbs, window: 10m, missing: 0, margin: 0.02}
      - {name: latency_ms, range: [0, 10000]}
    guardrails: [{metric: failures, max_ratio: 1.5}, {metric: latency_ms, margin: 300}]
    decision: {alpha: 0.05, min_units: 50, every: 30s}
    allocation: fixed                  # or {method: thompson, floor: 0.05, every: 1h}
    log: {share: 0.1, consent: {header: x-consent, is: "yes"}, redact: [text]}
    evaluators: [{builtin: f1, share: 0.5}, {name: tone, python: "checks.py:tone", max_usd: 2}]
    webhook: ${env:AB_WEBHOOK}

Like an experiment file it is ours: an unknown key is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from headrace.domain.access import is_loopback
from headrace.domain.traffic import Namespace, Traffic, TrafficArm, UnitSource
from headrace.domain.version import parse_version_name
from headrace.errors import DefinitionError, nearest
from headrace.formats.experiment import OfferedArms, load_arms
from headrace.formats.experiment_parts import refuse
from headrace.formats.paths import exists, is_folder
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.remote import SECRET_NAME
from headrace.formats.shape import Block, Findings, by_place, root_block
from headrace.formats.traffic_arms import FLOW_FIX, read_arms
from headrace.formats.traffic_metrics import read_guardrails, read_metrics
from headrace.formats.traffic_parts import read_flag, read_header, read_share, read_unit
from headrace.formats.traffic_rules import (
    read_allocation,
    read_conditions,
    read_decision,
    read_evaluators,
    read_log,
    read_ramp,
)

KEYS: Final = (
    "name", "flow", "experiment", "unit", "seed", "baseline", "coverage", "holdout", "namespace", "target",
    "force_header", "fall_back", "arms", "ramp", "metrics", "guardrails", "decision", "allocation", "log", "evaluators",
    "webhook", "$schema", "description",
)  # fmt: skip
_NOTES = frozenset({"$schema", "description"})
_NAME = re.compile(r"\w[\w.-]{0,99}")
_UNSENDABLE = re.compile(r"[^!-~]")
_VARIABLE = re.compile(r"\$\{env:[A-Za-z_]\w*\}")


def read_traffic(path: Path) -> Traffic:
    """Read a traffic file, or the ``traffic.yaml`` of a folder.

    Args:
        path: The file or its folder.

    Raises:
        DefinitionError: Everything that is wrong with the file, and with the arms of its experiment, at once.
    """
    file = path / "traffic.yaml" if is_folder(path) else path
    data, source_map, problems = read_yaml(read_text(file), str(file))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    traffic = _read(root, file) if root.data else None
    if findings.has_errors() or traffic is None:
        raise DefinitionError(*sorted(findings.problems, key=by_place))
    return traffic


def _read(root: Block, file: Path) -> Traffic:
    root.check_keys(KEYS, "A traffic file", severity="error")
    name = root.text("name") or file.resolve().parent.name
    if not _NAME.fullmatch(name):
        refuse(root, "name", "a word of letters, digits, _, . and -, at most 100 of them")
    experiment, offered = _read_experiment(root, file)
    arms = read_arms(root, file, offered)
    metrics = read_metrics(root)
    guardrails, metrics = read_guardrails(root, metrics)
    decision = read_decision(root)
    ramp = read_ramp(root)
    return Traffic(
        name=name,
        path=str(file),
        arms=arms,
        baseline=_read_baseline(root, arms),
        digest=_digest(root.data, arms, file.parent),
        flow=_read_flow(root, file, offered),
        units=_read_units(root),
        seed=root.text("seed") or name,
        coverage=read_share(root, "coverage", default=1.0),
        holdout=read_share(root, "holdout", default=0.0),
        namespace=_read_namespace(root),
        target=read_conditions(root, "target"),
        forced_by=read_header(root, "force_header"),
        falls_back=read_flag(root, "fall_back"),
        ramp=ramp,
        metrics=metrics,
        guardrails=guardrails,
        decision=decision,
        allocation=read_allocation(root, arms, metrics, decision),
        log=read_log(root),
        evaluators=read_evaluators(root, file),
        webhook=_read_webhook(root),
        experiment=experiment,
        source_map=root.findings.source_map,
    )


def _read_experiment(root: Block, file: Path) -> tuple[str, OfferedArms | None]:
    """Name of the experiment, and its arms where it is a file."""
    text = root.text("experiment")
    if text is None:
        return "", None
    target = file.parent / text
    if exists(target):
        try:
            offered = load_arms(target / "experiment.yaml" if is_folder(target) else target)
        except DefinitionError as error:
            root.findings.problems.extend(error.problems)
            return text, None
        return offered.name, offered
    if "/" in text or target.suffix in (".yaml", ".yml"):
        fix = "Correct the path; it is relative to the folder of the traffic file."
        root.findings.add("F001", root.at("experiment"), f"{text} does not exist.", fix)
    return text, None


def _read_baseline(root: Block, arms: tuple[TrafficArm, ...]) -> str:
    names = [arm.name for arm in arms if not arm.is_shadow]
    wanted = root.text("baseline")
    if wanted is None or not arms:
        return wanted or (names[0] if names else "")
    if wanted not in names:
        near = nearest(wanted, names)
        what = f"The baseline {wanted!r} is not among the arms that answer."
        fix = f'Did you mean "{near}"?' if near else f"They are: {', '.join(names)}."
        root.findings.add("V305", root.at("baseline"), what, fix)
    return wanted


def _read_flow(root: Block, file: Path, offered: OfferedArms | None) -> str:
    text = root.text("flow")
    if text is None:
        return offered.flow_path if offered is not None else ""
    target = file.parent / text
    if exists(target):
        return str(target)
    if parse_version_name(text) is None:
        root.findings.add("F001", root.at("flow"), f"{text} does not exist.", FLOW_FIX)
    return text


def _read_units(root: Block) -> tuple[UnitSource, ...]:
    value = root.data.get("unit")
    if value is None:
        return ()
    items = root.items("unit") if isinstance(value, list) else [(root.at("unit"), value)]
    found = (read_unit(pointer, item, root.findings) for pointer, item in items)
    return tuple(unit for unit in found if unit is not None)


def _read_namespace(root: Block) -> Namespace | None:
    if root.data.get("namespace") is None:
        return None
    block = root.block("namespace")
    block.check_keys(("name", "range"), "A namespace", severity="error")
    name = block.required_text("name", "The namespace") or ""
    ends = block.data.get("range")
    if ends is None:
        block.missing("range", "The namespace")
    elif not _is_range(ends):
        refuse(block, "range", "two numbers from 0 to 1, the smaller first")
    else:
        return Namespace(name=name, start=float(ends[0]), end=float(ends[1]))
    return None


def _is_range(ends: Any) -> bool:
    if not isinstance(ends, list) or len(ends) != 2:
        return False
    if any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
        return False
    return bool(0 <= ends[0] < ends[1] <= 1)


def _read_webhook(root: Block) -> str:
    text = root.text("webhook")
    if text is None or _VARIABLE.fullmatch(text):
        return text or ""
    try:
        parts = urlsplit(text)
        host = "" if _UNSENDABLE.search(text) or parts.port == 0 else parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        refuse(root, "webhook", "an address in ASCII that begins with https://, or ${env:NAME}")
    elif (
        parts.username
        or parts.password
        or any(SECRET_NAME.fullmatch(key) for key, _ in parse_qsl(parts.query))
    ):
        what = "The address of the webhook holds a key, which would be recorded with every revision."
        root.findings.add(
            "F022", root.at("webhook"), what, "Keep the address in a variable: webhook: ${env:NAME}."
        )
    return text


def _digest(said: Mapping[str, Any], arms: tuple[TrafficArm, ...], folder: Path) -> str:
    """SHA-256 over what the file says, with what an experiment says of its arms; the same wherever the files lie."""
    counted = {key: value for key, value in said.items() if key not in _NOTES}
    plain = [asdict(_unplaced(arm, folder)) for arm in arms]
    text = json.dumps([counted, plain], sort_keys=True, ensure_ascii=True, default=str)
    return sha256(text.encode("ascii")).hexdigest()


def _unplaced(arm: TrafficArm, folder: Path) -> TrafficArm:
    """An arm with its path as seen from a folder."""
    path = arm.arm.flow_path
    if path is None or parse_version_name(path) is not None:
        return replace(arm, span=None)
    path = Path(relpath(path, folder)).as_posix()
    return replace(arm, span=None, source=path, arm=replace(arm.arm, flow_path=path))
