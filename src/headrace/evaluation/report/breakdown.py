"""Breakdowns in the HTML report: variants by models, slices, largest losses, and how good the judges are."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from headrace.domain.comparison import (
    Agreement,
    Comparison,
    Estimate,
    JudgeQuality,
    MetricComparison,
)
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import (
    UNKNOWN,
    Cell,
    difference_cell,
    has_usual_factors,
    interaction_heads,
    interaction_title,
    known_p,
    p_head,
    plain_span,
    rank_for_reading,
)
from headrace.evaluation.report.elements import (
    Head,
    answer_places,
    lead,
    line_link,
    marked_mean,
    name,
    percent,
    row,
    shade,
    table,
    value,
)
from headrace.evaluation.report.page import render_section

_NUMBER = "number"


def main_effect_section(comparison: Comparison) -> Iterator[str]:
    """What each level of a factor is worth by itself."""
    metric = comparison.primary
    if metric is None or not metric.main_effects:
        return
    heads = [
        *(Head(text=text) for text in ("Factor", "Level", "Over")),
        *(Head(text=text, css=_NUMBER) for text in ("Gain", p_head(comparison))),
    ]
    rows = [
        row(
            heads,
            name(item.factor),
            [
                name(item.level),
                name(item.baseline_level),
                value(difference_cell(item.difference)),
                escape(known_p(item.p_adjusted)),
            ],
        )
        for item in metric.main_effects
    ]
    caption = (
        "What a level gains over that of the baseline by itself: the mean over all settings of the other factors, "
        "paired by line."
    )
    content = table("main-effects-table", caption, heads, rows, css="board narrow")
    yield render_section("main-effects", "Single factors", content)


def heat_section(comparison: Comparison) -> Iterator[str]:
    """Means of variants by models, and whether a variant helps one model more than another."""
    metric = comparison.primary
    if metric is None or not metric.interaction:
        return
    content = _heat_map(metric) + _interactions(comparison, metric)
    yield render_section("interaction", interaction_title(metric), content)


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
            css = shade(mean, low, high, is_reversed=metric.spec.direction == "lower")
            cells.append(f'<span class="heat-cell {css}">{wording.number(mean)}</span>')
        rows.append(row(heads, name(variant), cells))
    caption = f"Mean {escape(metric.spec.name)} of every variant with every model; darker is better."
    return table("heat-table", caption, heads, rows, css="board narrow")


def _interactions(comparison: Comparison, metric: MetricComparison) -> str:
    first = metric.interaction[0]
    texts = interaction_heads(comparison, metric)
    heads = [*(Head(text=text) for text in texts[:2]), *(Head(text=text, css=_NUMBER) for text in texts[2:])]
    rows = [
        row(
            heads,
            name(item.variant),
            [name(item.model), value(difference_cell(item.difference)), escape(known_p(item.p_adjusted))],
        )
        for item in metric.interaction
    ]
    caption = (
        "How much more a level gains over that of the baseline together with a level of another factor than "
        "without; zero where its gain does not depend on the other factor."
    )
    if has_usual_factors(metric):
        caption = (
            f"How much more a variant gains over {escape(first.baseline_variant)} on a model than on "
            f"{escape(first.baseline_model)}; zero where its gain does not depend on the model."
        )
    return table("interaction-table", caption, heads, rows, css="board narrow")


def slice_section(comparison: Comparison) -> Iterator[str]:
    """One table per column that was asked for."""
    metric = comparison.primary
    if metric is None or not metric.slices:
        return
    columns = dict.fromkeys(item.column for item in metric.slices)
    tables = "".join(_slice_table(comparison, metric, column, index) for index, column in enumerate(columns))
    is_adjusted = comparison.provenance.family != "none"
    text = f"{metric.spec.name} in parts of the data, below it the difference to {comparison.baseline}. " + (
        "p is adjusted over all slices and arms, so a verdict here stands by itself."
        if is_adjusted
        else "p is not adjusted for the number of slices and arms."
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
            [f"{item.n_lines:,}", *(marked_mean(item.mean_of(arm), item.effect_of(arm)) for arm in arms)],
        )
        for item in slices
    ]
    return table(f"slice-{index}", f"By {escape(column)}", heads, rows)


def regression_section(comparison: Comparison, context: ReportContext) -> Iterator[str]:
    """The largest losses of every arm, with the way to their answers."""
    metric = comparison.primary
    effects = [effect for effect in metric.effects if effect.worst_lines] if metric is not None else []
    if metric is None or not effects:
        return
    answers = answer_places(context)
    heads = [Head(text="Arm"), Head(text="Lost", css=_NUMBER), Head(text="Largest losses", css="wide")]
    rows = []
    for effect in effects:
        links = []
        for loss in effect.worst_lines:
            text = line_link(loss.line_id, answers)
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
