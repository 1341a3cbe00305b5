"""Lines of a run as a log shows them: one row each, with the error and what the tools printed below."""

from __future__ import annotations

from headrace.cli.run_view import STATUS_STYLES
from headrace.cli.terminal import Ink, one_line
from headrace.cli.wording import duration, plural
from headrace.domain.run import LineResult


def render_line_report(line: LineResult, *, ink: Ink) -> str:
    """Number, status, time and tokens of a line; then its problem and the prints of its nodes, indented."""
    facts = [duration(line.duration_ms)] if line.end_ns else []
    if line.usage.total_tokens:
        facts.append(plural(line.usage.total_tokens, "token"))
    status = ink.paint(f"{line.status:<9}", *STATUS_STYLES.get(line.status, ()))
    rows = [f"line {line.line_number:<6} {status}  {', '.join(facts)}".rstrip()]
    if line.problem is not None:
        problem = line.problem
        rows.append(ink.paint(f"  {problem.code} {problem.name}: {one_line(problem.what)}", "red"))
    for node in line.nodes:
        rows += [
            ink.paint(f"  {node.node}: {one_line(text)}", "dim")
            for printed in node.logs.values()
            for text in printed.splitlines()
        ]
    return "\n".join(rows)
