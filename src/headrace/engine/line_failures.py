"""What goes wrong in a line, as problems with their places."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from headrace.domain.run import CANCELED, NodeResult
from headrace.engine.plain import NotPlainError
from headrace.engine.runtime import PreparedFlow
from headrace.errors import HeadraceError, LineTimeoutError, NodeError, Problem, at_place
from headrace.source import Span
from headrace.tools.failure import describe_failure, failure_lines


def first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that ended a group of branches."""
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            return first_failure(failure)
        return failure
    return failures


def error_type(error: BaseException) -> str:
    """What a span calls an error."""
    return error.problems[0].name if isinstance(error, HeadraceError) else type(error).__name__


def must_pass(flow: PreparedFlow, error: BaseException) -> bool:
    """Whether it ends more than a node: an interrupt, or a cancellation that is ours and not a tool's own."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, GeneratorExit) or (
        flow.is_interruptible and isinstance(error, KeyboardInterrupt)
    )


def tool_failure(flow: PreparedFlow, error: BaseException, node: str, place: Span) -> NodeError:
    """E601 for what the code of a tool raised."""
    return NodeError(describe_failure(error, node=node, folder=flow.folder, flow_place=place))


def line_timeout(flow: PreparedFlow, results: Sequence[NodeResult]) -> LineTimeoutError:
    """E603 for a line that was cut, with the nodes that ran."""
    limit_s = flow.limits.line_timeout_s
    cut = [result.node for result in results if result.status == CANCELED]
    node = flow.plan.flow.node(cut[0]) if cut else None
    running = f" while {', '.join(cut)} ran" if cut else ""
    return LineTimeoutError(
        Problem(
            code="E603",
            what=f"The line took longer than {limit_s:g} s and was cut{running}.",
            span=flow.plan.flow.source_map.span(node.pointer if node else ()),
            fix="Raise HEADRACE_LINE_TIMEOUT_S (or PF_LINE_TIMEOUT_SEC), or see in the trace which node was slow.",
        )
    )


def value_failure(flow: PreparedFlow, error: Exception) -> NodeError:
    """E604 for a value whose own code raised."""
    name = type(error).__name__
    return NodeError(
        Problem(
            code="E604",
            what=f"A value that passes between the nodes raised {name} when it was compared, read or recorded.",
            span=flow.plan.flow.source_map.span(()),
            fix="Return text, numbers, lists, mappings or a dataclass from the nodes.",
            detail=failure_lines(error, flow.folder, flow.plan.flow.file),
        )
    )


def not_plain(name: str, kind: str) -> NodeError:
    """E604 for a flow output that JSON cannot hold."""
    return NodeError(
        Problem(
            code="E604",
            what=f"Flow output {name!r} holds a {kind}, which cannot be written as JSON.",
            fix="Return text, numbers, lists, mappings or a dataclass from the node.",
        )
    )


class OutputPlace:
    """Gives what goes wrong with an output its place in the flow file."""

    __slots__ = ("_flow", "_name")

    def __init__(self, flow: PreparedFlow, name: str) -> None:
        self._flow = flow
        self._name = name

    def __enter__(self) -> None:
        """Begin with the output."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, NotPlainError):
            found: HeadraceError = not_plain(self._name, str(error))
        elif isinstance(error, RecursionError):
            found = not_plain(self._name, "value that is nested too deeply")
        elif isinstance(error, HeadraceError):
            found = error
        else:
            return
        pointer = ("outputs", self._name)
        raise at_place(found, self._flow.plan.flow.source_map.span(pointer), pointer) from error
