"""Arms as cells of a design: their levels, which groups of them are comparable, and what these score together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from headrace.domain.comparison import Estimate
from headrace.domain.scores import ArmLines, MetricKind
from headrace.evaluation.effects import Yardstick, difference_interval_of, difference_test
from headrace.evaluation.line_scores import ScoreTable
from headrace.evaluation.stats.estimate import mean

Levels = tuple[str | None, ...]
"""The level of each factor, in the order of the factors."""


def design_cells(
    arms: Sequence[ArmLines], baseline: ArmLines
) -> tuple[tuple[str, ...], dict[Levels, ArmLines]]:
    """Names of the factors, and the arm of each combination of levels.

    There are no cells where it is not the factors that tell the arms apart: arms of several designs, or several arms of
    one combination. Arms without factors are variants crossed with models.
    """
    names = tuple(baseline.factors) or ("variant", "model")
    cells: dict[Levels, ArmLines] = {}
    for arm in arms:
        if tuple(arm.factors) != tuple(baseline.factors):
            return names, {}
        cells[levels_of(arm)] = arm
    return names, cells if len(cells) == len(arms) else {}


def levels_of(arm: ArmLines) -> Levels:
    """The levels of an arm."""
    return tuple(arm.factors.values()) if arm.factors else (arm.variant, arm.model)


def are_balanced(groups: Sequence[Sequence[Levels]], places: Sequence[int]) -> bool:
    """Whether groups of cells are alike but for the factors at ``places``: mean scores of them may be compared.

    With one place the levels of every other factor are equally often in each group, with two those of every two other
    factors together, so that no effect of a single factor, or of two, is mixed up with what is measured.
    """
    others = [place for place in range(len(groups[0][0])) if place not in places]
    together = min(len(places), len(others))
    return all(
        len({_shares(group, chosen) for group in groups}) == 1 for chosen in combinations(others, together)
    )


def _shares(cells: Sequence[Levels], places: Sequence[int]) -> frozenset[tuple[Levels, float]]:
    counts = Counter(tuple(cell[place] for place in places) for cell in cells)
    return frozenset((levels, count / len(cells)) for levels, count in counts.items())


def line_means(arms: Sequence[ArmLines], table: ScoreTable) -> Mapping[str, float]:
    """The mean score of each line that all of these arms score."""
    first, *others = (table.counted[arm.arm].values for arm in arms)
    return {
        line: mean([value, *(values[line] for values in others)])
        for line, value in first.items()
        if all(line in values for values in others)
    }


def mean_contrast(
    differences: Mapping[str, float], yardstick: Yardstick
) -> tuple[Estimate | None, float | None]:
    """The mean of a difference by line, with its interval, and p of "there is none"; ``None`` without lines.

    Means of several scores of a line are no yes-or-no scores any more: ``yardstick`` must not be of binary scores.
    """
    if not differences:
        return None, None
    values = list(differences.values())
    clusters = yardstick.clusters.names(differences) if yardstick.clusters else None
    interval = difference_interval_of(values, yardstick, clusters)
    p_raw, _ = difference_test(values, yardstick, clusters)
    return Estimate(value=mean(values), interval=interval, n=len(values)), p_raw


def not_binary(yardstick: Yardstick, value_range: float) -> Yardstick:
    """The yardstick for combinations of scores, which lie in a range of this length."""
    metric = yardstick.metric
    kind: MetricKind = "unbounded" if metric.spec.kind == "unbounded" else "graded"
    return replace(
        yardstick, metric=replace(metric, spec=replace(metric.spec, kind=kind), value_range=value_range)
    )
