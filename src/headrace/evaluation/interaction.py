"""Whether a variant helps one model more than another, and other pairs of factors likewise, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

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

_NAMED_ALONE = ("variant", "model", "flow")
"""Factors whose levels are read without the name of the factor before them."""

_Levels = tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Square:
    """Four arms: two levels of one factor crossed with two of another, all other factors the same."""

    variant: ArmLines
    model: ArmLines
    both: ArmLines
    baseline: ArmLines


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contrast:
    """One interaction effect: its levels, as they are read, and the squares that it is the mean of."""

    factors: tuple[str, str]
    levels: tuple[str, str]
    baseline_levels: tuple[str, str]
    squares: tuple[_Square, ...]


def measure_interaction(
    arms: Sequence[ArmLines], baseline: ArmLines, table: ScoreTable, yardstick: Yardstick, plan: Plan
) -> tuple[InteractionEffect, ...]:
    """The difference that each variant makes on each model, less the one that it makes on the baseline's model.

    The same for any two factors of a design, as the mean over all settings of its other factors for which all four
    arms are there. Paired by line over the lines that all these arms score. A difference of differences of scores in
    [0, 1] lies in [-2, 2] and is no yes-or-no score any more, so intervals and tests are those of graded scores.

    Source: the interaction contrast of a 2 by 2 layout with repeated measures; Kirk (2013), Experimental Design,
    4th ed., section 10.3; its mean over other factors is the two-factor interaction of a full factorial.
    """
    metric = yardstick.metric
    kind: MetricKind = "unbounded" if metric.spec.kind == "unbounded" else "graded"
    widened = replace(
        yardstick,
        metric=replace(metric, spec=replace(metric.spec, kind=kind), value_range=2.0 * metric.value_range),
    )
    found = [_measure(contrast, table, widened) for contrast in _contrasts(arms, baseline)]
    adjusted = plan.adjust([effect.p_raw for effect in found])
    return tuple(replace(effect, p_adjusted=p) for effect, p in zip(found, adjusted, strict=True))


def _contrasts(arms: Sequence[ArmLines], baseline: ArmLines) -> Iterator[_Contrast]:
    names = tuple(baseline.factors) or ("variant", "model")
    cells: dict[_Levels, ArmLines] = {}
    for arm in arms:
        if baseline.factors and tuple(arm.factors) != names:
            return  # arms of several designs: what tells them apart is not known
        levels = tuple(arm.factors.values()) if baseline.factors else (arm.variant, arm.model)
        cells[levels] = arm
    if len(cells) < len(arms):  # several arms of one variant and model: it is not they that tell arms apart
        return
    base = next(levels for levels, arm in cells.items() if arm.arm == baseline.arm)
    for first, second in combinations(range(len(names)), 2):
        pairs = dict.fromkeys((levels[first], levels[second]) for levels in cells)
        for one, other in pairs:
            if one == base[first] or other == base[second]:
                continue
            squares = tuple(_squares(cells, base, first, one, second, other))
            if squares:
                yield _Contrast(
                    factors=(names[first], names[second]),
                    levels=(_text(names[first], one), _text(names[second], other)),
                    baseline_levels=(
                        _text(names[first], base[first]),
                        _text(names[second], base[second]),
                    ),
                    squares=squares,
                )


def _squares(
    cells: Mapping[_Levels, ArmLines],
    base: _Levels,
    first: int,
    one: str | None,
    second: int,
    other: str | None,
) -> Iterator[_Square]:
    """The squares of two levels against those of the baseline, one for each setting of the other factors."""

    def at(levels: _Levels, level_one: str | None, level_other: str | None) -> ArmLines | None:
        changed = {first: level_one, second: level_other}
        return cells.get(tuple(changed.get(place, level) for place, level in enumerate(levels)))

    for levels, both in cells.items():
        if (levels[first], levels[second]) != (one, other):
            continue
        variant, model = at(levels, one, base[second]), at(levels, base[first], other)
        baseline = at(levels, base[first], base[second])
        if variant is not None and model is not None and baseline is not None:
            yield _Square(variant=variant, model=model, both=both, baseline=baseline)


def _text(factor: str, level: str | None) -> str:
    return level or "" if factor in _NAMED_ALONE else f"{factor}={level}"


def _measure(contrast: _Contrast, table: ScoreTable, yardstick: Yardstick) -> InteractionEffect:
    by_square = [_differences(square, table) for square in contrast.squares]
    lines = [line for line in by_square[0] if all(line in found for found in by_square)]
    differences = [mean([found[line] for found in by_square]) for line in lines]
    clusters = yardstick.clusters.names(lines) if yardstick.clusters else None
    estimate = None
    p_raw = None
    if differences:
        interval = difference_interval_of(differences, yardstick, clusters)
        estimate = Estimate(value=mean(differences), interval=interval, n=len(differences))
        p_raw, _ = difference_test(differences, yardstick, clusters)
    return InteractionEffect(
        variant=contrast.levels[0],
        model=contrast.levels[1],
        baseline_variant=contrast.baseline_levels[0],
        baseline_model=contrast.baseline_levels[1],
        difference=estimate,
        p_raw=p_raw,
        p_adjusted=None,
        factors=contrast.factors,
    )


def _differences(square: _Square, table: ScoreTable) -> dict[str, float]:
    on_model = paired_differences(table.counted[square.both.arm], table.counted[square.model.arm])
    on_base = paired_differences(table.counted[square.variant.arm], table.counted[square.baseline.arm])
    return {line: value - on_base[line] for line, value in on_model.items() if line in on_base}
