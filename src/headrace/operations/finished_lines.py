"""The finished lines of an earlier run that a new run takes over instead of running them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import Any

from headrace.domain.multimedia import ImageError
from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.aggregate import recorded_values
from headrace.engine.plain import recorded_inputs
from headrace.engine.shards import PendingLine
from headrace.errors import Problem
from headrace.formats.multimedia import has_forms
from headrace.operations.prepare_flow import LoadedFlow
from headrace.operations.workspace import Workspace
from headrace.store.records import encode_json

_GROUP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLines:
    """Lines that need not be run.

    Attributes:
        numbers: Of all of them.
        kept: By number, what the completed ones keep for the aggregation nodes, where those read anything of a line.
    """

    numbers: Collection[int] = frozenset()
    kept: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def find_finished(
    workspace: Workspace,
    run: str,
    loaded: LoadedFlow,
    lines: Iterable[PendingLine],
    *,
    has_failed: bool = False,
) -> FinishedLines:
    """The lines that a run has completed with the inputs that they have now.

    A line whose data or mapping gives it other inputs by now is not among them, nor one that has no record of what
    an aggregation node reads by now: both are to be run again.

    Args:
        workspace: For the store.
        run: Name of the run.
        loaded: The flow as it is now.
        lines: In order of their numbers.
        has_failed: Whether failed lines are finished, too.
    """
    numbers: set[int] = set()
    kept: dict[int, Mapping[str, Any]] = {}
    pending = iter(lines)
    line = next(pending, None)
    for result in workspace.store.read_lines(run):  # both are in order of their numbers
        while line is not None and line.line.number < result.line_number:
            line = next(pending, None)
        if line is None:
            break
        if line.line.number != result.line_number:
            continue
        if result.status == FAILED and has_failed:
            numbers.add(result.line_number)
        elif result.status == COMPLETED and line.problem is None:
            values = _recorded_values(loaded, line, result)
            if values is not None:
                numbers.add(result.line_number)
            if values:
                kept[result.line_number] = values
    return FinishedLines(numbers=numbers, kept=kept)


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
    asked = encode_json(recorded_inputs({**inputs, **line.unused}, loaded.flow.message_format))
    if asked != encode_json(result.inputs):
        return None
    return recorded_values(loaded.plan, inputs, replace(result, nodes=nodes))


def take_over(workspace: Workspace, source: str, finished: FinishedLines, run: str) -> Iterator[LineResult]:
    """Record finished lines of the run ``source`` in ``run``, spans included; give each out after its commit."""
    numbers = sorted(finished.numbers)
    for start in range(0, len(numbers), _GROUP):
        read = (workspace.store.read_line(source, number) for number in numbers[start : start + _GROUP])
        group = [result for result in read if result is not None]
        workspace.store.append_lines(run, group)
        yield from group


def still_running(run: str) -> Problem:
    """The warning for a run that may go on while its lines are taken over."""
    return Problem(
        code="S810",
        what=f"The run {run!r} has not ended; only the lines that it has finished so far are taken over.",
        fix=f"If it is still at work, wait for it: headrace run stream --name {quote(run)}. Else all is well.",
        severity="warning",
    )
