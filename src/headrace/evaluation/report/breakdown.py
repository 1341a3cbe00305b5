"""Breakdowns in the HTML report: variants by models, slices, largest losses, and how good the judges are."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from headrace.domain.comparison import (
    Agreement,
    Comparison,
    Estimate,
    InteractionEffect,
    JudgeQuality,
    MetricComparison,
    Slice,
)
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import UNKNOWN, Cell, plain_span, rank_for_reading
from headrace.evaluation.report.elements import SYMBOLS, Head, cut, lead, name, percent, row, table, value
from headrace.evaluation.report.page import render_section

_NUMBER = "number"
_LEVELS = 5
_MAX_ID = 80


def heat_section(comparison: Comparison) -> Iterator[str]:
    """Means of variants by models, and whether a variant helps one model more than another."""
    metric = comparison.primary
    if metric is None or not metric.interaction:
        return
    content = _heat_map(metric) + _interactions(metric)
    yield render_section("interaction", interaction_title(metric), content)


def interaction_title(metric: MetricComparison) -> str:
    """What the interactions of a metric are about."""
    is_usual = all(item.factors == ("variant", "model") for item in metric.interaction)
    return "Variants and models" if is_usual else "Factors together"


def _heat_map(metric: MetricComparison) -> str:
    first = metric.interaction[0]
    variants = list(dict.fromkeys([first.baseline_variant, *(item.variant for item in metric.interaction)]))
    models = list(dict.fromkeys([first.baseline_model, *(item.model for item in metric.interaction)]))
    means = {score.arm: score.mean.value for score in metric.scores if score.mean is not None}
    if not any(f"{variant}/{model}" in means for variant in variants for model in models):
        return ""  # arms that were named otherwise: which of them is which cell is not known
    low, high = min(means.values()), max(means.values())
    heads = [Head(text="Variant"), *(Head(text=model, css="heat") for model in models)]
    rows = []
    for variant in variants:
        cells = []
        for model in models:
            mean = means.get(f"{variant}/{model}")
            if mean is None:
                cells.append(UNKNOWN)
                continue
            share = 0.5 if high == low else (mean - low) / (high - low)
            level = min(
                int((share if metric.spec.direction == "higher" else 1 - share) * _LEVELS), _LEVELS - 1
            )
            cells.append(f'<span class="heat-cell c{level}">{wording.number(mean)}</span>')
        rows.append(row(heads, name(variant), cells))
    caption = f"Mean {escape(metric.spec.name)} of every variant with every model; darker is better."
    return table("heat-table", caption, heads, rows, css="board narrow")


def _interactions(metric: MetricComparison) -> str:
    first = metric.interaction[0]
    is_usual = interaction_title(metric) == "Variants and models"
    heads = [
        Head(text="Variant" if is_usual else "Level"),
        Head(text="Model" if is_usual else "With"),
        Head(text="Extra gain", css=_NUMBER),
        Head(text="Adjusted p", css=_NUMBER),
    ]
    rows = [
        row(heads, name(item.variant), [name(item.model), _extra(item), _p(item.p_adjusted)])
        for item in metric.interaction
    ]
    if not is_usual:
        caption = (
            "How much more a level gains over that of the baseline together with a level of another factor than "
            "without; zero where its gain does not depend on the other factor."
        )
        return table("interaction-table", caption, heads, rows, css="board narrow")
    caption = (
        f"How much more a variant gains over {escape(first.baseline_variant)} on a model than on "
        f"{escape(first.baseline_model)}; zero where its gain does not depend on the model."
    )
    return table("interaction-table", caption, heads, rows, css="board narrow")


def _extra(item: InteractionEffect) -> str:
    if item.difference is None:
        return UNKNOWN
    interval = item.difference.interval
    note = "" if interval is None else wording.span(interval)
    return value(Cell(value=wording.signed(item.difference.value), note=note))


def _p(p: float | None) -> str:
    return UNKNOWN if p is None else wording.p_value(p)


def slice_section(comparison: Comparison) -> Iterator[str]:
    """One table per column that was asked for."""
    metric = comparison.primary
    if metric is None or not metric.slices:
        return
    columns = dict.fromkeys(item.column for item in metric.slices)
    tables = "".join(_slice_table(comparison, metric, column, index) for index, column in enumerate(columns))
    text = (
        f"{metric.spec.name} in parts of the data, below it the difference to {comparison.baseline}. "
        "p is adjusted over all slices and arms, so a verdict here stands by itself."
    )
    yield render_section("slices", "Slices", lead(text) + tables)


def _slice_table(comparison: Comparison, metric: MetricComparison, column: str, index: int) -> str:
    slices = [item for item in metric.slices if item.column == column]
    arms = rank_for_reading(metric, comparison.baseline)
    heads = [
        Head(text=column),
        Head(text="Lines", css=_NUMBER),
        *(Head(text=arm, css=_NUMBER) for arm in arms),
    ]
    rows = [
        row(
            heads,
            escape(item.value) or "(empty)",
            [f"{item.n_lines:,}", *(_slice_cell(item, arm) for arm in arms)],
        )
        for item in slices
    ]
    return table(f"slice-{index}", f"By {escape(column)}", heads, rows)


def _slice_cell(item: Slice, arm: str) -> str:
    mean = next((score.mean for score in item.scores if score.arm == arm), None)
    effect = next((effect for effect in item.effects if effect.arm == arm), None)
    text = UNKNOWN if mean is None else wording.number(mean.value)
    if effect is None or effect.difference is None:
        return value(Cell(value=text))
    word = effect.verdict.word
    return (
        f'<span class="value {word} tone"><span role="img" aria-label="{word}">{SYMBOLS[word]}</span> {text}</span>'
        f'<span class="small">{wording.signed(effect.difference.value)}</span>'
    )


def regression_section(comparison: Comparison, context: ReportContext) -> Iterator[str]:
    """The largest losses of every arm, with the way to their answers."""
    metric = comparison.primary
    effects = [effect for effect in metric.effects if effect.worst_lines] if metric is not None else []
    if metric is None or not effects:
        return
    answers = {line.line_id: place for place, line in enumerate(context.sample_lines)}
    heads = [Head(text="Arm"), Head(text="Lost", css=_NUMBER), Head(text="Largest losses", css="wide")]
    rows = []
    for effect in effects:
        links = []
        for loss in effect.worst_lines:
            text = escape(cut(loss.line_id, _MAX_ID))
            if loss.line_id in answers:
                text = f'<a href="#line-{answers[loss.line_id]}">{text}</a>'
            amount = f"{wording.MINUS}{wording.number(loss.loss)}"
            links.append(f'<span class="loss">{text} <span class="small-inline">{amount}</span></span>')
        rows.append(
            row(heads, name(effect.arm), [f"{effect.losses:,} of {effect.n_pairs:,}", " ".join(links)])
        )
    caption = (
        f"Lines on which an arm does worse than {escape(comparison.baseline)} on {escape(metric.spec.name)}."
    )
    content = table("regressions-table", caption, heads, rows)
    yield render_section("regressions", "Worst regressions", content)


def judge_section(comparison: Comparison) -> Iterator[str]:
    """How far the scores that models give can be trusted."""
    parts = [
        _judge(metric, metric.judge, index)
        for index, metric in enumerate(comparison.metrics)
        if metric.judge is not None
    ]
    if parts:
        yield render_section("judges", "How good the judges are", "".join(parts))


def _judge(metric: MetricComparison, judge: JudgeQuality, index: int) -> str:
    versions = f" ({', '.join(judge.versions)})" if judge.versions else ""
    text = f"Scores come from {judge.evaluator}{versions}. "
    text += f"{wording.count(judge.n_labels, 'answer')} with a human label, {judge.n_random_labels:,} drawn at random."
    if judge.label_weight is not None:
        text += f" The judge's scores count {judge.label_weight:.2f} beside the labels."
    parts = [f"<h3>{escape(metric.spec.name)}</h3>", lead(f"{text} {judge.note}".strip())]
    if judge.agreements:
        heads = [
            Head(text="Between"),
            Head(text="Raters", css="wide"),
            *(
                Head(text=text, css=_NUMBER)
                for text in ("Answers", "Same", "Kappa", "Weighted kappa", "Krippendorff's alpha")
            ),
        ]
        rows = [_agreement(heads, item) for item in judge.agreements]
        parts.append(
            table(
                f"judge-{index}",
                "1 is perfect agreement, 0 is what chance alone gives.",
                heads,
                rows,
                css="board narrow",
            )
        )
    corrected = [score for score in metric.scores if score.corrected is not None]
    if corrected:
        heads = [Head(text="Arm"), Head(text="Judge", css=_NUMBER), Head(text="Corrected", css=_NUMBER)]
        rows = [
            row(
                heads,
                name(score.arm),
                [
                    UNKNOWN if score.mean is None else wording.number(score.mean.value),
                    _corrected(score.corrected),
                ],
            )
            for score in corrected
        ]
        parts.append(
            table(f"corrected-{index}", "Means, corrected by human labels.", heads, rows, css="board narrow")
        )
    return "".join(parts)


def _corrected(estimate: Estimate | None) -> str:
    if estimate is None:
        return UNKNOWN
    return value(Cell(value=wording.number(estimate.value), note=plain_span(estimate)))


def _agreement(heads: list[Head], item: Agreement) -> str:
    numbers = [item.kappa, item.weighted_kappa, item.alpha]
    cells = [
        escape(", ".join(item.raters)),
        f"{item.n:,}",
        percent(item.exact),
        *(UNKNOWN if number is None else f"{number:.2f}" for number in numbers),
    ]
    return row(heads, escape(item.between), cells)
