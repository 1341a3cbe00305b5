"""The arms of a test with live traffic as flows that are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.domain.remote import RemoteFlow
from headrace.domain.traffic import Traffic, TrafficArm
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flow_file import load_flow
from headrace.operations.endpoint_arms import write_endpoint_flow
from headrace.operations.renew_flows import ServedSource, source_state
from headrace.operations.served_sources import FlowSource, find_served_file, find_sources
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_optional

_SERVED_FLOW = "headrace.serving.served:ServedFlow"
_ADDRESSES = ("http://", "https://")


def arm_key(arm: TrafficArm) -> tuple[Any, ...]:
    """What makes an arm another one when it changes; its share of the traffic does not."""
    return (arm.source, arm.arm)


def load_arm(
    workspace: Workspace, traffic: Traffic, arm: TrafficArm, flow: FlowSource, choice: ServingChoice
) -> tuple[FlowSource, LoadedVersion]:
    """Load an arm, and say where it came from.

    Args:
        workspace: For connections and stored versions.
        traffic: The rules that the arm is of.
        arm: The arm.
        flow: The served flow that the test is about.
        choice: What was chosen for what is served.

    Raises:
        DefinitionError: Everything that is wrong with the files of its flow.
        UsageError: The arm does not fit the flow; S831 or S834 for the name of a version.
    """
    source = _arm_source(workspace, traffic, arm, flow)
    own = replace(arm.arm, name=arm.name)
    return source, LoadedVersion(workspace, chosen_flow(workspace, source.source), choice, own)


def load_arms(
    workspace: Workspace, traffic: Traffic, flow: FlowSource, choice: ServingChoice, stack: ExitStack
) -> Mapping[str, tuple[FlowSource, LoadedVersion]]:
    """Load all arms of a test by name; ``stack`` leaves their folders again.

    Raises:
        DefinitionError: Everything that is wrong with the files of all of them.
        UsageError: An arm does not fit its flow.
    """
    loaded: dict[str, tuple[FlowSource, LoadedVersion]] = {}
    problems: list[Problem] = []
    for arm in traffic.arms:
        try:
            loaded[arm.name] = load_arm(workspace, traffic, arm, flow, choice)
            stack.callback(loaded[arm.name][1].leave)
        except DefinitionError as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionError(*problems)
    return loaded


async def open_arm(
    workspace: Workspace, path: str, arm: TrafficArm, source: FlowSource, loaded: LoadedVersion
) -> ServedSource:
    """An arm, ready to answer in this event loop."""
    flow = load_optional(_SERVED_FLOW, extra="serve")(path, await loaded.open())
    state = source_state(workspace, source, loaded.flow)
    return ServedSource(source, flow, loaded, state, arm=replace(arm.arm, name=arm.name))


def find_tested(traffic: Traffic, sources: Sequence[FlowSource]) -> FlowSource:
    """The served flow that a test is about: by its path, its name, or because it is the only one.

    Raises:
        UsageError: C507 where no flow, or more than one, is meant.
    """
    if not traffic.flow:
        found = list(sources)
    else:
        place = _folder(traffic) / traffic.flow
        found = [
            item for item in sources if item.path.strip("/") == traffic.flow or traffic.flow == item.given
        ]
        found = found or [item for item in sources if _is_same(item.source, place)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(item.given for item in sources)
    what = f"{traffic.path} does not say which of the served flows it splits: {names}."
    if traffic.flow:
        what = f"{traffic.path} splits the flow {traffic.flow}, which is not served; served are: {names}."
    raise UsageError(Problem(code="C507", what=what, fix="Name one of them: flow: NAME."))


def tested_sources(workspace: Workspace, tests: Sequence[Traffic]) -> tuple[Path, ...]:
    """The flows that traffic files are about, to be served where nobody says which.

    A file that names none is about its baseline where that runs elsewhere: then no flow is needed here.

    Raises:
        DefinitionError: F006 where such a baseline does not say which inputs it takes.
    """
    found: list[Path] = []
    for traffic in tests:
        baseline = traffic.arm(traffic.baseline)
        if traffic.flow:
            found += (item.source for item in find_sources([Path(traffic.flow)], _folder(traffic)))
        elif baseline is not None and baseline.arm.remote is not None:
            found.append(_write_baseline(workspace, traffic, baseline, baseline.arm.remote))
    return tuple(found)


def _write_baseline(workspace: Workspace, traffic: Traffic, arm: TrafficArm, remote: RemoteFlow) -> Path:
    if not remote.inputs:
        said = f"deployed: {remote.deployed.file}" if remote.deployed is not None else f"url: {remote.url}"
        what = f"Nothing says which inputs the baseline is sent: {traffic.name} has no flow here."
        fix = f"Name them: flow: {{{said}, inputs: [question]}}."
        raise DefinitionError(Problem(code="F006", what=what, span=arm.span, fix=fix))
    return write_endpoint_flow(workspace, remote, traffic.name)


def _arm_source(workspace: Workspace, traffic: Traffic, arm: TrafficArm, flow: FlowSource) -> FlowSource:
    remote = arm.arm.remote
    if remote is None and arm.source.startswith(_ADDRESSES):
        remote = RemoteFlow(url=arm.source)
    if remote is not None:
        if not remote.inputs:
            remote = replace(remote, inputs=_inputs_of(workspace, traffic, flow))
        folder = write_endpoint_flow(workspace, remote, arm.name)
        place = remote.deployed
        return FlowSource(path="", given=remote.url or (place.file if place else ""), source=folder)
    named = arm.source or arm.arm.flow_path or ""
    if not named:
        return flow
    found = find_sources([Path(named)], _folder(traffic))
    if len(found) != 1:
        what = f"The arm {arm.name} of {traffic.path} runs {named}, which is not one flow."
        raise UsageError(Problem(code="C507", what=what, fix="Name the folder of one flow."))
    return found[0]


def _inputs_of(workspace: Workspace, traffic: Traffic, flow: FlowSource) -> tuple[str, ...]:
    """Names of what an arm elsewhere is sent: the inputs of the baseline, or of the served flow."""
    baseline = traffic.arm(traffic.baseline)
    here = baseline is not None and baseline.arm.remote is None and not baseline.source.startswith(_ADDRESSES)
    source = _arm_source(workspace, traffic, baseline, flow) if baseline is not None and here else flow
    return tuple(load_flow(find_served_file(chosen_flow(workspace, source.source))).inputs)


def _folder(traffic: Traffic) -> Path:
    """Where paths in a traffic file begin."""
    return Path(traffic.path).absolute().parent


def _is_same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
