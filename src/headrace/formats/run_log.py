"""Results as the text of a log file, each line in the form of prompt flow's logs (promptflow-format: 9.3).

The wording is ours; the form of a line, ``time process logger level message``, is prompt flow's. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from headrace.domain.run import BYPASSED, CANCELED, FAILED, NodeResult
from headrace.errors import Problem

_FLOW = "execution.flow"
_ANY = "execution"
_INFO = "INFO"
_WARNING = "WARNING"
_ERROR = "ERROR"

Event = tuple[int, str, str, str]
"""Time in nanoseconds since the Unix epoch, logger, level, message."""


def render_log(events: Sequence[Event], process: int) -> str:
    """Events in order of time as the text of a log.

    Args:
        events: What happened.
        process: Number of the process that it happened in.
    """
    ordered = sorted(events, key=lambda event: event[0])  # stable: what happened at once stays in its order
    return "".join(f"{_line(event, process)}\n" for event in ordered)


def _line(event: Event, process: int) -> str:
    time_ns, logger, level, message = event
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S %z")
    return f"{time} {process:7d} {logger:<18} {level:<8} {message}"


def node_events(nodes: Sequence[NodeResult], *, line_number: int | None, began_ns: int) -> Iterator[Event]:
    """What the nodes of a line did, printed and raised.

    Args:
        nodes: In order of completion.
        line_number: ``None`` for aggregation nodes.
        began_ns: When the line began.
    """
    latest_ns = began_ns
    place = "" if line_number is None else f" in line {line_number}"
    for node in nodes:
        name = f"Node {node.node}{place}"
        if node.end_ns == 0:
            word = "bypassed" if node.status == BYPASSED else "cancelled"
            yield latest_ns, _FLOW, _INFO, f"{name} is {word}."
            continue
        latest_ns = node.end_ns
        yield node.start_ns, _FLOW, _INFO, f"{name} begins."
        for stream, level, logger in (("stdout", _INFO, _FLOW), ("stderr", _WARNING, _ANY)):
            for text in node.logs.get(stream, "").splitlines():
                yield node.end_ns, logger, level, f"[{node.node}{place}] {stream}> {text}"
        yield _end(node, name)


def _end(node: NodeResult, name: str) -> Event:
    if node.status == FAILED and node.problem is not None:
        return node.end_ns, _ANY, _ERROR, f"{name} failed: {failure_text(node.problem)}"
    word = "cancelled" if node.status == CANCELED else "complete"
    return node.end_ns, _FLOW, _INFO, f"{name} is {word} after {node.duration_ms / 1e3:.3f} s."


def failure_text(problem: Problem) -> str:
    """One line that says what is wrong, and below it the traceback where a tool raised."""
    raised = problem.raised
    return problem.headline() if raised is None else f"{problem.headline()}\n{raised.traceback.rstrip()}"


def problem_event(time_ns: int, problem: Problem) -> Event:
    """A finding about the flow or the run as a whole."""
    level = _ERROR if problem.severity == "error" else _WARNING
    return time_ns, _ANY, level, problem.headline()
