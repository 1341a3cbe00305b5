"""Recorded runs as one self-contained HTML page: what each line was given, what came out, what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from headrace.domain.run import CANCELED, COMPLETED, FAILED, LineResult, NodeResult, Run
from headrace.errors import Problem
from headrace.evaluation import wording
from headrace.evaluation.report.page import render_header, render_page, render_section
from headrace.evaluation.report.style import STYLE

#: Lines on one page; failed ones come before others when there are more.
MAX_LINES = 2_000

_MAX_TEXT = 20_000
_MAX_START = 110
_TONES = {COMPLETED: "better", FAILED: "worse", CANCELED: "inconclusive"}

_RUNS_STYLE = """
.filter { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 0 0 14px; font-size: 0.9rem; }
.only { position: absolute; opacity: 0; pointer-events: none; }
.filter label { cursor: pointer; color: var(--soft); border-bottom: 2px solid transparent; padding: 2px 0; }
#all-lines:checked ~ .filter label[for=all-lines], #failed-lines:checked ~ .filter label[for=failed-lines] {
  color: var(--ink); font-weight: 600; border-color: var(--accent); }
#all-lines:focus-visible ~ .filter label[for=all-lines], #failed-lines:focus-visible ~ .filter label[for=failed-lines] {
  outline: 3px solid var(--accent); outline-offset: 2px; }
#failed-lines:checked ~ .lines > .ended-well { display: none; }
.lines > details { content-visibility: auto; contain-intrinsic-size: auto 46px; }
summary .chip { margin-right: 8px; }
.values { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: 6px 16px;
  margin: 6px 0 12px; font-size: 0.9rem; }
