"""What each level of a factor is worth by itself, over all settings of the other factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.domain.comparison import MainEffect
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
from headrace.evaluation.effects import Yardstick
from headrace.evaluation.line_scores import ScoreTable


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contrast:
    """A level against the one of the baseline: the arms that have it, and those that have the other."""

    factor: str
    level: str
    baseline_level: str
    arms: tuple[ArmLines, ...]
    others: tuple[ArmLines, ...]


def measure_main_effects(
    arms: Sequence[ArmLines], baseline: ArmLines, table: ScoreTable, yardstick: Yardstick, plan: Plan
) -> tuple[MainEffect, ...]:
    """The mean score of the arms with a level less that of the arms with the baseline's level, line by line.

    All arms count where the levels of every other factor are equally often among both; else those that differ in this
    factor alone. In a fraction of resolution 3 an effect may be mixed up with the joint effect of two other factors.
    Only for designs in which at least two factors vary: with one, the difference of the arm is its effect. Means of
    several scores of a line are no yes-or-no scores any more, so intervals and tests are those of graded scores.

    Source: the main effect of a (fractional) factorial design; Wu and Hamada (2009), Experiments, 2nd ed., section 4.3.
    """
    graded = not_binary(yardstick, yardstick.metric.value_range)
    found = [_measure(contrast, table, graded) for contrast in _contrasts(arms, baseline)]
    adjusted = plan.adjust([effect.p_raw for effect in found])
    return tuple(replace(effect, p_adjusted=p) for effect, p in zip(found, adjusted, strict=True))


def _contrasts(arms: Sequence[ArmLines], baseline: ArmLines) -> Iterator[_Contrast]:
    names, cells = design_cells(arms, baseline)
    base = levels_of(baseline)
    levels = [list(dict.fromkeys(cell[place] for cell in cells)) for place in range(len(names))]
    if sum(len(found) > 1 for found in levels) < 2:
        return
    for place, name in enumerate(names):
        for level in levels[place]:
            if level == base[place]:
                continue
            ours, theirs = _comparable(cells, place, level, base[place])
            if ours:
                yield _Contrast(
                    factor=name,
                    level=level or "",
                    baseline_level=base[place] or "",
                    arms=tuple(cells[cell] for cell in ours),
                    others=tuple(cells[cell] for cell in theirs),
                )


def _comparable(
    cells: Mapping[Levels, ArmLines], place: int, level: str | None, other: str | None
) -> tuple[list[Levels], list[Levels]]:
    """Arms of two levels of a factor whose other factors do not tell them apart."""
    ours = [cell for cell in cells if cell[place] == level]
    theirs = [cell for cell in cells if cell[place] == other]
    if are_balanced([ours, theirs], [place]):
        return ours, theirs
    pairs = [(cell, twin) for cell in ours if (twin := (*cell[:place], other, *cell[place + 1 :])) in cells]
    return [cell for cell, _ in pairs], [twin for _, twin in pairs]


def _measure(contrast: _Contrast, table: ScoreTable, yardstick: Yardstick) -> MainEffect:
    ours, theirs = line_means(contrast.arms, table), line_means(contrast.others, table)
    differences = {line: value - theirs[line] for line, value in ours.items() if line in theirs}
    estimate, p_raw = mean_contrast(differences, yardstick)
    return MainEffect(
        factor=contrast.factor,
        level=contrast.level,
        baseline_level=contrast.baseline_level,
        n_arms=len(contrast.arms) + len(contrast.others),
        difference=estimate,
        p_raw=p_raw,
        p_adjusted=None,
    )
