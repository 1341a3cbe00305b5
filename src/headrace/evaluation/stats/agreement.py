"""How far raters agree: judges with people, judges with each other, and a judge with itself.

1 is full agreement, 0 what chance would give, below 0 less than that. Where all ratings are the same there is nothing
to agree about beyond chance, and the coefficients are ``None``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import chain, combinations
from math import fsum
from typing import Literal, TypeAlias

from headrace.evaluation.stats.estimate import TIE_TOLERANCE

KappaWeights: TypeAlias = Literal["linear", "quadratic"]
RatingLevel: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio"]
#: One row per rater, one entry per unit; ``None`` where the rater did not rate it.
Ratings: TypeAlias = Sequence[Sequence[float | None]]

_Distance: TypeAlias = Callable[[float, float], float]


def cohen_kappa(
    table: Sequence[Sequence[float]],
    *,
    weights: KappaWeights | None = None,
    positions: Sequence[float] | None = None,
) -> float | None:
    """Cohen's kappa of two raters.

    Args:
        table: How often the first rater chose the category of the row and the second that of the column.
        weights: ``None`` counts every disagreement alike, "linear" by its distance, "quadratic" by its square.
        positions: Where the categories lie, for the distances; 0, 1, 2 … when not given.

    Returns:
        ``None`` without ratings, or where chance leaves no disagreement.

    Source: Cohen (1960), Educational and Psychological Measurement 20:37; weighted: Cohen (1968), Psychological
    Bulletin 70:213.

    Raises:
        ValueError: The table is not square, has a negative count, or ``positions`` do not fit it.
    """
    size = len(table)
    places = list(range(size)) if positions is None else list(positions)
    if any(len(row) != size or min(row) < 0 for row in table) or len(places) != size:
        msg = "cohen_kappa needs a square table of counts, with a position per category"
        raise ValueError(msg)
    total = fsum(map(fsum, table))
    if total <= 0.0:
        return None
    rows = [fsum(row) / total for row in table]
    columns = [fsum(column) / total for column in zip(*table, strict=True)]
    cost = [[_disagreement(a, b, weights) for b in places] for a in places]
    cells = [(i, j) for i in range(size) for j in range(size)]
    observed = fsum(cost[i][j] * table[i][j] for i, j in cells) / total
    expected = fsum(cost[i][j] * rows[i] * columns[j] for i, j in cells)
    return None if expected <= 0.0 else 1.0 - observed / expected


def kappa_of_ratings(
    first: Sequence[float], second: Sequence[float], *, weights: KappaWeights | None = None
) -> float | None:
    """Cohen's kappa of two raters over the same units; distances are those of the ratings themselves.

    Ratings within 1e-9 of each other are the same.

    Returns:
        ``None`` without ratings, or where both gave one and the same rating throughout.

    Source: as ``cohen_kappa``.

    Raises:
        ValueError: Lengths differ.
    """
    if len(first) != len(second):
        msg = f"kappa needs pairs of ratings, got {len(first)} and {len(second)}"
        raise ValueError(msg)
    counts = _patterns((first, second))
    categories = sorted(set(chain.from_iterable(counts)))
    table = [[counts[a, b] for b in categories] for a in categories]
    return cohen_kappa(table, weights=weights, positions=categories)


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float | None:
    """Fleiss' kappa of several raters who need not be the same ones for every unit.

    Args:
        counts: For each unit, how many raters chose each category.

    Returns:
        ``None`` without units, or where all chose one category.

    Source: Fleiss (1971), Psychological Bulletin 76:378.

    Raises:
        ValueError: Units have fewer than two raters or not all the same number, or a count is negative.
    """
    if not counts:
        return None
    raters = sum(counts[0])
    widths = {len(row) for row in counts}
    if raters < 2 or len(widths) > 1 or any(sum(row) != raters or min(row) < 0 for row in counts):
        msg = "fleiss_kappa needs the same number of raters, two or more, for every unit"
        raise ValueError(msg)
    shares = [sum(column) / (raters * len(counts)) for column in zip(*counts, strict=True)]
    agreeing = sum(count * (count - 1) for row in counts for count in row)
    observed = agreeing / (len(counts) * raters * (raters - 1))
    expected = fsum(share * share for share in shares)
    return None if max(shares) >= 1.0 else (observed - expected) / (1.0 - expected)


def krippendorff_alpha(ratings: Ratings, *, level: RatingLevel) -> float | None:
    """Krippendorff's alpha of any number of raters, any of whom may have left units out.

    Args:
        ratings: One row per rater, one entry per unit.
        level: What distances between ratings mean: "nominal" none, "ordinal" ranks, "interval" differences, "ratio"
            differences in relation to the sum.

    Returns:
        ``None`` where no unit has two ratings, or all ratings are the same.

    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, University of Pennsylvania.

    Raises:
        ValueError: Rows differ in length.
    """
    units = {unit: n for unit, n in _patterns(ratings).items() if len(unit) > 1}
    counts: Counter[float] = Counter()
    for unit, n in units.items():
        for value in unit:
            counts[value] += n
    total = sum(counts.values())
    if len(counts) < 2:
        return None
    distance = _distance(level, counts)
    observed = fsum(
        n * fsum(2.0 * distance(a, b) for a, b in combinations(unit, 2)) / (len(unit) - 1)
        for unit, n in units.items()
    )
    expected = fsum(2.0 * counts[a] * counts[b] * distance(a, b) for a, b in combinations(sorted(counts), 2))
    return None if expected <= 0.0 else 1.0 - (total - 1) * observed / expected


def exact_agreement(ratings: Ratings) -> float | None:
    """Share of pairs of ratings of one unit that are the same, within 1e-9.

    Returns:
        ``None`` where no unit has two ratings.

    Source: observed agreement of Fleiss (1971), Psychological Bulletin 76:378, over all pairs.

    Raises:
        ValueError: Rows differ in length.
    """
    n_same = n_pairs = 0
    for unit, n in _patterns(ratings).items():
        same = [abs(a - b) <= TIE_TOLERANCE for a, b in combinations(unit, 2)]
        n_same += n * sum(same)
        n_pairs += n * len(same)
    return n_same / n_pairs if n_pairs else None


def _disagreement(first: float, second: float, weights: KappaWeights | None) -> float:
    if weights is None:
        return float(first != second)
    return abs(first - second) if weights == "linear" else (first - second) ** 2


def _patterns(ratings: Ratings) -> Counter[tuple[float, ...]]:
    """How many units got which ratings, in the order of the raters: few patterns stand for many units."""
    if len({len(row) for row in ratings}) > 1:
        msg = "every rater has an entry for every unit, None where it was not rated"
        raise ValueError(msg)
    found: Counter[tuple[float, ...]] = Counter()
    for unit, n in Counter(zip(*ratings, strict=True)).items():
        found[tuple(round(value, 9) for value in unit if value is not None)] += n
    return found


def _distance(level: RatingLevel, counts: Counter[float]) -> _Distance:
    """Squared distance of two ratings."""
    if level == "nominal":
        return lambda a, b: float(a != b)
    if level == "interval":
        return lambda a, b: (a - b) ** 2
    if level == "ratio":
        return lambda a, b: 0.0 if a == b or a + b == 0.0 else ((a - b) / (a + b)) ** 2
    ranks: dict[Hashable, float] = {}
    below = 0.0
    for value in sorted(counts):
        ranks[value] = below + counts[value] / 2.0
        below += counts[value]
    return lambda a, b: (ranks[a] - ranks[b]) ** 2
