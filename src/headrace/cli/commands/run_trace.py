"""``headrace run trace``."""

from __future__ import annotations

from dataclasses import dataclass

import click

from headrace.cli.options import Verb, form_option, run_name_option
from headrace.cli.session import Session
from headrace.cli.trace_view import describe_line, render_trace, trace_to_json
from headrace.cli.workspace import command_workspace
from headrace.domain.run import LineResult, Run
from headrace.domain.span import SpanRecord
from headrace.errors import ExitCode, Problem, UsageError
from headrace.operations.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is drawn: the spans, the line above them, and the problem of a line that failed."""

    heading: str
    spans: tuple[SpanRecord, ...]
    problem: Problem | None = None


@click.command(
    "trace",
    cls=Verb,
    examples=(
        ("The slowest line", "headrace run trace --name first"),
        ("Line 17, as OpenTelemetry attributes in JSON", "headrace run trace --name first --line 17 -o json"),
        (
            "The aggregation nodes of an evaluation run",
            "headrace run trace --name first_judged --aggregation",
        ),
    ),
)
@run_name_option()
@click.option("--line", type=click.IntRange(min=0), metavar="N", help="This line; they count from 0.")
@click.option("--aggregation", is_flag=True, help="The aggregation nodes instead of a line.")
@form_option("json", "tree", help="How to print; default tree.")
@click.pass_obj
def command(session: Session, *, name: str, line: int | None, aggregation: bool, form: str | None) -> int:
    """Draw where the time of one line went.

    A tree of the flow, its nodes and its model calls, each with its time, a bar on the line's
    own time axis, tokens and errors. Without --line it is the slowest line.
    """
    with command_workspace(session) as workspace:
        run = workspace.store.read_run(name)
        trace = read_aggregation(workspace, run) if aggregation else read_trace(workspace, run, line)
    if form == "json":
        session.write_json(trace_to_json(trace.spans))
        return ExitCode.OK
    ink = session.terminal.out
    session.write(ink.paint(trace.heading, "bold") + "\n\n" + render_trace(trace.spans, session.terminal))
    if trace.problem:
        session.note("")
        session.show_problems(trace.problem)
    return ExitCode.OK


def read_trace(workspace: Workspace, run: Run, number: int | None) -> Trace:
    """The spans of line ``number``, or of the slowest line.

    Raises:
        UsageError: S805 when the line is not recorded or has no spans.
    """
    name = run.spec.name
    chosen = find_slowest(workspace, name) if number is None else number
    line = None if chosen is None else workspace.store.read_line(name, chosen)
    if line is None or not line.spans:
        what = (
            f"Run {name} has no recorded line."
            if number is None
            else f"Run {name} has no spans for line {number}."
        )
        fix = f"Its lines are 0 to {run.n_lines - 1}." if run.n_lines and number is not None else None
        raise UsageError(Problem(code="S805", what=what, fix=fix))
    which = ", the slowest" if number is None and run.n_lines > 1 else ""
    title = f"{name} · line {chosen} of {run.n_lines:,}{which}"
    heading = describe_line(title, line.status, line.duration_ms, line.usage.total_tokens)
    return Trace(heading=heading, spans=line.spans, problem=line.problem)


def find_slowest(workspace: Workspace, run: str) -> int | None:
    """Number of the line that took longest; ``None`` when no line is recorded."""
    slowest: LineResult | None = max(
        workspace.store.read_lines(run), key=lambda line: line.duration_ms, default=None
    )
    return slowest.line_number if slowest else None


def read_aggregation(workspace: Workspace, run: Run) -> Trace:
    """The spans of the run's aggregation nodes.

    Raises:
        UsageError: S805 when the run has none.
    """
    spans = workspace.store.read_spans(run.spec.name)
    if not spans:
        raise UsageError(
            Problem(
                code="S805",
                what=f"Run {run.spec.name} has no spans of aggregation nodes.",
                fix="Only flows with aggregation nodes have them; leave --aggregation away for a line.",
            )
        )
    duration_ms = (max(span.end_ns for span in spans) - min(span.start_ns for span in spans)) / 1e6
    heading = describe_line(f"{run.spec.name} · aggregation", run.status, duration_ms, 0)
    return Trace(heading=heading, spans=spans, problem=run.problem)
