"""Whether a variant helps one model more than another: differences of differences, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headrace.domain.comparison import Estimate, InteractionEffect
from headrace.domain.scores import ArmLines, MetricKind
from headrace.evaluation.adjustment import Plan
from headrace.evaluation.effects import (
    Yardstick,
    difference_interval_of,
    difference_test,
    paired_differences,
)
from headrace.evaluation.line_scores import ScoreTable
from headrace.evaluation.stats.estimate import mean


@dataclass(frozen=True, kw_only=True, slots=True)
class _Square:
    """Four arms: two variants crossed with two models; the baseline arm is one of them."""

    variant: ArmLines
    model: ArmLines
    both: ArmLines
    baseline: ArmLines


def measure_interaction(
    arms: Sequence[ArmLines], baseline: ArmLines, table: ScoreTable, yardstick: Yardstick, plan: Plan
) -> tuple[InteractionEffect, ...]:
    """The difference that each variant makes on each model, less the one that it makes on the baseline's model.

    Paired by line over the lines that all four arms score. A difference of differences of scores in [0, 1] lies in
    [-2, 2] and is no yes-or-no score any more, so intervals and tests are those of graded scores.

    Source: the interaction contrast of a 2 by 2 layout with repeated measures; Kirk (2013), Experimental Design,
    4th ed., section 10.3.
    """
    metric = yardstick.metric
    kind: MetricKind = "unbounded" if metric.spec.kind == "unbounded" else "graded"
    widened = replace(
        yardstick,
        metric=replace(metric, spec=replace(metric.spec, kind=kind), value_range=2.0 * metric.value_range),
    )
    found = [_measure(square, table, widened) for square in _squares(arms, baseline)]
    adjusted = plan.adjust([effect.p_raw for effect in found])
    return tuple(replace(effect, p_adjusted=p) for effect, p in zip(found, adjusted, strict=True))


def _squares(arms: Sequence[ArmLines], baseline: ArmLines) -> Iterator[_Square]:
    cells = {(arm.variant, arm.model): arm for arm in arms}
    if len(cells) < len(arms):  # several arms of one variant and model: it is not they that tell arms apart
        return
    for (variant, model), both in cells.items():
        if variant == baseline.variant or model == baseline.model:
            continue
        variant_cell = cells.get((variant, baseline.model))
        model_cell = cells.get((baseline.variant, model))
        if variant_cell is not None and model_cell is not None:
            yield _Square(variant=variant_cell, model=model_cell, both=both, baseline=baseline)


def _measure(square: _Square, table: ScoreTable, yardstick: Yardstick) -> InteractionEffect:
    on_model = paired_differences(table.counted[square.both.arm], table.counted[square.model.arm])
    on_base = paired_differences(table.counted[square.variant.arm], table.counted[square.baseline.arm])
    by_line = {line: value - on_base[line] for line, value in on_model.items() if line in on_base}
    clusters = yardstick.clusters.names(by_line) if yardstick.clusters else None
    differences = list(by_line.values())
    estimate = None
    p_raw = None
    if differences:
        interval = difference_interval_of(differences, yardstick, clusters)
        estimate = Estimate(value=mean(differences), interval=interval, n=len(differences))
        p_raw, _ = difference_test(differences, yardstick, clusters)
    return InteractionEffect(
        variant=square.both.variant or "",
        model=square.both.model or "",
        baseline_variant=square.baseline.variant or "",
        baseline_model=square.baseline.model or "",
        difference=estimate,
        p_raw=p_raw,
        p_adjusted=None,
    )
