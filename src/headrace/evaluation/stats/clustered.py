"""Lines that come in clusters, such as questions about one document: they count for less than their number.

A cluster is any hashable name, one per value. Below ``MIN_CLUSTERS`` clusters nothing can be said about the
spread between them, and the intervals and tests give ``None``.

Clusters of unequal size say less about the spread between them than their number suggests: tests and intervals of
paired differences take that into account (``cluster_error``). With equal sizes the result is that of CR1 with
Student's t of C - 1 degrees of freedom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import fsum, sqrt

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.estimate import (
    TIE_TOLERANCE,
    is_rounding,
    mean,
    needs_sparse_guard,
    score_interval,
    variance,
)
from headrace.evaluation.stats.paired import sign_counts, sign_flip_p, tango_ends, tango_score
from headrace.evaluation.stats.special import t_cdf, t_quantile

#: Clusters below which there is no interval and no test.
MIN_CLUSTERS = 5


def cluster_totals(values: Sequence[float], clusters: Sequence[Hashable]) -> list[float]:
    """Sum of the values of each cluster, clusters in the order in which they first appear.

    Raises:
        ValueError: ``values`` and ``clusters`` differ in length.
    """
    return [fsum(members) for members in _members(values, clusters)]


def cluster_standard_error(
    values: Sequence[float], clusters: Sequence[Hashable], *, is_corrected: bool = True
) -> float:
    """Standard error of a mean over clustered lines, in the unit of the values.

    Args:
        values: One per line.
        clusters: The cluster of each line.
        is_corrected: Multiply the variance by C / (C - 1), which the plain estimate (CR0) falls short of.

    Source: Miller (2024), arXiv 2411.00640, equation 4; Liang and Zeger (1986), Biometrika 73:13. With the
    correction it is CR1; with one line per cluster it is the usual standard error.

    Raises:
        ValueError: ``values`` is empty, lengths differ, or there is one cluster and a correction is asked for.
    """
    totals = _deviations(values, clusters)
    if is_corrected and len(totals) < 2:
        msg = "a standard error over clusters needs two of them"
        raise ValueError(msg)
    squares = fsum(total * total for total in totals.values())
    correction = len(totals) / (len(totals) - 1) if is_corrected else 1.0
    return sqrt(correction * squares) / len(values)


def cluster_error(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """Standard error of a mean over clusters of any sizes, in the unit of the values, and its degrees of freedom.

    CR1 with C - 1 degrees of freedom finds differences that are not there where some clusters are much larger than
    others: up to 10 % at a promised 5 %. CR2 weighs each cluster by what its own lines take out of its residuals, and
    the degrees of freedom are those that fit the sizes. With equal sizes both are those of CR1.

    Source: Bell and McCaffrey (2002), Survey Methodology 28:169, for a mean and independent lines as the working
    model; Imbens and Kolesar (2016), Review of Economics and Statistics 98:701.

    Raises:
        ValueError: Lengths differ, or there are fewer than two clusters.
    """
    totals = _deviations(values, clusters)
    n, sizes = len(values), Counter(clusters)
    if len(sizes) < 2:
        msg = "a standard error over clusters needs two of them"
        raise ValueError(msg)
    left = {cluster: 1.0 - size / n for cluster, size in sizes.items()}
    squares = fsum(totals[cluster] ** 2 / left[cluster] for cluster in sizes)
    shares = [size * size / (n * left[cluster]) for cluster, size in sizes.items()]
    trace = sum(size * size for size in sizes.values()) + fsum(shares) ** 2 - fsum(s * s for s in shares)
    return sqrt(squares) / n, n * n / trace


def intraclass_correlation(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """How alike lines of one cluster are, 1 for copies; may be below 0 where they differ more than others.

    Returns:
        ``None`` with fewer than two clusters, with one line in each, or without spread.

    Source: one-way analysis of variance for clusters of unequal size; Donner (1986), International Statistical
    Review 54:67.

    Raises:
        ValueError: Lengths differ.
    """
    groups = _members(values, clusters)
    n, count = len(values), len(groups)
    if count < 2 or n == count:
        return None
    centre = mean(values)
    between = fsum(len(group) * (mean(group) - centre) ** 2 for group in groups) / (count - 1)
    within = fsum((value - mean(group)) ** 2 for group in groups for value in group) / (n - count)
    size = (n - sum(len(group) ** 2 for group in groups) / n) / (count - 1)
    total = between + (size - 1.0) * within
    return None if is_rounding(total, values) else (between - within) / total


def design_effect(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """How many times larger the variance of the mean is than if the lines were independent.

    Returns:
        ``None`` with fewer than two clusters or without spread.

    Source: Kish (1965), Survey Sampling, section 8.2, from the CR1 and the usual variance.

    Raises:
        ValueError: Lengths differ.
    """
    if _count(values, clusters) < 2:
        return None
    plain = variance(values) / len(values)
    return None if is_rounding(plain, values) else cluster_standard_error(values, clusters) ** 2 / plain


def clustered_mean_interval(
    values: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95
) -> Interval | None:
    """Interval for the mean of scores, or of paired differences, over clustered lines; not clipped.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters or without spread between them.

    Source: CR1 standard error with Student's t of C - 1 degrees of freedom; Cameron and Miller (2015), Journal
    of Human Resources 50:317.

    Raises:
        ValueError: Lengths differ.
    """
    count = _count(values, clusters)
    if count < MIN_CLUSTERS:
        return None
    half = t_quantile((1.0 + level) / 2.0, count - 1) * cluster_standard_error(values, clusters)
    if is_rounding(half * half, values):
        return None
    centre = mean(values)
    return Interval(low=centre - half, high=centre + half, level=level, method="CR1 t")


def clustered_wilson_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    is_fitted_to_sizes: bool = False,
) -> Interval | None:
    """Interval for the mean of scores in [0, 1] over clustered lines; never of zero width.

    Wilson's interval for as many lines as would give the CR1 variance, at most all of them, with the quantile
    of t. Scores that are all 0 or all 1 say nothing about how alike the lines of a cluster are, so that each
    cluster then counts as one line.

    Args:
        values: One per line.
        clusters: The cluster of each line.
        level: Confidence level.
        is_fitted_to_sizes: Take variance and degrees of freedom from ``cluster_error``, for clusters of unequal size.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters.

    Source: Korn and Graubard (1998), Survey Methodology 24:193, with Wilson's interval as Franco, Little, Louis
    and Slud (2019), Journal of Survey Statistics and Methodology 7:334, recommend.

    Raises:
        ValueError: Lengths differ, or a score leaves [0, 1].
    """
    count = _count(values, clusters)
    if not all(0.0 <= value <= 1.0 for value in values):
        msg = "clustered_wilson_interval needs scores in [0, 1]"
        raise ValueError(msg)
    if count < MIN_CLUSTERS:
        return None
    rate = min(1.0, max(0.0, mean(values)))
    if is_fitted_to_sizes:
        error, df = cluster_error(values, clusters)
    else:
        error, df = cluster_standard_error(values, clusters), count - 1
    size = _effective_size(rate * (1.0 - rate), error, values, clusters)
    low, high = score_interval(rate, size, t_quantile((1.0 + level) / 2.0, df))
    return Interval(low=low, high=high, level=level, method="clustered Wilson")


def clustered_tango_interval(
    differences: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95
) -> Interval | None:
    """Interval for the difference of two rates over clustered pairs; never of zero width.

    Tango's interval for as many pairs as would give the variance of ``cluster_error``, at most all of them, with the
    quantile of t at its degrees of freedom. Pairs that are all tied say nothing about how alike the lines of a cluster
    are, so that each cluster then counts as one pair.

    Args:
        differences: 1, 0 or -1 per line.
        clusters: The cluster of each line.
        level: Confidence level.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters.

    Source: effective size after Korn and Graubard (1998), Survey Methodology 24:193, in Tango (1998), Statistics
    in Medicine 17:891.

    Raises:
        ValueError: Lengths differ, or a difference is not 1, 0 or -1.
    """
    effective = effective_sign_counts(differences, clusters)
    if effective is None:
        return None
    wins, losses, n, df = effective
    low, high = tango_ends(wins, losses, n, t_quantile((1.0 + level) / 2.0, df))
    return Interval(low=low, high=high, level=level, method="clustered Tango")


def clustered_tango_p(differences: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """Two-sided p of "the two rates are equal" over clustered pairs.

    It is below 1 - level exactly where ``clustered_tango_interval`` at that level leaves zero out.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters.

    Source: as ``clustered_tango_interval``; without clusters and with the normal quantile it is McNemar (1947),
    Psychometrika 12:153.

    Raises:
        ValueError: Lengths differ, or a difference is not 1, 0 or -1.
    """
    effective = effective_sign_counts(differences, clusters)
    if effective is None:
        return None
    wins, losses, n, df = effective
    score = tango_score(wins, losses, n, 0.0)
    return 1.0 if score is None else min(1.0, 2.0 * t_cdf(-abs(score), df))


def effective_sign_counts(
    differences: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[float, float, float, float] | None:
    """Wins, losses and pairs, scaled to the size that clustering leaves, and the degrees of freedom.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters.

    Source: Korn and Graubard (1998), Survey Methodology 24:193; variance and degrees of freedom as in
    ``cluster_error``.

    Raises:
        ValueError: Lengths differ, or a difference is not 1, 0 or -1.
    """
    count = _count(differences, clusters)
    wins, losses, ties = sign_counts(differences)
    if any(min(abs(d), abs(abs(d) - 1.0)) > TIE_TOLERANCE for d in differences):
        msg = "differences of yes-or-no scores are 1, 0 or -1"
        raise ValueError(msg)
    if count < MIN_CLUSTERS:
        return None
    n = wins + losses + ties
    spread = (wins + losses) / n - ((wins - losses) / n) ** 2
    error, df = cluster_error(differences, clusters)
    share = _effective_size(spread, error, differences, clusters) / n
    return wins * share, losses * share, n * share, df


def clustered_difference_interval(
    differences: Sequence[float], clusters: Sequence[Hashable], *, value_range: float, level: float = 0.95
) -> Interval | None:
    """Interval for the mean of paired differences over clustered lines, with the sparse guard; not clipped.

    Where ``needs_sparse_guard`` says so, of the differences or of the totals of the clusters, the differences
    shrink to the size that clustering leaves and one at +range and one at -range join them.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters, or where neither they nor the range leave any spread.

    Source: as ``cluster_error``, with Student's t; guard after Bonett and Price (2012), Statistics in Medicine
    31:3433, with the effective size of Korn and Graubard (1998), Survey Methodology 24:193.

    Raises:
        ValueError: Lengths differ.
    """
    moments = clustered_moments(differences, clusters, value_range=value_range)
    if moments is None:
        return None
    centre, error, df, is_guarded = moments
    half = t_quantile((1.0 + level) / 2.0, df) * error
    method = "CR2 t with sparse guard" if is_guarded else "CR2 t"
    return Interval(low=centre - half, high=centre + half, level=level, method=method)


def clustered_p(
    differences: Sequence[float], clusters: Sequence[Hashable], *, value_range: float = 0.0
) -> float | None:
    """Two-sided p of "the mean difference is zero" over clustered lines.

    It is below 1 - level exactly where ``clustered_difference_interval`` at that level leaves zero out. A
    ``value_range`` of 0 leaves the guard out.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters or without spread between them.

    Source: as ``cluster_error``, with Student's t.

    Raises:
        ValueError: Lengths differ.
    """
    moments = clustered_moments(differences, clusters, value_range=value_range)
    if moments is None:
        return None
    centre, error, df, _ = moments
    return min(1.0, 2.0 * t_cdf(-abs(centre) / error, df))


def cluster_sign_flip_p(
    differences: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> float | None:
    """Two-sided permutation p of "the mean difference is zero", by flipping the signs of whole clusters.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters. Five clusters cannot give less than 1/16, eight not
        less than 1/128.

    Source: Fisher (1935), The Design of Experiments, section 21, with clusters as units; Canay, Romano and
    Shaikh (2017), Econometrica 85:1013.

    Raises:
        ValueError: Lengths differ.
    """
    totals = cluster_totals(differences, clusters)
    return sign_flip_p(totals, seed=seed) if len(totals) >= MIN_CLUSTERS else None


def clustered_moments(
    differences: Sequence[float], clusters: Sequence[Hashable], *, value_range: float
) -> tuple[float, float, float, bool] | None:
    """Centre, standard error, degrees of freedom and whether the sparse guard took part.

    A ``value_range`` of 0 leaves the guard out.

    Returns:
        ``None`` with fewer than ``MIN_CLUSTERS`` clusters, or without spread.

    Source: as ``clustered_difference_interval``.

    Raises:
        ValueError: Lengths differ.
    """
    totals = cluster_totals(differences, clusters)
    if len(totals) < MIN_CLUSTERS:
        return None
    centre, n = mean(differences), len(differences)
    error, df = cluster_error(differences, clusters)
    if value_range <= 0.0 or not _is_sparse(differences, totals):
        return None if is_rounding(error * error, differences) else (centre, error, df, False)
    spread = fsum((difference - centre) ** 2 for difference in differences) / n
    size = _effective_size(spread, error, differences, clusters)
    guarded = centre * size / (size + 2.0)
    squares = size * (spread + centre**2) + 2.0 * value_range**2 - (size + 2.0) * guarded**2
    error = sqrt(max(0.0, squares) / ((size + 1.0) * (size + 2.0)))
    return (guarded, error, df, True) if error > 0.0 else None


def _is_sparse(differences: Sequence[float], totals: Sequence[float]) -> bool:
    if needs_sparse_guard(differences):
        return True
    # The guard of the totals would always step in with fewer than eight of them; t is wide enough for a few that
    # all say something.
    are_dense = all(abs(total) > TIE_TOLERANCE for total in totals)
    return needs_sparse_guard(totals) and not (are_dense and max(totals) - min(totals) > TIE_TOLERANCE)


def _effective_size(
    spread: float, error: float, values: Sequence[float], clusters: Sequence[Hashable]
) -> float:
    """Independent lines of the given variance that would give the standard error of the mean, at most all."""
    if is_rounding(error * error, values):
        return float(len(set(clusters)) if is_rounding(spread, values) else len(values))
    return min(spread / error**2, float(len(values)))


def _members(values: Sequence[float], clusters: Sequence[Hashable]) -> list[list[float]]:
    _check_lengths(values, clusters)
    members: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    return list(members.values())


def _deviations(values: Sequence[float], clusters: Sequence[Hashable]) -> dict[Hashable, float]:
    """Sum of the deviations of each cluster's values from the mean of all."""
    _check_lengths(values, clusters)
    centre = mean(values)
    totals: dict[Hashable, float] = dict.fromkeys(clusters, 0.0)
    for value, cluster in zip(values, clusters, strict=True):
        totals[cluster] += value - centre
    return totals


def _count(values: Sequence[float], clusters: Sequence[Hashable]) -> int:
    _check_lengths(values, clusters)
    return len(set(clusters))


def _check_lengths(values: Sequence[float], clusters: Sequence[Hashable]) -> None:
    if len(values) != len(clusters):
        msg = f"each value has a cluster, got {len(values)} and {len(clusters)}"
        raise ValueError(msg)
