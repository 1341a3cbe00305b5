"""A comparison as one self-contained HTML file, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from headrace.domain.comparison import Comparison, MetricComparison, PairedEffect, Recommendation
from headrace.domain.report import ReportContext, SampleLine, SampleOutput
from headrace.evaluation import wording
from headrace.evaluation.recommendation import ship_recommendation
from headrace.evaluation.report.board import BoardRow, Cell, board_rows, shown_score, signed_estimate
from headrace.evaluation.report.headline import decision_of, headline
from headrace.evaluation.report.methods import method_sentences, metric_facts
from headrace.evaluation.report.page import render_header, render_page, render_section
from headrace.evaluation.report.plots import (
    difference_axis,
    difference_scale,
    interval_track,
    quality_points,
    quality_prices,
    scatter,
)

#: Lines shown with the answers of the arms.
MAX_SAMPLE_LINES = 20

_MAX_TEXT = 2_000
_MAX_SUMMARY = 110
_MARKS = {"ship": "\N{CHECK MARK}", "keep": "=", "undecided": "?"}
_SYMBOLS = {
    "better": "\N{BLACK UP-POINTING TRIANGLE}",
    "worse": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "equivalent": "=",
    "inconclusive": "?",
    "baseline": "\N{BLACK CIRCLE}",
}
_JOINT = re.compile(r"([_./:-])")


def render_html(comparison: Comparison, context: ReportContext) -> str:
    """Render a comparison as one HTML file that loads nothing from anywhere.

    Plots are inline SVG; every text of the user is escaped; no script is used.
    """
    recommendation = ship_recommendation(comparison)
    body = [
        _header(comparison, context),
        _verdict_card(comparison, recommendation),
        *([f'<p class="note">{escape(context.model_note)}</p>'] if context.model_note else []),
        *_primary_sections(comparison, recommendation, context),
        *_secondary_section(comparison, context),
        *_caveat_section(comparison),
        *_sample_section(context),
        _method_section(comparison),
        *_reproduce_section(comparison, context),
    ]
    return render_page(
        body,
        title=context.title,
        skip=("board", "Skip to the results"),
        footer="Made by headrace. Every number can be made again from the recorded runs.",
    )


def _header(comparison: Comparison, context: ReportContext) -> str:
    lines = max((arm.n_lines for arm in comparison.arms), default=0)
    facts = {
        "Flow": context.flow,
        "Data": context.dataset,
        "Lines": f"{lines:,}",
        "Arms": f"{len(comparison.arms)}",
        "Baseline": comparison.baseline,
        "Created": f"{context.created_at:%Y-%m-%d %H:%M} UTC",
    }
    return render_header(context.title, facts)


def _verdict_card(comparison: Comparison, recommendation: Recommendation) -> str:
    decision = decision_of(comparison, recommendation)
    return (
        f'<main><div class="verdict-card {decision}" role="region" aria-labelledby="verdict">'
        f'<div class="mark" aria-hidden="true">{_MARKS[decision]}</div>'
        f'<div><h2 id="verdict">{escape(headline(comparison, recommendation))}</h2>'
        f"<p>{escape(recommendation.reason)}</p></div></div>"
    )


def _primary_sections(
    comparison: Comparison, recommendation: Recommendation, context: ReportContext
) -> Iterator[str]:
    metric = comparison.primary
    if metric is None:
        return
    name = escape(metric.spec.name)
    yield render_section(
        "board",
        f"{name}, arm by arm",
        _lead(metric, context) + _board(comparison, metric, recommendation),
    )
    if metric.effects:
        yield render_section(
            "effects", f"Difference to {escape(comparison.baseline)}", _forest(metric, comparison)
        )
    yield from _scatter_section(comparison, metric)


def _lead(metric: MetricComparison, context: ReportContext) -> str:
    note = context.metric_notes.get(metric.spec.name, "")
    text = f"{note} {metric_facts(metric)}".strip()
    return f'<p class="lead">{escape(text)}</p>'


def _board(comparison: Comparison, metric: MetricComparison, recommendation: Recommendation) -> str:
    level = f"{(1.0 - comparison.provenance.alpha) * 100:g}%"
    heads = [
        ("Arm", ""),
        (f"{metric.spec.name}", "number"),
        ("Difference", "number"),
        ("Adjusted p", "number"),
        ("Verdict", ""),
        ("Tokens", "number"),
        ("Cost", "number"),
        ("Latency p50", "number"),
        ("p95", "number"),
        ("Failed", "number"),
    ]
    columns = "".join(f'<th scope="col" class="{css}">{escape(head)}</th>' for head, css in heads)
    rows = "".join(
        _board_row(row, [head for head, _ in heads], is_chosen=row.arm == recommendation.arm)
        for row in board_rows(comparison, metric)
    )
    return (
        '<div class="scroll" role="region" aria-labelledby="board-caption" tabindex="0">'
        '<table class="board" role="table"><caption id="board-caption">'
        f"Mean and paired difference to {escape(comparison.baseline)}, each with its {level} interval; "
        "\N{MULTIPLICATION SIGN} compares with the baseline, line by line."
        f'</caption><thead role="rowgroup"><tr role="row">{columns}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table></div>'
    )


def _board_row(row: BoardRow, heads: Sequence[str], *, is_chosen: bool) -> str:
    cells = (row.score, row.difference, row.p, None, row.tokens, row.cost, row.p50, row.p95, row.failed)
    texts = "".join(
        f'<td role="cell" data-label="{escape(head)}">{_chip(row.verdict)}</td>'
        if cell is None
        else f'<td role="cell" class="number" data-label="{escape(head)}">{_cell(cell)}</td>'
        for head, cell in zip(heads[1:], cells, strict=True)
    )
    css = ' class="chosen"' if is_chosen else ""
    chosen = '<span class="small">recommended</span>' if is_chosen else ""
    return f'<tr role="row"{css}><th scope="row" role="rowheader">{_name(row.arm)}{chosen}</th>{texts}</tr>'


def _cell(cell: Cell) -> str:
    note = f'<span class="small">{escape(cell.note)}</span>' if cell.note else ""
    return f'<span class="value">{escape(cell.value)}</span>{note}'


def _chip(word: str) -> str:
    return f'<span class="chip {word}"><span aria-hidden="true">{_SYMBOLS[word]}</span> {word}</span>'


def _forest(metric: MetricComparison, comparison: Comparison) -> str:
    scale = difference_scale(metric)
    rows = "".join(f"<li>{_forest_row(effect, metric)}</li>" for effect in metric.effects)
    left, right = ("worse", "better") if metric.spec.direction == "higher" else ("better", "worse")
    margin = ""
    if metric.spec.margin is not None:
        margin = " The shaded band is the margin within which a difference does not matter."
    return (
        f'<figure><ul class="forest">{rows}</ul>'
        f'<div class="forest-axis"><div>{difference_axis(scale)}'
        f'<div class="sides"><span>\N{LEFTWARDS ARROW} {left}</span><span>{right} \N{RIGHTWARDS ARROW}</span>'
        f"</div></div></div><figcaption>Paired difference in {escape(metric.spec.name)} to "
        f"{escape(comparison.baseline)} with its interval; the dashed line is no difference.{margin}"
        "</figcaption></figure>" + _reasons(metric.effects)
    )


def _forest_row(effect: PairedEffect, metric: MetricComparison) -> str:
    label = f'<div class="label">{_name(effect.arm)}</div>'
    if effect.difference is None:
        return f'{label}<div></div><div class="reading">no paired line</div>'
    reading = signed_estimate(effect.difference)
    track = interval_track(
        effect.difference,
        effect.verdict.word,
        difference_scale(metric),
        label=f"{effect.arm}: {reading}, {effect.verdict.word}",
        margin=metric.spec.margin,
    )
    chip = _chip(effect.verdict.word)
    return (
        f'{label}<div class="track-cell">{track}</div><div class="reading"><span>{reading}</span>{chip}</div>'
    )


def _reasons(effects: Sequence[PairedEffect]) -> str:
    items = "".join(
        f"<li><strong>{escape(effect.arm)}</strong>: {escape(effect.verdict.reason)} {_counts(effect)}</li>"
        for effect in effects
    )
    return f'<h3>Why</h3><ul class="plain">{items}</ul>'


def _counts(effect: PairedEffect) -> str:
    if not effect.n_pairs:
        return ""
    text = f"Won {effect.wins:,}, lost {effect.losses:,}, tied {effect.ties:,}."
    if effect.probability_better is not None:
        text += f" Probability of being better: {_probability(effect.probability_better)}."
    if effect.without_failed is not None:
        text += f" Without failed lines: {signed_estimate(effect.without_failed)}."
    if effect.worst_lines:
        worst = ", ".join(line.line_id for line in effect.worst_lines[:5])
        text += f" Largest losses: {worst}."
    return escape(text)


def _probability(p: float) -> str:
    if p > 0.999:
        return "> 99.9%"
    return "< 0.1%" if p < 0.001 else f"{p * 100:.1f}%"


def _scatter_section(comparison: Comparison, metric: MetricComparison) -> Iterator[str]:
    prices = quality_prices(comparison)
    points = quality_points(metric, prices) if prices is not None else ()
    if prices is None or len(points) < 2:
        return
    what = "cost" if prices.is_cost else "tokens"
    title = f"{metric.spec.name} against {what}"
    plot = scatter(points, prices, metric, label=title)
    side = "higher" if metric.spec.direction == "higher" else "lower"
    fallback = "" if prices.is_cost else " Tokens stand in for cost, because not every price is known."
    caption = (
        f"{side.capitalize()} and further left is better. Filled: no other arm is as good and as cheap; "
        f"hollow: some arm is.{fallback}"
    )
    yield render_section(
        "quality-cost",
        escape(title),
        f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>",
    )


def _secondary_section(comparison: Comparison, context: ReportContext) -> Iterator[str]:
    others = comparison.metrics[1:]
    if not others:
        return
    parts = [_secondary_metric(comparison, metric, context) for metric in others]
    yield render_section("other-metrics", "Other metrics", "".join(parts))


def _secondary_metric(comparison: Comparison, metric: MetricComparison, context: ReportContext) -> str:
    heads = ("Mean", "Difference", "Adjusted p", "Verdict")
    columns = "".join(
        f'<th scope="col" class="{"" if head == "Verdict" else "number"}">{head}</th>' for head in heads
    )
    rows = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{_name(row.arm)}</th>'
        + "".join(
            f'<td role="cell" class="number" data-label="{head}">{_cell(cell)}</td>'
            for head, cell in zip(heads, (row.score, row.difference, row.p), strict=False)
        )
        + f'<td role="cell" data-label="Verdict">{_chip(row.verdict)}</td></tr>'
        for row in board_rows(comparison, metric)
    )
    return (
        f"<h3>{escape(metric.spec.name)}</h3>{_lead(metric, context)}"
        '<div class="scroll"><table class="board" role="table">'
        f"<caption>{escape(metric.spec.name)} per arm</caption>"
        f'<thead role="rowgroup"><tr role="row"><th scope="col">Arm</th>{columns}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table></div>'
    )


def _caveat_section(comparison: Comparison) -> Iterator[str]:
    if comparison.warnings:
        yield render_section("caveats", "Before you trust this", _bullets(comparison.warnings))


def _sample_section(context: ReportContext) -> Iterator[str]:
    shown = context.sample_lines[:MAX_SAMPLE_LINES]
    if not shown:
        return
    total = len(context.sample_lines)
    lead = (
        f"{len(shown)} of {total} lines are shown."
        if len(shown) < total
        else f"{wording.count(total, 'line')}."
    )
    lines = "".join(_sample(line, is_open=index == 0) for index, line in enumerate(shown))
    yield render_section("lines", "Lines that differ", f'<p class="lead">{lead}</p>{lines}')


def _sample(line: SampleLine, *, is_open: bool) -> str:
    start = _cut(" ".join(line.inputs.split()), _MAX_SUMMARY)
    reference = ""
    if line.reference is not None:
        reference = f"<h3>Reference</h3>{_line_text(line.reference)}"
    rows = "".join(_sample_row(output) for output in line.outputs)
    answers = (
        f"<h3>Answers</h3><table><caption>Answers to line {escape(line.line_id)}</caption>"
        '<thead><tr><th scope="col">Arm</th><th scope="col">Answer</th>'
        '<th scope="col" class="number">Score</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return (
        f'<details{" open" if is_open else ""}><summary><span class="id">{escape(line.line_id)}</span>'
        f'<span class="start">{escape(start)}</span></summary><h3>Inputs</h3>{_line_text(line.inputs)}'
        f"{reference}{answers if line.outputs else ''}</details>"
    )


def _line_text(text: str) -> str:
    return f'<div class="line-text">{escape(_cut(text, _MAX_TEXT))}</div>'


def _sample_row(output: SampleOutput) -> str:
    if output.error is None:
        answer = escape(_cut(output.text, _MAX_TEXT))
    else:
        answer = f'<span class="error">Failed:</span> {escape(_cut(output.error, _MAX_TEXT))}'
    score = shown_score(output) or "\N{EM DASH}"
    return (
        f'<tr><th scope="row">{_name(output.arm)}</th><td class="answer">{answer}</td>'
        f'<td class="number">{score}</td></tr>'
    )


def _method_section(comparison: Comparison) -> str:
    return render_section("methods", "How the numbers were made", _bullets(method_sentences(comparison)))


def _reproduce_section(comparison: Comparison, context: ReportContext) -> Iterator[str]:
    provenance = comparison.provenance
    settings = f"Seed {provenance.seed}, alpha {provenance.alpha:g}, family {provenance.family}."
    commands = f"<pre><code>{escape(chr(10).join(context.commands))}</code></pre>" if context.commands else ""
    yield (
        render_section("reproduce", "Make it again", f'{commands}<p class="lead">{escape(settings)}</p>')
        + "</main>"
    )


def _bullets(sentences: Sequence[str]) -> str:
    return f'<ul class="plain">{"".join(f"<li>{escape(text)}</li>" for text in sentences)}</ul>'


def _name(arm: str) -> str:
    """The name of an arm, allowed to break where its parts meet."""
    return _JOINT.sub(r"\1<wbr>", escape(arm))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\N{HORIZONTAL ELLIPSIS}"
