"""``headrace run explain``."""

from __future__ import annotations

from typing import Any

import click

from headrace.cli.options import Verb, form_option
from headrace.cli.session import Session
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Ink
from headrace.cli.wording import duration
from headrace.cli.workspace import command_workspace
from headrace.domain.run import Usage
from headrace.errors import ExitCode
from headrace.operations.explain_line import (
    CACHED,
    EXECUTED,
    Change,
    LineExplanation,
    NodeExplanation,
    explain_line,
)

_STYLES = {
    EXECUTED: ("bold",),
    CACHED: ("green",),
    "failed": ("red",),
    "canceled": ("red",),
    "bypassed": ("dim",),
}


@click.command(
    "explain",
    cls=Verb,
    examples=(
        ("Line 17 of a run", "headrace run explain first 17"),
        ("Compared with a certain run, as JSON", "headrace run explain second 17 --against first -o json"),
    ),
)
@click.argument("run", metavar="RUN")
@click.argument("line", metavar="LINE", type=click.IntRange(min=0))
@click.option(
    "--against", metavar="RUN", help="Compare with this run; default: the last one of the same flow and arm."
)
@form_option("json", "table", help="How to print; default table.")
@click.pass_obj
def command(session: Session, *, run: str, line: int, against: str | None, form: str | None) -> int:
    """Say which nodes of a line were called, and what had changed.

    For every node: called, or a kept result used and from which run, bypassed or failed; its
    time and tokens; and what its result depends on that is not what it was in an earlier run:
    code with the names of the files, inputs, model, connection, environment. LINE counts from 0.
    """
    with command_workspace(session) as workspace:
        explanation = explain_line(workspace, run, line, earlier=against)
    if form == "json":
        session.write_json(explanation_to_json(explanation))
    else:
        ink = session.terminal.out
        session.write(render_explanation(explanation, ink=ink, width=session.terminal.width))
    return ExitCode.OK


def render_explanation(explanation: LineExplanation, *, ink: Ink, width: int | None = None) -> str:
    """A heading and one row for each node."""
    line = explanation.line
    heading = f"{explanation.run.spec.name} · line {line.line_number} of {explanation.run.n_lines:,} · {line.status}"
    if explanation.earlier is not None:
        heading += f" · compared with {explanation.earlier}"
    columns = (
        Column(title="node"),
        Column(title="outcome"),
        Column(title="time", is_right=True),
        Column(title="tokens", is_right=True, leaves=1),
        Column(title="why", least=20, wraps=True),
    )
    rows = [
        (
            node.node,
            Cell(node.outcome, _STYLES.get(node.outcome, ())),
            duration(node.duration_ms) if node.duration_ms else "",
            f"{node.usage.total_tokens:,}" if node.usage.total_tokens else "",
            explain_node(node, explanation),
        )
        for node in explanation.nodes
    ]
    return ink.paint(heading, "bold") + "\n\n" + render_table(columns, rows, ink=ink, width=width)


def explain_node(node: NodeExplanation, explanation: LineExplanation) -> str:
    """Why a node was called or not, in words."""
    if node.outcome == EXECUTED and not node.takes_part:
        return "always called" if explanation.run.spec.sources else "the cache was off"
    words = [f"result of run {node.cached_from}"] if node.cached_from is not None else []
    if node.changes:
        words.append(", ".join(_change(change) for change in node.changes))
    elif node.changes is not None and node.outcome == EXECUTED:
        words.append(f"nothing changed since {explanation.earlier}, which kept no result")
    return "; ".join(words)


def _change(change: Change) -> str:
    names = f" ({', '.join(change.names)})" if change.names else ""
    return f"{change.part} changed{names}"


def explanation_to_json(explanation: LineExplanation) -> dict[str, Any]:
    """The same for programs; ``changes`` is null where there is nothing to compare with."""
    return {
        "run": explanation.run.spec.name,
        "line_number": explanation.line.line_number,
        "status": explanation.line.status,
        "compared_with": explanation.earlier,
        "nodes": [
            {
                "node": node.node,
                "outcome": node.outcome,
                "cached_from": node.cached_from,
                "takes_part": node.takes_part,
                "duration_ms": node.duration_ms,
                "usage": _usage(node.usage),
                "changes": None
                if node.changes is None
                else [{"part": change.part, "names": list(change.names)} for change in node.changes],
            }
            for node in explanation.nodes
        ],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost_usd,
    }
