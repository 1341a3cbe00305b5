"""The arms of a deployment file: what each of them is, what the target calls it, and its share of the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from headrace.domain.deployment import ACA, AZUREML, Deployment, FlowChoice, TargetName
from headrace.domain.variant import Arm
from headrace.domain.whole_shares import starting_percents
from headrace.errors import DefinitionError, nearest
from headrace.formats.deployment_limits import LIMITS, offered_name
from headrace.formats.deployment_parts import COPY_KEYS, not_of_target, read_copy, read_percent
from headrace.formats.experiment import OfferedArms, load_arms
from headrace.formats.experiment_parts import no_mapping, refuse
from headrace.formats.paths import exists, is_folder
from headrace.formats.shape import Block, Findings
from headrace.formats.traffic import read_traffic
from headrace.source import Pointer

ARM_KEYS: Final = ("name", "deployment", *COPY_KEYS, "traffic", "mirror")
MOST_MIRRORED: Final = 50
"""Percent of the requests that managed online endpoints copy at most."""
_NO_MIRROR = "Remove it; a flow that headrace serves can have an arm with shadow in its own traffic file."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """What all arms of a file are read with.

    Attributes:
        start: What the file says of all deployments.
        offered: The arms of its experiment; ``None`` without one.
    """

    start: Deployment
    target: TargetName
    file: Path
    offered: OfferedArms | None


def read_deployments(
    root: Block, start: Deployment, target: TargetName, file: Path
) -> tuple[Deployment, ...]:
    """The deployments: one for each arm, those of an online test, or one without a name.

    Args:
        root: The whole file.
        start: What it says of all deployments.
        target: Where they are deployed to.
        file: The deployment file; paths are relative to its folder.
    """
    if root.text("traffic") is not None:
        for key in ("arms", "experiment"):
            if root.data.get(key) is not None:
                what = f"The arms are those of the online test, so the file cannot have {key} as well."
                fix = f"Keep one of traffic and {key}."
                root.findings.add("G985", root.at(key), what, fix, at_key=True)
        return _check_all(root, _read_test(root, start, target, file), target)
    reader = _Reader(start=start, target=target, file=file, offered=_read_experiment(root, file))
    items = root.items("arms")
    if not items and isinstance(root.data.get("arms"), list):
        refuse(root, "arms", "a list with at least one arm; without the key, versions take turns")
    if not items and reader.offered is not None:
        items = [(("experiment",), arm.name) for arm in reader.offered.arms]
    if not items:
        return (_with_flow(root, start),)
    found = [_read_arm(pointer, value, root.findings, reader) for pointer, value in items]
    return _check_all(root, [item for item in found if item is not None], target)


def _with_flow(block: Block, deployment: Deployment) -> Deployment:
    if not deployment.flow.source and "flow" not in block.data:
        block.missing("flow", "The arm" if block.pointer else "The deployment")
    return deployment


def _read_experiment(root: Block, file: Path) -> OfferedArms | None:
    text = root.text("experiment")
    if text is None:
        return None
    target = file.parent / text
    if not exists(target):
        fix = "Correct the path; it is relative to the folder of the file."
        root.findings.add("F001", root.at("experiment"), f"{text} does not exist.", fix)
        return None
    try:
        return load_arms(target / "experiment.yaml" if is_folder(target) else target)
    except DefinitionError as error:
        _report(root, "experiment", error)
        return None


def _report(root: Block, key: str, error: DefinitionError) -> None:
    """The problems of a file that a key names; those without a place are where it is named."""
    for problem in error.problems:
        if problem.span is None:
            root.findings.add(problem.code, root.at(key), problem.what, problem.fix)
        else:
            root.findings.problems.append(problem)


def _read_arm(pointer: Pointer, value: Any, findings: Findings, reader: _Reader) -> Deployment | None:
    if isinstance(value, str) and value:
        value = {"name": value}
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "the name of an arm, or a mapping with name")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(ARM_KEYS, "An arm", severity="error")
    name = block.required_text("name", "The arm")
    start = reader.start
    if name is not None and reader.offered is not None:
        start = _from_experiment(block, name, start, reader.offered)
    found = read_copy(block, start, reader.target, reader.file)
    mirror = read_percent(block, "mirror", 0)
    traffic = read_percent(block, "traffic", -1) if block.data.get("traffic") is not None else None
    if mirror:
        _check_mirror(block, mirror, traffic or 0, reader.target)
    if name is None:
        return None
    _with_flow(block, found)
    return replace(
        found,
        name=_deployment_name(block, name, reader.target),
        arm=name,
        traffic_percent=0 if mirror and traffic is None else traffic,
        mirror_percent=mirror,
        pointer=pointer,
    )


def _from_experiment(block: Block, name: str, start: Deployment, offered: OfferedArms) -> Deployment:
    """What an experiment says of the arm of a name; the file need not say it again."""
    if not start.flow.source:
        start = replace(start, flow=replace(start.flow, source=offered.flow_path))
    names = [arm.name for arm in offered.arms]
    if name not in names:
        if any(block.data.get(key) is not None for key in ("flow", "variant", "model", "image")):
            return start
        near = nearest(name, names)
        what = f"The experiment has no arm {name!r}."
        fix = f'Did you mean "{near}"?' if near else f"Its arms are: {', '.join(names)}. Or say what it runs."
        block.findings.add("V305", block.at("name"), what, fix)
        return start
    arm = offered.arms[names.index(name)]
    return replace(start, flow=_choose(arm, start.flow, block.pointer, block.findings))


def _choose(arm: Arm, start: FlowChoice, pointer: Pointer, findings: Findings) -> FlowChoice:
    """What an arm runs, as a deployment can: one variant of one node, and one model without parameters."""
    wrong = [
        text
        for is_wrong, text in (
            (arm.remote is not None, "an address that answers in its place"),
            (bool(arm.overrides), "overrides"),
            (arm.variant is not None and len(arm.variant.choices) > 1, "variants of several nodes"),
            (arm.model is not None and bool(arm.model.parameters), "parameters of its model"),
        )
        if is_wrong
    ]
    if wrong:
        what = f"The arm {arm.name!r} has {' and '.join(wrong)}, which a deployment cannot have."
        fix = "Make a flow, or a default variant, that says the same, and name it as the flow of the arm."
        findings.add("X110", pointer, what, fix)
    variant, model = start.variant, start.model
    if arm.variant is not None:
        variant = "".join(f"${{{node}.{choice}}}" for node, choice in list(arm.variant.choices.items())[:1])
    if arm.model is not None:
        is_plain = arm.model.connection == arm.model.model
        model = arm.model.connection if is_plain else f"{arm.model.connection}/{arm.model.model}"
    return replace(start, source=arm.flow_path or start.source, variant=variant, model=model)


def _read_test(root: Block, start: Deployment, target: TargetName, file: Path) -> list[Deployment]:
    """The arms of an online test, with the shares that they begin with in whole percent."""
    text = root.text("traffic") or ""
    if not exists(file.parent / text):
        fix = "Correct the path; it is relative to the folder of the file."
        root.findings.add("F001", root.at("traffic"), f"{text} does not exist.", fix)
        return []
    try:
        test = read_traffic(file.parent / text)
    except DefinitionError as error:
        _report(root, "traffic", error)
        return []
    shares, coverage = starting_percents(test), test.coverage_after(0.0)
    found = []
    if test.flow and not start.flow.source:
        start = replace(start, flow=replace(start.flow, source=test.flow))
    for arm in test.arms:
        mirror = round(coverage * (arm.shadow_share or 0) * 100)
        if mirror:
            _check_mirror(root, mirror, 0, target, "traffic")
        choice = _choose(arm.arm, start.flow, root.at("traffic"), root.findings)
        deployment = replace(
            start,
            name=_deployment_name(root, arm.name, target, "traffic"),
            arm=arm.name,
            flow=choice,
            traffic_percent=shares.get(arm.name, 0),
            mirror_percent=mirror,
            pointer=root.at("traffic"),
        )
        found.append(_with_flow(root, deployment))
    return found


def _deployment_name(block: Block, arm: str, target: TargetName, key: str = "name") -> str:
    """What a deployment is called: as the file says, else as the arm, with dashes for what the target does not take.

    X102 for a name that the target does not take, and for an arm that none can be made of.
    """
    limits = LIMITS[target]
    said = block.text("deployment") if block.pointer else None
    name = said or (arm if limits.deployment.fullmatch(arm) else offered_name(arm, target)) or arm
    if limits.deployment.fullmatch(name):
        return name
    what = f"{limits.called} takes no deployment that is called {name!r}."
    offered = offered_name(name, target) if said else None
    start = f"Write {offered}, or another name" if offered else "Add deployment, a name"
    fix = f"{start} of {limits.deployment_wanted}."
    block.findings.add("X102", block.at("deployment" if said else key), what, fix)
    return name


def _check_mirror(block: Block, mirror: int, traffic: int, target: TargetName, key: str = "mirror") -> None:
    if target == ACA:
        not_of_target(
            block,
            key,
            target,
            _NO_MIRROR,
        )
    elif mirror > MOST_MIRRORED and target == AZUREML:
        what = f"{LIMITS[target].called} mirrors at most {MOST_MIRRORED} percent of the requests."
        block.findings.add("X103", block.at(key), what, f"Write {MOST_MIRRORED} or less.")
    if traffic:
        what = "Requests are mirrored to a deployment that has traffic, which would answer them twice."
        block.findings.add("X106", block.at(key), what, "Remove mirror, or set traffic to 0.")


def _check_all(root: Block, found: Sequence[Deployment], target: TargetName) -> tuple[Deployment, ...]:
    names: set[str] = set()
    for item in found:
        if item.name in names:
            what = f"Two deployments are called {item.name!r}; what a name cannot hold counts as a dash."
            root.findings.add(
                "V303", item.pointer, what, "Give each arm a name, or a deployment, of its own."
            )
        names.add(item.name)
    limits = LIMITS[target]
    if len(found) > limits.most_deployments:
        what = f"{limits.called} takes at most {limits.most_deployments} deployments behind one endpoint."
        root.findings.add("X103", ("arms",), what, "Deploy fewer arms at once.", at_key=True)
    mirrored = [item for item in found if item.mirror_percent]
    for item in mirrored[1:]:
        what = f"Requests are mirrored to {mirrored[0].name!r} already, and to one deployment only."
        root.findings.add("X106", (*item.pointer, "mirror"), what, "Keep mirror at one arm.")
    answering = [item for item in found if not item.mirror_percent]
    silent = [item.arm for item in answering if item.traffic_percent is None]
    if silent and len(silent) < len(answering):
        what = f"Some arms say their traffic, and these do not: {', '.join(silent)}."
        fix = "Give every arm its percent, or none, which leaves the traffic as it is."
        root.findings.add("X105", ("arms",), what, fix, at_key=True)
    return tuple(found)