.values dt { color: var(--soft); padding-top: 6px; max-width: 16rem; overflow-wrap: anywhere; }
.values dd { margin: 0; background: var(--code); border-radius: 8px; padding: 6px 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.problem { border-left: 3px solid var(--bad); padding: 2px 0 2px 14px; margin: 8px 0 12px; font-size: 0.92rem; }
.problem p { margin: 0 0 4px; max-width: 90ch; }
h3 .small, th .small { font-weight: 400; }
details details { border: 0; padding: 4px 0; }
details details:last-of-type { border: 0; }
details details summary { color: var(--soft); font-size: 0.88rem; }
@media (max-width: 760px) {
  .values { grid-template-columns: minmax(0, 1fr); gap: 2px; }
  .values dd { margin-bottom: 8px; }
}
@media print { .filter { display: none; } .lines > details { content-visibility: visible; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run with its recorded lines, in order of line number."""

    run: Run
    lines: Sequence[LineResult]


def render_runs(recorded: Sequence[RecordedRun], *, created_at: datetime) -> str:
    """Render one or more runs as one HTML file that loads nothing; lines of several runs stand together by number.

    Every text of the user is escaped; no script is used.
    """
    first = recorded[0].run.spec
    title = (first.display_name or first.name) if len(recorded) == 1 else f"{len(recorded)} runs side by side"
    facts = {
        "Flow": _joined(item.run.spec.flow_name for item in recorded),
        "Data": _joined(item.run.spec.data_path or "" for item in recorded),
        "Created": f"{created_at:%Y-%m-%d %H:%M} UTC",
    }
    body = [
        render_header(_text(title), facts),
        "<main>",
        render_section("runs", "Runs" if len(recorded) > 1 else "The run", _runs(recorded)),
        *_lines_section(recorded),
        "</main>",
    ]
    return render_page(
        body,
        title=_text(title),
        skip=("lines", "Skip to the lines"),
        footer="Made by headrace from recorded runs; nothing was run for it.",
        style=STYLE + _RUNS_STYLE,
    )


def _joined(texts: Iterator[str]) -> str:
    return _text(", ".join(dict.fromkeys(text for text in texts if text)))


def _runs(recorded: Sequence[RecordedRun]) -> str:
    rows = [_facts(item.run) for item in recorded]
    heads = [
        head
        for head in dict.fromkeys(name for row in rows for name in row)
        if any(row.get(head) for row in rows)
    ]
    columns = "".join(f'<th scope="col" class="number">{_html(head)}</th>' for head in heads)
    body = "".join(_run_row(item.run, row, heads) for item, row in zip(recorded, rows, strict=True))
    problems = "".join(_problem(item.run.problem) for item in recorded if item.run.problem is not None)
    return (
        '<div class="scroll" role="region" aria-label="Runs" tabindex="0"><table class="board" role="table">'
        '<thead role="rowgroup"><tr role="row"><th scope="col">Run</th><th scope="col">Status</th>'
        f'{columns}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>{problems}'
    )


def _facts(run: Run) -> dict[str, str]:
    """Numbers about a run by the heads of their columns."""
    ended = run.finished_at
    return {
        "Lines": f"{run.n_lines:,}",
        "Failed": f"{run.n_failed:,}",
        "Tokens": f"{run.usage.total_tokens:,}" if run.usage.total_tokens else "",
        "Cost": "" if run.usage.cost_usd is None else wording.cost(run.usage.cost_usd),
        "Time": "" if ended is None else wording.duration((ended - run.created_at).total_seconds() * 1000),
        **{name: _metric(value) for name, value in run.metrics.items()},
    }


def _run_row(run: Run, facts: Mapping[str, str], heads: Sequence[str]) -> str:
    cells = "".join(
        f'<td role="cell" class="number" data-label="{_html(head)}">{_html(facts.get(head, ""))}</td>'
        for head in heads
    )
    spec = run.spec
    notes = [
        spec.display_name if spec.display_name != spec.name else None,
        spec.description,
        spec.variant,
        spec.model,
        f"evaluates {spec.source_run}" if spec.source_run else None,
        *(f"{name}: {value}" for name, value in spec.tags.items()),
    ]
    small = "".join(f'<span class="small">{_html(note)}</span>' for note in notes if note)
    return (
        f'<tr role="row"><th scope="row" role="rowheader">{_html(spec.name)}{small}</th>'
        f'<td role="cell" data-label="Status">{_chip(run.status)}</td>{cells}</tr>'
    )


def _metric(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _plain(value)
    return wording.number(value)


def _lines_section(recorded: Sequence[RecordedRun]) -> Iterator[str]:
    by_run = [{line.line_number: line for line in item.lines} for item in recorded]
    numbers = sorted({number for lines in by_run for number in lines})
    failed = {number for lines in by_run for number, line in lines.items() if line.status != COMPLETED}
    shown = numbers
    if len(numbers) > MAX_LINES:
        shown = sorted(sorted(numbers, key=lambda number: (number not in failed, number))[:MAX_LINES])
    lead = f"{len(shown):,} of {len(numbers):,} lines, the failed ones first." if shown != numbers else ""
    names = [item.run.spec.name for item in recorded]
    lines = "".join(
        _line(number, [found.get(number) for found in by_run], names, is_open=len(numbers) == 1)
        for number in shown
    )
    content = f'<p class="lead">{lead}</p>' if lead else ""
    if failed and len(failed) < len(numbers):
        content += (
            '<input class="only" type="radio" name="only" id="all-lines" checked>'
            '<input class="only" type="radio" name="only" id="failed-lines">'
            f'<div class="filter"><label for="all-lines">All {len(numbers):,}</label>'
            f'<label for="failed-lines">Failed {len(failed):,}</label></div>'
        )
    content += f'<div class="lines">{lines}</div>' if lines else '<p class="lead">No line is recorded.</p>'
    yield render_section("lines", "Lines", content)


def _line(number: int, results: Sequence[LineResult | None], names: Sequence[str], *, is_open: bool) -> str:
    found = [(name, result) for name, result in zip(names, results, strict=True) if result is not None]
    is_well = all(result.status == COMPLETED for _, result in found)
    first = found[0][1]
    start = " ".join(_plain(value) for value in first.inputs.values())
    chips = "" if is_well else "".join(_chip(result.status) for _, result in found)
    several = len(names) > 1
    parts = [_values("Inputs", first.inputs)]
    for name, result in found:
        others = {
            key: value
            for key, value in result.inputs.items()
            if key not in first.inputs or _plain(value) != _plain(first.inputs[key])
        }
        parts.append(_result(result, f"{name}: " if several else "", others))
    return (
        f'<details class="{"ended-well" if is_well else "ended-badly"}"{" open" if is_open else ""}>'
        f'<summary><span class="id">{number}</span>{chips}<span class="start">{_html(_start(start))}</span></summary>'
        f"{''.join(parts)}</details>"
    )


def _result(result: LineResult, owner: str, other_inputs: Mapping[str, Any]) -> str:
    facts = [result.status.lower()]
    if result.end_ns:
        facts.append(wording.duration(result.duration_ms))
    if result.usage.total_tokens:
        facts.append(wording.count(result.usage.total_tokens, "token"))
    heading = f'<h3>{_html(owner)}Outputs <span class="small">{", ".join(facts)}</span></h3>'
    problem = _problem(result.problem) if result.problem is not None else ""
    return (
        (_values(f"{owner}Inputs", other_inputs) if other_inputs else "")
        + heading
        + problem
        + _value_list(result.outputs)
        + _nodes(result.nodes)
    )


def _values(heading: str, values: Mapping[str, Any]) -> str:
    return f"<h3>{_html(heading)}</h3>{_value_list(values)}"


def _value_list(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    rows = "".join(
        f'<dt>{_html(name)}</dt><dd tabindex="-1">{_html(_cut(_plain(value)))}</dd>'
        for name, value in values.items()
    )
    return f'<dl class="values">{rows}</dl>'


def _problem(problem: Problem) -> str:
    place = f"<p>{_html(str(problem.span))}</p>" if problem.span else ""
    fix = f"<p>{_html(problem.fix)}</p>" if problem.fix else ""
    detail = f"<pre>{_html(_cut(chr(10).join(problem.detail)))}</pre>" if problem.detail else ""
    return (
        f'<div class="problem"><p><span class="error">{problem.code} {problem.name}</span> '
        f"{_html(problem.what)}</p>{place}{fix}{detail}</div>"
    )


def _nodes(nodes: Sequence[NodeResult]) -> str:
    if not nodes:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_html(node.node)}</th><td>{_chip(node.status)}</td>'
        f'<td class="number">{wording.duration(node.duration_ms) if node.end_ns else ""}</td>'
        f'<td class="number">{f"{node.usage.total_tokens:,}" if node.usage.total_tokens else ""}</td>'
        f'<td class="answer">{_html(_cut(_node_text(node)))}</td></tr>'
        for node in nodes
    )
    head = "".join(
        f'<th scope="col" class="{css}">{name}</th>'
        for name, css in (
            ("Node", ""),
            ("Status", ""),
            ("Time", "number"),
            ("Tokens", "number"),
            ("Output", ""),
        )
    )
    return (
        f"<details><summary>{wording.count(len(nodes), 'node')}</summary>"
        '<div class="scroll" role="region" aria-label="Nodes" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _node_text(node: NodeResult) -> str:
    """Output of a node, then what it printed."""
    output = [] if node.output is None else [_plain(node.output)]
    return "\n".join([*output, *(text.rstrip("\n") for text in node.logs.values())])


def _chip(status: str) -> str:
    return f'<span class="chip {_TONES.get(status, "equivalent")}">{status}</span>'


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _start(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_START else f"{line[:_MAX_START]}\N{HORIZONTAL ELLIPSIS}"


def _cut(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[:_MAX_TEXT]}\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"


def _text(text: str) -> str:
    """``text`` as a file can hold it: half of an emoji becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _html(text: str) -> str:
    return escape(_text(text))
