"""Whether a variant helps one model more than another, and other pairs of factors likewise, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from headrace.domain.comparison import InteractionEffect
from headrace.domain.scores import ArmLines
from headrace.evaluation.adjustment import Plan
from headrace.evaluation.design_cells import (
    Levels,
    are_balanced,
    design_cells,
    levels_of,
    line_means,
    mean_contrast,
    not_binary,
)
from headrace.evaluation.effects import (
    Yardstick,
)
from headrace.evaluation.line_scores import ScoreTable

_NAMED_ALONE = ("variant", "model", "flow")
"""Factors whose levels are read without the name of the factor before them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contrast:
    """One interaction effect: its levels, as they are read, and the arms that have both, one or none of them."""

    factors: tuple[str, str]
    levels: tuple[str, str]
    baseline_levels: tuple[str, str]
    both: tuple[ArmLines, ...]
    first: tuple[ArmLines, ...]
    second: tuple[ArmLines, ...]
    none: tuple[ArmLines, ...]


def measure_interaction(
    arms: Sequence[ArmLines], baseline: ArmLines, table: ScoreTable, yardstick: Yardstick, plan: Plan
) -> tuple[InteractionEffect, ...]:
    """The difference that each variant makes on each model, less the one that it makes on the baseline's model.

    The same for any two factors of a design, as the mean over the settings of its other factors. In a fraction of
    resolution 4 or less only settings count for which all four arms are there. Paired by line over the lines that all
    these arms score. A difference of differences of scores in [0, 1] lies in [-2, 2] and is no yes-or-no score any
    more, so intervals and tests are those of graded scores.

    Source: the interaction contrast of a 2 by 2 layout with repeated measures; Kirk (2013), Experimental Design,
    4th ed., section 10.3; its mean over other factors is the two-factor interaction of a full factorial.
    """
    widened = not_binary(yardstick, 2.0 * yardstick.metric.value_range)
    found = [_measure(contrast, table, widened) for contrast in _contrasts(arms, baseline)]
    adjusted = plan.adjust([effect.p_raw for effect in found])
    return tuple(replace(effect, p_adjusted=p) for effect, p in zip(found, adjusted, strict=True))


def _contrasts(arms: Sequence[ArmLines], baseline: ArmLines) -> Iterator[_Contrast]:
    names, cells = design_cells(arms, baseline)
    base = levels_of(baseline)
    for first, second in combinations(range(len(names)), 2):
        pairs = dict.fromkeys((levels[first], levels[second]) for levels in cells)
        for one, other in pairs:
            if one == base[first] or other == base[second]:
                continue
            groups = _comparable(cells, base, (first, one), (second, other))
            if groups is None:
                continue
            both, ones, others, none = (tuple(cells[cell] for cell in group) for group in groups)
            yield _Contrast(
                factors=(names[first], names[second]),
                levels=(_text(names[first], one), _text(names[second], other)),
                baseline_levels=(_text(names[first], base[first]), _text(names[second], base[second])),
                both=both,
                first=ones,
                second=others,
                none=none,
            )


def _comparable(
    cells: Mapping[Levels, ArmLines], base: Levels, one: tuple[int, str | None], other: tuple[int, str | None]
) -> list[list[Levels]] | None:
    """The cells with both of two levels, with either and with none; ``None`` where they cannot be compared.

    All of them where their other factors do not tell them apart, as in a full design and in a fraction of resolution
    5; else the squares of four that have the same other levels.
    """
    (first, level), (second, another) = one, other
    corners = [(level, another), (level, base[second]), (base[first], another), (base[first], base[second])]
    groups = [[cell for cell in cells if (cell[first], cell[second]) == corner] for corner in corners]
    if all(groups) and are_balanced(groups, (first, second)):
        return groups
    squares = [[_changed(cell, first, second, corner) for corner in corners] for cell in groups[0]]
    whole = [square for square in squares if all(cell in cells for cell in square)]
    return [list(group) for group in zip(*whole, strict=True)] if whole else None


def _changed(cell: Levels, first: int, second: int, corner: tuple[str | None, str | None]) -> Levels:
    levels = {first: corner[0], second: corner[1]}
    return tuple(levels.get(place, level) for place, level in enumerate(cell))


def _text(factor: str, level: str | None) -> str:
    return level or "" if factor in _NAMED_ALONE else f"{factor}={level}"


def _measure(contrast: _Contrast, table: ScoreTable, yardstick: Yardstick) -> InteractionEffect:
    groups = (contrast.both, contrast.first, contrast.second, contrast.none)
    both, first, second, none = (line_means(group, table) for group in groups)
    differences = {
        line: value - second[line] - first[line] + none[line]
        for line, value in both.items()
        if line in first and line in second and line in none
    }
    estimate, p_raw = mean_contrast(differences, yardstick)
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
