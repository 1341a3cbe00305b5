"""Everything that can be wrong with a traffic file and the arms that it names, before a request is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.domain.flow import Flow
from headrace.domain.traffic import RESOLUTION, Traffic, TrafficArm
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flow_file import find_flow_file
from headrace.formats.paths import exists
from headrace.formats.traffic_metrics import MEASURED
from headrace.operations.named_versions import settle_flow
from headrace.operations.prepare_flow import loaded_flow
from headrace.operations.preview_traffic import Preview, preview_revision
from headrace.operations.workspace import Workspace
from headrace.planning.feedback import can_be_said


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCheck:
    """What was found.

    Attributes:
        traffic: The rules.
        preview: Where the test stands, and where the file leads.
        warnings: What is allowed and hardly meant.
    """

    traffic: Traffic
    preview: Preview
    warnings: tuple[Problem, ...]


def check_traffic(workspace: Workspace, traffic: Traffic) -> TrafficCheck:
    """Load the flow of every arm that runs here as a server would, and look for rules that are hardly meant.

    Args:
        workspace: For flows, versions, connections, and what is recorded of the test.
        traffic: The rules.

    Raises:
        DefinitionError: A flow cannot be read, or an arm does not fit its flow; all of it at once.
        StateError: The store is away.
    """
    problems: list[Problem] = []
    found: dict[str, Flow] = {}
    for arm in traffic.arms:
        try:
            flow = _load(workspace, traffic, arm)
        except UsageError as error:
            problems += (_asked_by(problem, arm) for problem in error.problems)
        except DefinitionError as error:
            problems += error.problems
        else:
            found |= {arm.name: flow} if flow is not None else {}
    if problems:
        raise DefinitionError(*dict.fromkeys(problems))
    return TrafficCheck(
        traffic=traffic,
        preview=preview_revision(workspace.store, traffic, workspace.now()),
        warnings=(
            *_warn_of_units(traffic, list(found.values())),
            *_warn_of_inputs(traffic, found),
            *_warn_of_decision(traffic),
            *_warn_of_shares(traffic),
        ),
    )


def _load(workspace: Workspace, traffic: Traffic, arm: TrafficArm) -> Flow | None:
    """The flow of an arm with its choices made; ``None`` where it runs elsewhere or nothing says which flow it is."""
    if arm.arm.remote is not None:
        return None
    text = arm.source or traffic.flow or _beside(traffic)
    if not text:
        return None
    path, _ = settle_flow(workspace, text)
    with loaded_flow(workspace, Path(path), arm=arm.arm) as loaded:
        return loaded.flow


def _asked_by(problem: Problem, arm: TrafficArm) -> Problem:
    """The problem at the arm, or with a look at the arm where the flow has the place."""
    if problem.span is None or arm.span is None:
        return replace(problem, span=problem.span or arm.span)
    return replace(problem, related=(*problem.related, ("asked for here", arm.span)))


def _beside(traffic: Traffic) -> str:
    """The flow in the folder of the traffic file, if there is one."""
    folder = Path(traffic.path).parent
    try:
        return str(folder) if exists(find_flow_file(folder)) else ""
    except DefinitionError:
        return ""


def _warn(traffic: Traffic, code: str, key: str, what: str, fix: str) -> Problem:
    source_map = traffic.source_map
    pointer = (key,)
    span = None
    if source_map is not None:
        span = source_map.key_span(pointer) if pointer in source_map.keys else source_map.span(())
    return Problem(code=code, what=what, fix=fix, span=span, pointer=pointer, severity="warning")


def _warn_of_units(traffic: Traffic, flows: list[Flow]) -> Iterator[Problem]:
    is_chat = any(flow.type == "chat" for flow in flows)
    fix = "Add unit: where whoever asks stands in a request, for example {header: x-user-id}."
    if not traffic.units and is_chat:
        what = "Each request is a unit of its own, so a conversation changes arms in the middle."
        yield _warn(traffic, "G986", "unit", what, fix.replace("{header: x-user-id}", "{session: chat_id}"))
    elif not traffic.units:
        what = "Each request is a unit of its own, so a person gets now this arm and now that one."
        yield _warn(traffic, "G986", "unit", what, fix)


def _warn_of_inputs(traffic: Traffic, flows: Mapping[str, Flow]) -> Iterator[Problem]:
    """Arms that ask for what nobody sends: a live request is not mapped, as lines of an experiment are."""
    baseline = flows.get(traffic.baseline)
    for name, flow in flows.items() if baseline is not None and baseline.inputs else ():
        needed = [item for item, declared in flow.inputs.items() if not declared.has_default]
        lacking = [item for item in needed if baseline is not None and item not in baseline.inputs]
        if lacking:
            what = f"The arm {name} needs {' and '.join(lacking)}, which {traffic.baseline} does not take."
            fix = "Let both take the same inputs: a request has them by one name, and without one it fails in that arm."
            yield _warn(traffic, "G987", "arms", what, fix)


def _warn_of_decision(traffic: Traffic) -> Iterator[Problem]:
    if len(traffic.answering) < 2:
        what = "Only one arm answers, so there is nothing to compare."
        yield _warn(traffic, "G987", "arms", what, "Give another arm a weight.")
        return
    if not traffic.metrics:
        what = "Nothing is measured, so no arm can win."
        yield _warn(traffic, "G987", "metrics", what, "Add metrics: the first one decides.")
        return
    base = traffic.arm(traffic.baseline)
    if base is not None and not base.weight and traffic.allocation.method == "fixed":
        what = f"The baseline {base.name} has no share, so there is nothing to compare the other arms with."
        yield _warn(traffic, "G987", "baseline", what, "Give it a weight, or make another arm the baseline.")
    yield from _warn_of_names(traffic)
    primary = traffic.metrics[0]
    if primary.margin is None:
        what = f"{primary.name} has no margin, so that arms which are as good as each other are never told to be."
        yield _warn(traffic, "G987", "metrics", what, "Add margin: the largest loss that does not matter.")


def _warn_of_names(traffic: Traffic) -> Iterator[Problem]:
    """Metrics of which nothing is ever said: feedback cannot name them, and no evaluator does."""
    scored = {evaluator.name for evaluator in traffic.evaluators}
    for metric in traffic.metrics:
        source = metric.source
        if source in MEASURED or source.partition(".")[0] in scored or can_be_said(source):
            continue
        what = f"Feedback that is posted cannot name {source!r}, so nothing is said of it."
        fix = "Write from: with a name of letters, digits, dots, dashes and underscores."
        yield _warn(traffic, "G987", "metrics", what, fix)


def _warn_of_shares(traffic: Traffic) -> Iterator[Problem]:
    coverage = max((step.coverage for step in traffic.ramp), default=traffic.coverage)
    for arm in traffic.answering:
        if not 0 < round(arm.weight * coverage * RESOLUTION, 6) < 1:
            continue
        what = f"The share of {arm.name} is finer than one in {RESOLUTION:,} units, so it may be nobody."
        yield _warn(traffic, "G987", "arms", what, "Give it a larger weight, or the test more coverage.")
    if not coverage:
        key = "ramp" if traffic.ramp else "coverage"
        what = "The coverage is 0, so nobody is in the test."
        yield _warn(traffic, "G987", key, what, "Let coverage grow when the test is to begin.")
