"""What ``headrace doctor`` found, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal
from headrace.cli.wording import plural
from headrace.domain.project import FlowReport, FlowState, Need, ProjectReport

_STATES: Mapping[FlowState, tuple[str, str]] = {
    "runs": ("green", "\N{CHECK MARK}"),
    "needs setup": ("yellow", "!"),
    "does not run": ("red", "\N{MULTIPLICATION X}"),
}
_PLAIN_MARKS: Mapping[FlowState, str] = {"runs": "ok", "needs setup": "!", "does not run": "x"}
_COLUMNS = (
    Column(title=""),
    Column(title="flow", least=12),
    Column(title="kind"),
    Column(title="state", least=20, wraps=True),
)


def render_flows(report: ProjectReport, terminal: Terminal) -> str:
    """A row per flow: its state, its kind, and what it still needs; then what to do about each need once."""
    ink = terminal.out
    rows = [_row(flow, has_unicode=terminal.has_unicode) for flow in report.flows]
    width = terminal.width if terminal.has_tty_out else None
    counts = Counter(flow.state for flow in report.flows)
    words = ", ".join(_counted(counts[state], state) for state in _STATES if counts[state])
    title = ink.paint(
        f"{plural(len(report.flows), 'flow')}: {words}." if report.flows else "No flows.", "bold"
    )
    parts = [title]
    if rows:
        parts.append(render_table(_COLUMNS, rows, ink=ink, width=width))
    needs = _unmet(report)
    if needs:
        parts.append(
            "\n".join([ink.paint("To set up", "bold"), *(f"  {_need_line(need)}" for need in needs)])
        )
    return "\n\n".join(parts)


def _counted(n: int, state: FlowState) -> str:
    """``1 runs``, ``2 run``."""
    verb, _, rest = state.partition(" ")
    plural_verb = {"runs": "run", "needs": "need", "does": "do"}[verb]
    return f"{n} {verb if n == 1 else plural_verb} {rest}".rstrip()


def _row(flow: FlowReport, *, has_unicode: bool) -> tuple[Cell | str, ...]:
    color, mark = _STATES[flow.state]
    if not has_unicode:
        mark = _PLAIN_MARKS[flow.state]
    return (Cell(mark, (color, "bold")), flow.path, flow.kind, _state(flow))


def _state(flow: FlowReport) -> str:
    unmet = [need for need in flow.needs if not need.is_met]
    n_errors = sum(problem.severity == "error" for problem in flow.problems)
    parts = []
    if n_errors:
        parts.append(f"does not run: {plural(n_errors, 'error')}")
    if unmet:
        parts.append("needs " + ", ".join(f"{need.kind} {need.name}" for need in unmet))
    return "; ".join(parts) or "runs"


def _unmet(report: ProjectReport) -> list[Need]:
    first: dict[tuple[str, str], Need] = {}
    for flow in report.flows:
        for need in flow.needs:
            if not need.is_met:
                first.setdefault((need.kind, need.name), need)
    return sorted(first.values(), key=lambda need: (need.kind, need.name))


def _need_line(need: Need) -> str:
    place = f"  ({need.span})" if need.span else ""
    return f"{need.kind} {need.name}: {need.note}{place}"


def project_to_json(report: ProjectReport) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "flows": [
            {
                "path": flow.path,
                "kind": flow.kind,
                "state": flow.state,
                "needs": [
                    {
                        "kind": need.kind,
                        "name": need.name,
                        "is_met": need.is_met,
                        "place": str(need.span) if need.span else None,
                        "note": need.note,
                    }
                    for need in flow.needs
                ],
                "problems": [problem.to_json() for problem in flow.problems],
            }
            for flow in report.flows
        ],
        "problems": [problem.to_json() for problem in report.problems],
    }
