"""The finished lines of an earlier run that a new run takes over instead of running them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.multimedia import ImageError
from headrace.domain.run import COMPLETED, RUNNING, LineResult, Run
from headrace.engine.aggregate import recorded_values
from headrace.engine.batch import PendingLine, recorded_inputs
from headrace.errors import Problem
from headrace.formats.multimedia import has_forms
from headrace.operations.prepare_flow import LoadedFlow
from headrace.operations.workspace import Workspace
from headrace.store.records import encode_json

_GROUP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLines:
    """Finished lines by number.

    Attributes:
        run: The run that did them.
        kept: What each keeps for the aggregation nodes.
    """

    run: str
    kept: Mapping[int, Mapping[str, Any]]


def find_finished(
    workspace: Workspace, base: Run, loaded: LoadedFlow, lines: Iterable[PendingLine]
) -> FinishedLines:
    """The lines that ``base`` completed with the inputs that they have now.

    A line whose data or mapping gives it other inputs by now is not among them, nor one that has no record of what
    an aggregation node reads by now: both are to be run again.
    """
    kept: dict[int, Mapping[str, Any]] = {}
    pending = iter(lines)
    line = next(pending, None)
    for result in workspace.store.read_lines(base.spec.name):  # both are in order of their numbers
        while line is not None and line.line.number < result.line_number:
            line = next(pending, None)
        if line is None:
            break
        if line.line.number != result.line_number or line.problem is not None or result.status != COMPLETED:
            continue
        values = _recorded_values(loaded, line, result)
        if values is not None:
            kept[result.line_number] = values
    if base.status == RUNNING:
        workspace.warn([_still_running(base)])
    return FinishedLines(run=base.spec.name, kept=kept)


def _recorded_values(loaded: LoadedFlow, line: PendingLine, result: LineResult) -> Mapping[str, Any] | None:
    """What a line keeps for the aggregation nodes, images read; ``None`` when it is to be run again."""
    try:
        inputs = loaded.images.read_inputs(loaded.flow, line.inputs)
        nodes = tuple(
            replace(node, output=loaded.images.read_inside(node.output))
            if has_forms(node.output, loaded.flow.message_format)
            else node
            for node in result.nodes
        )
    except ImageError:
        return None
    # As text, because NaN does not equal itself.
    asked = encode_json(recorded_inputs(inputs, loaded.flow.message_format))
    if asked != encode_json(result.inputs):
        return None
    return recorded_values(loaded.plan, inputs, replace(result, nodes=nodes))


def take_over(workspace: Workspace, finished: FinishedLines, run: str) -> Iterator[LineResult]:
    """Record the finished lines in ``run``, spans included, and give each out after its commit."""
    numbers = sorted(finished.kept)
    for start in range(0, len(numbers), _GROUP):
        read = (workspace.store.read_line(finished.run, number) for number in numbers[start : start + _GROUP])
        group = [result for result in read if result is not None]
        workspace.store.append_lines(run, group)
        yield from group


def _still_running(base: Run) -> Problem:
    name = base.spec.name
    return Problem(
        code="S810",
        what=f"The run {name!r} has not ended; only the lines that it has finished so far are taken over.",
        fix=f"If it is still at work, wait for it: headrace run stream --name {name}. Else all is well.",
        severity="warning",
    )
