"""A comparison in the terminal: verdict, one row per arm, what it used, what to know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.cli.board_details import TEXT_WIDTH, dimmed, render_details
from headrace.cli.forest import Axis, draw_interval, make_axis
from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal, wrap_text
from headrace.domain.comparison import (
    ArmSummary,
    Comparison,
    Estimate,
    MetricComparison,
    PairedEffect,
    Recommendation,
    Verdict,
)
from headrace.domain.race import RaceResult
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.report.board import (
    interval_level,
    metric_title,
    plain_span,
    rank_for_reading,
    shown_arm,
)
from headrace.evaluation.report.elements import chance
from headrace.evaluation.report.headline import decision_of, headline
from headrace.evaluation.report.race import RACE_HEADER, race_rows, race_sentences

WIDE = 112
"""Columns from which on intervals stand beside their numbers and not below them."""

_ARM = Column(title="arm", least=14, wraps=True)
"""Names of arms often differ at their end only: they are wrapped and never cut."""

_NOTHING = "\N{EN DASH}"
_DECISION_STYLES: Mapping[str, tuple[str, ...]] = {
    "ship": ("green", "bold"),
    "keep": ("bold",),
    "undecided": ("yellow", "bold"),
}
_MARKS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "better": ("\N{BLACK UP-POINTING TRIANGLE}", "^", ("green", "bold")),
    "worse": ("\N{BLACK DOWN-POINTING TRIANGLE}", "v", ("red", "bold")),
    "equivalent": ("\N{IDENTICAL TO}", "=", ("cyan",)),
    "inconclusive": ("\N{MIDDLE DOT}", "?", ("yellow",)),
}


def render_board(
    comparison: Comparison, recommendation: Recommendation, context: ReportContext, terminal: Terminal
) -> str:
    """The whole board as text without a final line end."""
    parts = [
        _verdict(comparison, recommendation, terminal),
        _about(comparison, context, terminal),
        *_quality(comparison, recommendation, context.race, terminal),
        *_race(context.race, terminal),
        _other_metrics(comparison, terminal),
        _spending(comparison, terminal),
        *render_details(comparison, shown_arm(comparison, recommendation), terminal),
        _warnings(comparison, terminal),
        _notes(comparison, context, terminal),
    ]
    return "\n\n".join(part for part in parts if part)


def _verdict(comparison: Comparison, recommendation: Recommendation, terminal: Terminal) -> str:
    lead = headline(comparison, recommendation) + "."
    styles = _DECISION_STYLES[decision_of(comparison, recommendation)]
    lines = wrap_text(f"{lead} {recommendation.reason}", min(terminal.width, TEXT_WIDTH))
    lines[0] = lines[0].replace(lead, terminal.out.paint(lead, *styles), 1)
    return "\n".join(lines)


def _about(comparison: Comparison, context: ReportContext, terminal: Terminal) -> str:
    facts = [context.title, context.flow, context.dataset, wording.count(len(comparison.arms), "arm")]
    text = " \N{MIDDLE DOT} ".join(dict.fromkeys(fact for fact in facts if fact))
    return "\n".join(
        terminal.out.paint(line, "dim") for line in wrap_text(text, min(terminal.width, TEXT_WIDTH))
    )


def _quality(
    comparison: Comparison, recommendation: Recommendation, race: RaceResult | None, terminal: Terminal
) -> list[str]:
    metric = comparison.primary
    if metric is None:
        return []
    arms = {
        arm: _arm_cell(arm, comparison, recommendation, is_dropped=race is not None and arm in race.dropped)
        for arm in rank_for_reading(metric, comparison.baseline)
    }
    if terminal.width >= WIDE:
        return [_wide_quality(comparison, metric, arms, terminal)]
    return [_narrow_quality(comparison, metric, arms, terminal)]


def _race(race: RaceResult | None, terminal: Terminal) -> list[str]:
    """When each arm left the race, and what that saved."""
    if race is None:
        return []
    leaving = {"behind": 1, "evidence": 2, "tokens": 3}
    columns = [
        _ARM,
        *(
            Column(title=title, is_right=title in ("calls", "tokens", "cost"), leaves=leaving.get(title))
            for title in RACE_HEADER[1:]
        ),
    ]
    rows = [[Cell(text or _NOTHING) for text in row] for row in race_rows(race)]
    table = render_table(columns, rows, ink=terminal.out, width=terminal.width)
    return [f"{table}\n{dimmed(race_sentences(race), terminal)}"]


def _level(comparison: Comparison) -> str:
    return f"{interval_level(comparison)} interval"


def _wide_quality(
    comparison: Comparison,
    metric: MetricComparison,
    arms: Mapping[str, Cell],
    terminal: Terminal,
) -> str:
    level = _level(comparison)
    axis = make_axis([effect.difference for effect in metric.effects])
    columns = [
        _ARM,
        Column(title=metric_title(metric), is_right=True, least=16),
        Column(title=level),
        Column(title=f"vs {comparison.baseline}", is_right=True, least=14),
        Column(title=level),
        Column(title="p", is_right=True),
        *_chance_columns(metric),
        Column(title="verdict"),
        Column(title=_axis_title(axis), leaves=1),
    ]
    rows = [
        [
            cell,
            _mean_cell(metric.score_of(arm).mean),
            Cell(plain_span(metric.score_of(arm).mean), ("dim",)),
            *_with_chance(metric, arm, _effect_cells(metric.effect_of(arm), terminal)),
            _forest_cell(metric.effect_of(arm), axis, terminal),
        ]
        for arm, cell in arms.items()
    ]
    return render_table(columns, rows, ink=terminal.out, width=terminal.width)


def _narrow_quality(
    comparison: Comparison,
    metric: MetricComparison,
    arms: Mapping[str, Cell],
    terminal: Terminal,
) -> str:
    """Two lines per arm: numbers, and below them their intervals."""
    columns = [
        _ARM,
        Column(title=metric_title(metric), is_right=True, least=16),
        Column(title=f"vs {comparison.baseline}", is_right=True, least=18),
        Column(title="p", is_right=True),
        *_chance_columns(metric),
        Column(title="verdict"),
    ]
    rows: list[list[Cell]] = []
    for arm, cell in arms.items():
        effect = metric.effect_of(arm)
        difference, span, p, verdict = _effect_cells(effect, terminal)
        mean = metric.score_of(arm).mean
        chance = _chance_cells(metric, arm)
        numbers = [_mean_cell(mean), difference, p, *chance, verdict]
        rows.append([cell, *numbers])
        empty = [Cell("")] * (2 + len(chance))
        rows.append([Cell(""), Cell(plain_span(mean), ("dim",)), span, *empty])
    table = render_table(columns, rows, ink=terminal.out, width=terminal.width)
    return table + "\n" + terminal.out.paint(f"below each number its {_level(comparison)}", "dim")


def _knows_chances(metric: MetricComparison) -> bool:
    return any(score.p_best is not None for score in metric.scores)


def _chance_columns(metric: MetricComparison) -> list[Column]:
    """The chance to be the best of all arms, where it is known and there is room."""
    if not _knows_chances(metric):
        return []
    note = "best: chance to be the best of all arms; * may be the best"
    return [Column(title="best", is_right=True, leaves=2, note=note)]


def _chance_cells(metric: MetricComparison, arm: str) -> list[Cell]:
    score = metric.score_of(arm)
    if not _knows_chances(metric):
        return []
    mark = "*" if score.in_best_set else " "
    return [Cell(f"{chance(score.p_best)} {mark}", () if score.in_best_set else ("dim",))]


def _with_chance(metric: MetricComparison, arm: str, cells: Sequence[Cell]) -> list[Cell]:
    """The chance stands before the verdict."""
    *numbers, verdict = cells
    return [*numbers, *_chance_cells(metric, arm), verdict]


def _arm_cell(arm: str, comparison: Comparison, recommendation: Recommendation, *, is_dropped: bool) -> Cell:
    if is_dropped:
        return Cell(f"{arm} (dropped)", ("dim",))
    if arm == recommendation.arm:
        return Cell(arm, ("bold",))
    return Cell(arm, ("dim",) if arm == comparison.baseline else ())


def _mean_cell(estimate: Estimate | None) -> Cell:
    return Cell(_NOTHING if estimate is None else wording.number(estimate.value))


def _effect_cells(effect: PairedEffect | None, terminal: Terminal) -> tuple[Cell, Cell, Cell, Cell]:
    """Difference, its interval, p and verdict; the baseline has none of them."""
    if effect is None:
        return Cell("baseline", ("dim",)), Cell(""), Cell(""), Cell("")
    difference = effect.difference
    if difference is None:
        return Cell(_NOTHING), Cell(""), Cell(_NOTHING), _verdict_cell(effect.verdict, terminal)
    span = "" if difference.interval is None else wording.span(difference.interval)
    p = _NOTHING if effect.p_adjusted is None else wording.p_value(effect.p_adjusted)
    return (
        Cell(wording.signed(difference.value)),
        Cell(span, ("dim",)),
        Cell(p),
        _verdict_cell(effect.verdict, terminal),
    )


def _verdict_cell(verdict: Verdict, terminal: Terminal) -> Cell:
    """The word with a mark, so that colour is not its only carrier."""
    return Cell(f"{_mark(verdict.word, terminal)} {verdict.word}", _MARKS[verdict.word][2])


def _mark(word: str, terminal: Terminal) -> str:
    mark, ascii_mark, _ = _MARKS[word]
    return mark if terminal.has_unicode else ascii_mark


def _axis_title(axis: Axis | None) -> str:
    return (
        ""
        if axis is None
        else f"{wording.signed(axis.low)} \N{HORIZONTAL ELLIPSIS} {wording.signed(axis.high)}"
    )


def _forest_cell(effect: PairedEffect | None, axis: Axis | None, terminal: Terminal) -> Cell:
    if axis is None:
        return Cell("")
    difference = None if effect is None else effect.difference
    styles = () if effect is None else _MARKS[effect.verdict.word][2]
    return Cell(draw_interval(difference, axis, has_unicode=terminal.has_unicode), styles or ("dim",))


def _other_metrics(comparison: Comparison, terminal: Terminal) -> str:
    """Means of the further metrics, each with the mark of its verdict."""
    further = comparison.metrics[1:]
    if not further or comparison.primary is None:
        return ""
    arms = rank_for_reading(comparison.primary, comparison.baseline)
    columns = [
        _ARM,
        *(Column(title=metric_title(metric), is_right=True, least=10) for metric in further),
    ]
    rows = [[Cell(arm), *(_further_cell(metric, arm, terminal) for metric in further)] for arm in arms]
    marks = "   ".join(f"{_mark(word, terminal)} {word}" for word in _MARKS)
    table = render_table(columns, rows, ink=terminal.out, width=terminal.width)
    return table + "\n" + terminal.out.paint(f"against the baseline:  {marks}", "dim")


def _further_cell(metric: MetricComparison, arm: str, terminal: Terminal) -> Cell:
    mean = _mean_cell(metric.score_of(arm).mean).text
    effect = metric.effect_of(arm)
    if effect is None:
        return Cell(mean, ("dim",))
    word = effect.verdict.word
    return Cell(f"{_mark(word, terminal)} {mean}", _MARKS[word][2])


def _spending(comparison: Comparison, terminal: Terminal) -> str:
    """What every arm used: lines, failures, tokens, cost and latency."""
    columns = [
        _ARM,
        Column(title="lines", is_right=True),
        Column(title="failed", is_right=True),
        Column(title="tokens", is_right=True),
        Column(title="cost", is_right=True),
        Column(title="p50", is_right=True),
        Column(title="p95", is_right=True),
    ]
    rows = [_spending_row(comparison.summary_of(arm)) for arm in _arms_in_order(comparison)]
    return render_table(columns, rows, ink=terminal.out, width=terminal.width)


def _arms_in_order(comparison: Comparison) -> list[str]:
    if comparison.primary is None:
        return [summary.arm for summary in comparison.arms]
    return rank_for_reading(comparison.primary, comparison.baseline)


def _spending_row(summary: ArmSummary) -> list[Cell]:
    times = "" if summary.repeats <= 1 else f" \N{MULTIPLICATION SIGN} {summary.repeats}"
    return [
        Cell(summary.arm),
        Cell(f"{summary.n_lines:,}{times}"),
        Cell(f"{summary.n_failed:,}", ("red", "bold") if summary.n_failed else ("dim",)),
        Cell(_NOTHING if summary.total_tokens is None else f"{summary.total_tokens:,}"),
        Cell(_NOTHING if summary.cost_usd is None else wording.cost(summary.cost_usd)),
        _latency_cell(summary.latency_p50_ms),
        _latency_cell(summary.latency_p95_ms),
    ]


def _latency_cell(estimate: Estimate | None) -> Cell:
    return Cell(_NOTHING if estimate is None else wording.duration(estimate.value))


def _warnings(comparison: Comparison, terminal: Terminal) -> str:
    lines: list[str] = []
    for warning in comparison.warnings:
        wrapped = wrap_text(warning, min(terminal.width, TEXT_WIDTH), lead="! ")
        lines += [wrapped[0].replace("!", terminal.out.paint("!", "yellow", "bold"), 1), *wrapped[1:]]
    return "\n".join(lines)


def _notes(comparison: Comparison, context: ReportContext, terminal: Terminal) -> str:
    provenance = comparison.provenance
    n_others = len(comparison.arms) - 1
    method = (
        f"p is two-sided, adjusted by {provenance.adjustment} over {wording.count(n_others, 'comparison')}."
    )
    if provenance.adjustment == "none":
        method = "p is two-sided and not adjusted."
    return dimmed([method, context.model_note], terminal)
