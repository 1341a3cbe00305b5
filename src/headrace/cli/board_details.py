"""What the board in the terminal says below its tables: slices, losses, variants with models, judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.cli.table import Cell, Column, render_table
from headrace.cli.terminal import Terminal, wrap_text
from headrace.domain.comparison import Comparison, JudgeQuality, MetricComparison, Provenance, Slice
from headrace.evaluation import wording
from headrace.evaluation.report.board import known_p, signed_estimate
from headrace.evaluation.report.methods import tries_sentence

TEXT_WIDTH = 100
"""Sentences are not wider than this, whatever the terminal."""

_NOTHING = "\N{EN DASH}"
_MAX_LOSSES = 5
_MAX_SLICES = 12


def render_details(comparison: Comparison, shown: str, terminal: Terminal) -> list[str]:
    """The parts that there is something to say in.

    Args:
        comparison: The comparison.
        shown: The arm that is shown against the baseline.
        terminal: For its width and colours.
    """
    metric = comparison.primary
    if metric is None:
        return []
    tries = tries_sentence(metric)
    sentences = [
        *([tries] if tries else []),
        *_losses(metric, shown),
        *_interactions(metric, comparison.provenance),
        *_judges(comparison),
    ]
    said = dimmed(sentences, terminal)
    return [
        *_main_effects(metric, terminal),
        *_slices(comparison, metric, shown, terminal),
        *([said] if said else []),
    ]


def dimmed(sentences: Iterable[str], terminal: Terminal) -> str:
    """Sentences that are less than the numbers, each beginning a line."""
    return "\n".join(
        terminal.out.paint(line, "dim")
        for sentence in sentences
        for line in wrap_text(sentence, min(terminal.width, TEXT_WIDTH))
    )


def _main_effects(metric: MetricComparison, terminal: Terminal) -> Iterator[str]:
    """What each level of a factor is worth by itself."""
    if not metric.main_effects:
        return
    columns = [
        Column(title="factor", least=8, wraps=True),
        Column(title="level", least=8, wraps=True),
        Column(title="over", least=8, wraps=True),
        Column(title="gain", is_right=True),
        Column(title="p", is_right=True),
    ]
    rows = [
        [
            Cell(item.factor),
            Cell(item.level),
            Cell(item.baseline_level),
            Cell(_NOTHING if item.difference is None else signed_estimate(item.difference)),
            Cell(known_p(item.p_adjusted)),
        ]
        for item in metric.main_effects
    ]
    yield render_table(columns, rows, ink=terminal.out, width=terminal.width)


def _slices(
    comparison: Comparison, metric: MetricComparison, shown: str, terminal: Terminal
) -> Iterator[str]:
    if not metric.slices or shown == comparison.baseline:
        return
    columns = [
        Column(title="slice", least=14, wraps=True),
        Column(title="lines", is_right=True),
        Column(title=comparison.baseline, is_right=True, least=6),
        Column(title=shown, is_right=True, least=6),
        Column(title="difference", is_right=True),
        Column(title="verdict"),
    ]
    rows = [_slice_row(item, comparison.baseline, shown) for item in metric.slices[:_MAX_SLICES]]
    text = render_table(columns, rows, ink=terminal.out, width=terminal.width)
    left = len(metric.slices) - _MAX_SLICES
    if left > 0:
        note = f"{wording.count(left, 'more slice')} in the HTML report"
        text += "\n" + terminal.out.paint(note, "dim")
    yield text


def _slice_row(item: Slice, baseline: str, shown: str) -> list[Cell]:
    effect = item.effect_of(shown)
    texts = [
        _NOTHING if (mean := item.mean_of(arm)) is None else wording.number(mean.value)
        for arm in (baseline, shown)
    ]
    difference = None if effect is None else effect.difference
    return [
        Cell(f"{item.column} {item.value}".rstrip()),
        Cell(f"{item.n_lines:,}"),
        *map(Cell, texts),
        Cell(_NOTHING if difference is None else wording.signed(difference.value)),
        Cell(_NOTHING if effect is None else effect.verdict.word),
    ]


def _losses(metric: MetricComparison, shown: str) -> Iterator[str]:
    effect = metric.effect_of(shown)
    if effect is None or not effect.worst_lines:
        return
    worst = ", ".join(
        f"{loss.line_id} ({wording.MINUS}{wording.number(loss.loss)})"
        for loss in effect.worst_lines[:_MAX_LOSSES]
    )
    lost = wording.count(effect.losses, "line")
    yield f"{shown} does worse than {effect.against} on {lost}, most on {worst}."


def _interactions(metric: MetricComparison, provenance: Provenance) -> Iterator[str]:
    """Variants that help one model more than another, where interval and p say so."""
    for item in metric.interaction:
        difference = item.difference
        if difference is None or difference.interval is None or not difference.interval.excludes_zero:
            continue
        if item.p_adjusted is None or item.p_adjusted > provenance.alpha:
            continue
        p = f", {wording.p_name(provenance.family)} {wording.p_value(item.p_adjusted)}"
        more = "more" if difference.value > 0 else "less"
        yield (
            f"{item.variant} gains {wording.number(abs(difference.value))} {more} over {item.baseline_variant} with "
            f"{item.model} than with {item.baseline_model} ({wording.span(difference.interval)}{p})."
        )


def _judges(comparison: Comparison) -> Iterator[str]:
    for metric in comparison.metrics:
        if metric.judge is not None:
            yield _judge(metric.spec.name, metric.judge)


def _judge(metric: str, judge: JudgeQuality) -> str:
    text = f"{metric} is judged by {', '.join(judge.versions) or judge.evaluator}"
    for item in judge.agreements:
        numbers = (item.weighted_kappa, item.kappa, item.alpha)
        known = next((number for number in numbers if number is not None), None)
        if known is not None:
            kind = "alpha" if known is item.alpha and item.kappa is None else "kappa"
            text += f"; {item.between} agree with {kind} {known:.2f} ({wording.count(item.n, 'answer')})"
    return f"{text}. {judge.note}".rstrip()
