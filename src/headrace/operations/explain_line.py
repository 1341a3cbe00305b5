"""Why the nodes of a line did what they did: called or not, and what had changed since an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.run import COMPLETED, LineResult, NodeResult, Run, Usage
from headrace.errors import Problem, UsageError
from headrace.operations.workspace import Workspace
from headrace.planning.fingerprint import CODE, INPUTS, MODEL, changed_parts
from headrace.tools.model_parameters import APIS, PASSED_ON

_MODEL_PARAMETERS = frozenset((*(item.name for api in APIS.values() for item in api.parameters), *PASSED_ON))

EXECUTED = "executed"
CACHED = "cached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A part of what a node's result depends on that is not what it was.

    Attributes:
        part: code, inputs, model, connection, environment, repeat or engine.
        names: Files, packages or arguments that differ, where that is known.
    """

    part: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExplanation:
    """What one node did for a line.

    Attributes:
        outcome: executed, cached, bypassed, failed or canceled.
        cached_from: The run whose result was used.
        usage: What was spent, or what a used result had taken.
        takes_part: Whether results of the node are kept and used in this run.
        changes: Since the earlier run; ``None`` where the two cannot be compared.
    """

    node: str
    outcome: str
    duration_ms: float
    usage: Usage
    cached_from: str | None = None
    takes_part: bool = True
    changes: tuple[Change, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineExplanation:
    """What the nodes of one line did.

    Attributes:
        earlier: The run that it is compared with; ``None`` when there is none.
        nodes: In order of completion.
    """

    run: Run
    line: LineResult
    earlier: str | None
    nodes: tuple[NodeExplanation, ...]


def explain_line(
    workspace: Workspace, name: str, line_number: int, *, earlier: str | None = None
) -> LineExplanation:
    """Say of every node of a line whether its tool was called, and what has changed since an earlier run.

    Args:
        workspace: For the store.
        name: The run.
        line_number: Counts from 0.
        earlier: The run to compare with; default: the newest one before, of the same flow, with this line; one of the
            same arm and repeat before others.

    Raises:
        UsageError: S801 unknown run, S805 the line is not recorded.
    """
    run = workspace.store.read_run(name)
    line = _read_line(workspace, run, line_number)
    if earlier is not None:
        other: Run | None = workspace.store.read_run(earlier)
        before: LineResult | None = _read_line(workspace, workspace.store.read_run(earlier), line_number)
    else:
        other, before = _find_earlier(workspace, run, line_number)
    known = {node.node: node for node in before.nodes} if before is not None else {}
    return LineExplanation(
        run=run,
        line=line,
        earlier=other.spec.name if other is not None else None,
        nodes=tuple(_explain(node, run, known.get(node.node), other) for node in line.nodes),
    )


def _read_line(workspace: Workspace, run: Run, line_number: int) -> LineResult:
    line = workspace.store.read_line(run.spec.name, line_number)
    if line is None:
        what = f"Run {run.spec.name} has no record of line {line_number}."
        fix = f"Its lines are 0 to {run.n_lines - 1}." if run.n_lines else None
        raise UsageError(Problem(code="S805", what=what, fix=fix))
    return line


def _find_earlier(
    workspace: Workspace, run: Run, line_number: int
) -> tuple[Run, LineResult] | tuple[None, None]:
    arms: dict[str, object] = {}

    def arm_of(found: Run) -> object:
        """The choices of a run; of an evaluation those of the run that it judges."""
        spec = found.spec
        if spec.name not in arms:
            judged = _read_run(workspace, spec.source_run)
            own = (spec.variant, spec.chosen_model, spec.repeat)
            arms[spec.name] = own if judged is None else (own, arm_of(judged))
        return arms[spec.name]

    flow = (run.spec.flow_path, run.spec.flow_name)
    found = [
        other
        for other in workspace.store.list_runs()
        if (other.spec.flow_path, other.spec.flow_name) == flow
        and other.created_at < run.created_at
        and not (run.spec.is_served or other.spec.is_served)  # there, equal numbers mean nothing
    ]
    for other in sorted(found, key=lambda other: arm_of(other) != arm_of(run)):  # stable: the newest first
        line = workspace.store.read_line(other.spec.name, line_number)
        if line is not None:
            return other, line
    return None, None


def _read_run(workspace: Workspace, name: str | None) -> Run | None:
    try:
        return workspace.store.read_run(name) if name is not None else None
    except UsageError:  # deleted since
        return None


def _explain(node: NodeResult, run: Run, before: NodeResult | None, earlier: Run | None) -> NodeExplanation:
    outcome = node.status.lower()
    if node.status == COMPLETED:
        outcome = EXECUTED if node.cached_from is None else CACHED
    changes = None
    if before is not None and earlier is not None and node.parts and before.parts:
        changes = tuple(
            Change(part=part, names=_names(part, node, run, before, earlier))
            for part in changed_parts(before.parts, node.parts)
        )
    return NodeExplanation(
        node=node.node,
        outcome=outcome,
        duration_ms=node.duration_ms,
        usage=node.usage if node.cached_from is None else node.saved,
        cached_from=node.cached_from,
        takes_part=node.node in run.spec.sources,
        changes=changes,
    )


def _names(part: str, node: NodeResult, run: Run, before: NodeResult, earlier: Run) -> tuple[str, ...]:
    if part == CODE:
        return _different(earlier.spec.sources.get(node.node, {}), run.spec.sources.get(node.node, {}))
    if part in (INPUTS, MODEL):
        parameters = _MODEL_PARAMETERS if MODEL in node.parts else ()
        names = _different(before.inputs or {}, node.inputs or {})
        return tuple(name for name in names if (name in parameters) is (part == MODEL))
    return ()


def _different(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))
