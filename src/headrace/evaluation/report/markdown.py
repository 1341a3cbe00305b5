"""A comparison as Markdown, for pull requests and chat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.domain.comparison import Comparison, MetricComparison, PairedEffect
from headrace.domain.report import ReportContext, SampleLine
from headrace.evaluation.recommendation import ship_recommendation
from headrace.evaluation.report.board import BoardRow, Cell, board_rows, shown_score, signed_estimate
from headrace.evaluation.report.headline import headline
from headrace.evaluation.report.methods import method_sentences, metric_facts

#: Lines shown with the answers of the arms.
MAX_SAMPLE_LINES = 10

_MAX_TEXT = 300
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_SCORE_COLUMNS = 5
_HEADER = (
    "Arm",
    "{metric} ({level} interval)",
    "Difference",
    "Adjusted p",
    "Verdict",
    "Tokens",
    "Cost",
    "p50",
    "p95",
    "Failed",
)


def render_markdown(comparison: Comparison, context: ReportContext) -> str:
    """Render a comparison as GitHub-flavoured Markdown; all texts of the user are escaped."""
    recommendation = ship_recommendation(comparison)
    blocks = [
        f"# {_escaped(context.title)}",
        f"**{_escaped(headline(comparison, recommendation))}.** {_escaped(recommendation.reason)}",
        _facts(comparison, context),
    ]
    if context.model_note:
        blocks.append(f"> {_escaped(context.model_note)}")
    for metric in comparison.metrics:
        blocks += _metric_blocks(comparison, metric, context)
    if comparison.warnings:
        blocks += ["## Before you trust this", _bullets(comparison.warnings)]
    blocks += _sample_blocks(context)
    blocks += ["## How the numbers were made", _bullets(method_sentences(comparison))]
    if context.commands:
        blocks += ["## Make it again", _fenced("\n".join(context.commands))]
    return "\n\n".join(blocks) + "\n"


def _facts(comparison: Comparison, context: ReportContext) -> str:
    facts = {
        "Flow": context.flow,
        "Data": context.dataset,
        "Baseline": comparison.baseline,
        "Created": f"{context.created_at:%Y-%m-%d %H:%M} UTC",
    }
    return " \N{MIDDLE DOT} ".join(f"{name}: {_escaped(value)}" for name, value in facts.items())


def _metric_blocks(comparison: Comparison, metric: MetricComparison, context: ReportContext) -> Iterator[str]:
    is_primary = metric is comparison.primary
    yield f"## {_escaped(metric.spec.name)}{' (decides)' if is_primary else ''}"
    note = context.metric_notes.get(metric.spec.name, "")
    yield " ".join(_escaped(text) for text in (note, metric_facts(metric)) if text)
    yield _table(comparison, metric, n_columns=len(_HEADER) if is_primary else _SCORE_COLUMNS)
    if metric.effects:
        yield "\n".join(_reason(effect) for effect in metric.effects)


def _table(comparison: Comparison, metric: MetricComparison, *, n_columns: int) -> str:
    level = f"{(1.0 - comparison.provenance.alpha) * 100:g}%"
    names = [_escaped(name.format(metric=metric.spec.name, level=level)) for name in _HEADER]
    rules = ["---", "---:", "---:", "---:", "---", *["---:"] * 5]
    rows = [names, rules, *(_cells(row) for row in board_rows(comparison, metric))]
    return "\n".join(f"| {' | '.join(row[:n_columns])} |" for row in rows)


def _cells(row: BoardRow) -> list[str]:
    scores = (row.score, row.difference, row.p)
    usage = (row.tokens, row.cost, row.p50, row.p95, row.failed)
    return [_escaped(row.arm), *map(_cell, scores), f"**{row.verdict}**", *map(_cell, usage)]


def _cell(cell: Cell) -> str:
    text = _escaped(cell.value)
    return f"{text} ({_escaped(cell.note)})" if cell.note else text


def _reason(effect: PairedEffect) -> str:
    text = f"- **{_escaped(effect.arm)}**: {_escaped(effect.verdict.reason)}"
    if effect.n_pairs:
        text += f" Won {effect.wins:,}, lost {effect.losses:,}, tied {effect.ties:,}."
    if effect.without_failed is not None:
        text += f" Without failed lines: {_escaped(signed_estimate(effect.without_failed))}."
    if effect.worst_lines:
        worst = ", ".join(_escaped(line.line_id) for line in effect.worst_lines[:5])
        text += f" Largest losses: {worst}."
    return text


def _sample_blocks(context: ReportContext) -> Iterator[str]:
    if not context.sample_lines:
        return
    yield "## Lines that differ"
    shown = context.sample_lines[:MAX_SAMPLE_LINES]
    if len(shown) < len(context.sample_lines):
        yield f"{len(shown)} of {len(context.sample_lines)} lines are shown."
    for line in shown:
        yield _sample(line)


def _sample(line: SampleLine) -> str:
    parts = [f"**{_escaped(line.line_id)}** {_short(line.inputs)}", ""]
    if line.reference is not None:
        parts.append(f"- reference: {_short(line.reference)}")
    for output in line.outputs:
        text = f"error: {output.error}" if output.error is not None else output.text
        score = shown_score(output)
        score = f" ({score})" if score else ""
        parts.append(f"- {_escaped(output.arm)}{score}: {_short(text)}")
    return "\n".join(parts)


def _short(text: str) -> str:
    return _escaped(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\N{HORIZONTAL ELLIPSIS}")


def _bullets(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
