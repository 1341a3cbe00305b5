"""How the answers of a gate leave the command: text, JSON, Markdown, JUnit XML, or what a workflow of GitHub reads."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.cli.compare_outputs import cannot_write
from headrace.cli.render import workflow_command
from headrace.cli.session import Session
from headrace.domain.gate import GateResult, GateSpec
from headrace.evaluation.report.as_json import comparison_to_plain
from headrace.evaluation.report.gate import (
    gate_to_plain,
    render_gate_junit,
    render_gate_markdown,
    render_gate_text,
)
from headrace.operations.gate_comparison import GateReport
from headrace.source import SourceMap, Span

GATE_FORMS = ("text", "json", "markdown", "junit", "github")
_LEVELS = {"passed": "notice", "failed": "error", "undecided": "error"}
_SUMMARY = "GITHUB_STEP_SUMMARY"


def render_gate(
    report: GateReport,
    form: str,
    source_map: SourceMap | None = None,
    file: str | None = None,
    *,
    is_undecided_let: bool = False,
) -> str:
    """The answers in one of ``GATE_FORMS``.

    Args:
        report: The answers.
        form: See above.
        source_map: Where the questions stand that stand in a file.
        file: The experiment file; ``None`` without one.
        is_undecided_let: Whether the gate lets through what is undecided.
    """
    title = report.comparison.context.title
    if form == "json":
        comparison = comparison_to_plain(report.comparison.comparison, report.comparison.context)
        return json.dumps({"gate": gate_to_plain(report.results), **comparison}, ensure_ascii=False, indent=2)
    if form == "markdown":
        return render_gate_markdown(report.results, title)
    if form == "junit":
        return render_gate_junit(report.results, title, is_undecided_let=is_undecided_let)
    if form == "github":
        return "\n".join(
            _annotation(result, _place(result.spec, source_map, file), is_undecided_let=is_undecided_let)
            for result in report.results
        )
    return render_gate_text(report.results, title)


def _place(spec: GateSpec, source_map: SourceMap | None, file: str | None) -> Span | None:
    """Where a question stands; the beginning of the experiment file for one that came from the command line."""
    if source_map is not None and spec.pointer:
        return source_map.span(spec.pointer)
    return Span(file=file, line=1, column=1, end_line=1, end_column=1) if file else None


def _annotation(result: GateResult, place: Span | None, *, is_undecided_let: bool) -> str:
    level = "warning" if result.outcome == "undecided" and is_undecided_let else _LEVELS[result.outcome]
    title = f"Gate {result.outcome}: {result.spec.arm} on {result.spec.metric}"
    properties = (
        {} if place is None else {"file": place.file, "line": f"{place.line}", "col": f"{place.column}"}
    )
    return workflow_command(level, {**properties, "title": title}, result.evidence)


def append_summary(session: Session, report: GateReport) -> None:
    """Add the answers to the summary that GitHub shows of a workflow's step, where there is one.

    Raises:
        StateError: S808 when the file that GitHub names cannot be written.
    """
    name = session.settings.environment.get(_SUMMARY)
    if not name:
        return
    text = render_gate_markdown(report.results, report.comparison.context.title)
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise cannot_write(Path(name)) from error
