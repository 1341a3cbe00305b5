"""The arms in the HTML report: one row each with its effect drawn, why, and every further metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from headrace.domain.comparison import (
    ArmScore,
    Comparison,
    Estimate,
    MetricComparison,
    PairedEffect,
    Recommendation,
)
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import (
    MARKS,
    UNKNOWN,
    BoardRow,
    Cell,
    board_rows,
    interval_level,
    metric_title,
    p_head,
    per_line,
    rank_for_reading,
    signed_estimate,
)
from headrace.evaluation.report.elements import (
    Head,
    chance,
    chip,
    lead,
    marked_mean,
    name,
    row,
    table,
    value,
)
from headrace.evaluation.report.methods import metric_facts, tries_sentence
from headrace.evaluation.report.page import render_section
from headrace.evaluation.report.plots import Scale, difference_axis, difference_scale, interval_track

_NUMBER = "number"


def arm_sections(
    comparison: Comparison, recommendation: Recommendation, context: ReportContext
) -> Iterator[str]:
    """The board of the metric that decides, the reasons for its verdicts, and the other metrics."""
    metric = comparison.primary
    if metric is None:
        return
    content = metric_lead(metric, context) + _board(comparison, metric, recommendation) + _tries(metric)
    yield render_section("board", f"{escape(metric.spec.name)}, arm by arm", content)
    if metric.effects:
        yield render_section("reasons", "Why", _reasons(comparison, metric))
    if comparison.metrics[1:]:
        yield render_section("other-metrics", "Every metric", _every_metric(comparison, context))


def metric_lead(metric: MetricComparison, context: ReportContext) -> str:
    """What the metric measures."""
    note = context.metric_notes.get(metric.spec.name, "")
    return lead(f"{note} {metric_facts(metric)}".strip())


def made(estimate: Estimate | None) -> str:
    """How a number with its interval was made."""
    if estimate is None:
        return ""
    lines = wording.count(estimate.n, "line")
    if estimate.interval is None:
        return f"over {lines}, no interval"
    return f"{wording.level(estimate.interval)} interval: {estimate.interval.method}, over {lines}"


def _board(comparison: Comparison, metric: MetricComparison, recommendation: Recommendation) -> str:
    knows_best = any(score.p_best is not None for score in metric.scores)
    heads = [
        Head(text="Arm"),
        Head(text="Verdict"),
        Head(text=metric.spec.name, css=_NUMBER),
        Head(text=f"Difference to {comparison.baseline}", css="plot"),
        Head(text="Difference", css=_NUMBER),
        Head(text=p_head(comparison), css=_NUMBER),
        *([Head(text="Chance to be best", css=_NUMBER)] if knows_best else []),
        Head(text="Cost", css=_NUMBER),
        Head(text="Latency", css=_NUMBER),
        Head(text="Tokens per line", css=_NUMBER),
        Head(text="Failed", css=_NUMBER),
    ]
    scale = difference_scale(metric)
    found = {item.arm: item for item in board_rows(comparison, metric)}
    rows = [
        _board_row(heads, found[arm], comparison, metric, recommendation, scale, knows_best=knows_best)
        for arm in rank_for_reading(metric, comparison.baseline)
    ]
    caption = (
        f"Best mean first. Below each number its {interval_level(comparison)} interval; "
        f"\N{MULTIPLICATION SIGN} compares with {escape(comparison.baseline)}, line by line. "
        "The dashed line is no difference"
        + (
            ", the shaded band the margin within which a difference does not matter."
            if metric.spec.margin is not None
            else "."
        )
    )
    return table("board-table", caption, heads, rows, foot=_axis_row(heads, metric, scale))


def _axis_row(heads: Sequence[Head], metric: MetricComparison, scale: Scale) -> str:
    if not metric.effects:
        return ""
    left, right = ("worse", "better") if metric.spec.direction == "higher" else ("better", "worse")
    return (
        '<tr role="presentation" class="axis-row"><td colspan="3"></td><td class="plot">'
        f'{difference_axis(scale)}<div class="sides"><span>\N{LEFTWARDS ARROW} {left}</span>'
        f'<span>{right} \N{RIGHTWARDS ARROW}</span></div></td><td colspan="{len(heads) - 4}"></td></tr>'
    )


def _board_row(
    heads: Sequence[Head],
    item: BoardRow,
    comparison: Comparison,
    metric: MetricComparison,
    recommendation: Recommendation,
    scale: Scale,
    *,
    knows_best: bool,
) -> str:
    score, effect = metric.score_of(item.arm), metric.effect_of(item.arm)
    cells = [
        chip(item.verdict),
        value(item.score, made(score.mean)),
        _plot(effect, metric, scale),
        value(item.difference, made(effect.difference if effect is not None else None)),
        value(item.p, effect.method_p if effect is not None else ""),
        *([_chance(score)] if knows_best else []),
        value(item.cost),
        f'{value(item.p50)}<span class="small">p95 {escape(item.p95.value)}</span>',
        value(_tokens(comparison, item.arm)),
        value(item.failed),
    ]
    notes = []
    if item.arm == recommendation.arm:
        notes.append("recommended")
    if score.in_best_set:
        notes.append("may be the best")
    note = f'<span class="small">{", ".join(notes)}</span>' if notes else ""
    css = "chosen" if item.arm == recommendation.arm else ""
    return row(heads, name(item.arm) + note, cells, css=css)


def _tokens(comparison: Comparison, arm: str) -> Cell:
    summary = comparison.summary_of(arm)
    each = per_line(summary.total_tokens or 0, summary)
    if not each:
        return Cell(value=UNKNOWN)
    ratio = summary.token_ratio
    return Cell(
        value=f"{each:,.0f}", note="" if ratio is None else f"{ratio.value:.2f}\N{MULTIPLICATION SIGN}"
    )


def _chance(score: ArmScore) -> str:
    note = "" if score.shrunken is None else f"shrunken {wording.number(score.shrunken.value)}"
    return value(Cell(value=chance(score.p_best), note=note), made(score.shrunken))


def _plot(effect: PairedEffect | None, metric: MetricComparison, scale: Scale) -> str:
    if effect is None:
        return '<span class="small">what the others are compared with</span>'
    if effect.difference is None:
        return '<span class="small">no paired line</span>'
    label = f"{effect.arm}: {signed_estimate(effect.difference)}, {effect.verdict.word}"
    track = interval_track(
        effect.difference, effect.verdict.word, scale, label=label, margin=metric.spec.margin
    )
    return f'<div class="track-cell">{track}</div>'


def _reasons(comparison: Comparison, metric: MetricComparison) -> str:
    order = [metric.effect_of(arm) for arm in rank_for_reading(metric, comparison.baseline)]
    p_name = wording.p_name(comparison.provenance.family)
    items = "".join(
        f"<li>{chip(effect.verdict.word)} <strong>{escape(effect.arm)}</strong>: "
        f"{escape(effect.verdict.reason)} {_counts(effect, p_name)}</li>"
        for effect in order
        if effect is not None
    )
    return f'<ul class="plain reasons">{items}</ul>'


def _counts(effect: PairedEffect, p_name: str) -> str:
    if not effect.n_pairs:
        return ""
    parts = [f"Won {effect.wins:,}, lost {effect.losses:,}, tied {effect.ties:,}."]
    if effect.probability_better is not None:
        parts.append(f"Probability of being better: {chance(effect.probability_better)}.")
    if effect.relative is not None:
        parts.append(f"Relative difference: {wording.signed(effect.relative * 100)}%.")
    if effect.without_failed is not None:
        parts.append(f"Without failed lines: {signed_estimate(effect.without_failed)}.")
    if effect.worst_case is not None:
        low, high = effect.worst_case
        parts.append(
            f"If every missing score had gone against it {wording.signed(low)}, for it {wording.signed(high)}."
        )
    if effect.corrected is not None:
        parts.append(f"Corrected by human labels: {signed_estimate(effect.corrected)}.")
    for test in effect.margin_tests:
        holds = "holds" if test.holds else "does not hold"
        p = "" if test.p_adjusted is None else f" ({p_name} {wording.p_value(test.p_adjusted)})"
        parts.append(f"{test.question.capitalize()} by the margin of {test.margin:g} {holds}{p}.")
    if effect.detectable is not None:
        parts.append(f"Smallest difference that these lines resolve: {wording.number(effect.detectable)}.")
    return f'<span class="more">{escape(" ".join(parts))}</span>'


def _tries(metric: MetricComparison) -> str:
    text = tries_sentence(metric)
    return lead(text) if text else ""


def _every_metric(comparison: Comparison, context: ReportContext) -> str:
    heads = [
        Head(text="Arm"),
        *(Head(text=metric_title(metric), css=_NUMBER) for metric in comparison.metrics),
    ]
    order = rank_for_reading(comparison.metrics[0], comparison.baseline)
    rows = [
        row(heads, name(arm), [_metric_cell(metric, arm) for metric in comparison.metrics]) for arm in order
    ]
    marks = ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
    caption = f"Mean of every metric, below it the difference to {escape(comparison.baseline)}; {marks}."
    return table("metrics-table", caption, heads, rows) + "".join(
        _metric_details(comparison, metric, context) for metric in comparison.metrics[1:]
    )


def _metric_cell(metric: MetricComparison, arm: str) -> str:
    mean = metric.score_of(arm).mean
    return marked_mean(mean, metric.effect_of(arm), made(mean))


def _metric_details(comparison: Comparison, metric: MetricComparison, context: ReportContext) -> str:
    heads = [
        Head(text="Arm"),
        Head(text="Mean", css=_NUMBER),
        Head(text="Difference", css=_NUMBER),
        Head(text=p_head(comparison), css=_NUMBER),
        Head(text="Verdict"),
    ]
    rows = []
    for item in board_rows(comparison, metric):
        score, effect = metric.score_of(item.arm), metric.effect_of(item.arm)
        cells = [
            value(item.score, made(score.mean)),
            value(item.difference, made(effect.difference if effect is not None else None)),
            value(item.p, effect.method_p if effect is not None else ""),
            chip(item.verdict),
        ]
        rows.append(row(heads, name(item.arm), cells))
    place = comparison.metrics.index(metric)
    spec = escape(metric.spec.name)
    return (
        f'<details class="metric"><summary>{spec} in full</summary>{metric_lead(metric, context)}'
        f"{table(f'metric-{place}', f'{spec} per arm', heads, rows)}{_tries(metric)}"
        f"{_reasons(comparison, metric)}</details>"
    )
