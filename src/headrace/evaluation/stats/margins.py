"""Differences against a margin: better by more than it, worse by less than it, or neither by as much.

Every test is one-sided. ``gains`` are paired differences in which higher is better for the arm, one per line. Each
finding carries the end of the interval that decides: with ``alpha`` .05 that of the 90 % interval. p is at most
``alpha`` exactly where that end is beyond the margin.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from headrace.evaluation.stats.clustered import clustered_moments, effective_sign_counts
from headrace.evaluation.stats.estimate import guarded_moments
from headrace.evaluation.stats.paired import sign_counts, tango_ends, tango_score
from headrace.evaluation.stats.special import normal_cdf, normal_quantile, t_cdf, t_quantile


@dataclass(frozen=True, kw_only=True, slots=True)
class MarginFinding:
    """A one-sided p and the end of the interval that decides, in the unit of the gains."""

    p: float
    bound: float


def superiority_p(
    gains: Sequence[float],
    margin: float,
    *,
    is_binary: bool,
    value_range: float = 1.0,
    clusters: Sequence[Hashable] | None = None,
    alpha: float = 0.05,
) -> MarginFinding | None:
    """Test "the arm is better by more than the margin"; the bound is the lower end.

    Args:
        gains: Paired differences, higher better; 1, 0 or -1 where ``is_binary``.
        margin: Zero or more, in the unit of the gains.
        is_binary: Whether the scores are 0 or 1: Tango's score test then, else Student's t with the sparse guard.
        value_range: Width of the range of the score, for the guard.
        clusters: The cluster of each line, where lines are not independent.
        alpha: One-sided error rate at which p and bound agree.

    Returns:
        ``None`` without pairs, without spread, or with too few clusters.

    Source: Tango (1998), Statistics in Medicine 17:891, one-sided; Student (1908); clusters as in
    ``stats.clustered``.

    Raises:
        ValueError: The margin is negative, or ``alpha`` is not strictly between 0 and 1/2.
    """
    _check(margin, alpha)
    return _above(gains, margin, is_binary, value_range, clusters, alpha)


def non_inferiority_p(
    gains: Sequence[float],
    margin: float,
    *,
    is_binary: bool,
    value_range: float = 1.0,
    clusters: Sequence[Hashable] | None = None,
    alpha: float = 0.05,
) -> MarginFinding | None:
    """Test "the arm is worse by less than the margin"; the bound is the lower end.

    Arguments, what is returned and raised: as ``superiority_p``.

    Source: Liu, Hsueh, Hsieh and Chen (2002), Statistics in Medicine 21:231, for paired rates by the score test;
    Student (1908) for means.
    """
    _check(margin, alpha)
    return _above(gains, -margin, is_binary, value_range, clusters, alpha)


def tost_p(
    gains: Sequence[float],
    margin: float,
    *,
    is_binary: bool,
    value_range: float = 1.0,
    clusters: Sequence[Hashable] | None = None,
    alpha: float = 0.05,
) -> MarginFinding | None:
    """Test "neither arm is better by the margin": two one-sided tests, the larger p of the two.

    The bound is the end of the interval that is further from zero, with its sign.

    Arguments, what is returned and raised: as ``superiority_p``.

    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    _check(margin, alpha)
    below = _above(gains, -margin, is_binary, value_range, clusters, alpha)
    negated = [-gain for gain in gains]
    above = _above(negated, -margin, is_binary, value_range, clusters, alpha)
    if below is None or above is None:
        return None
    bound = below.bound if abs(below.bound) >= abs(above.bound) else -above.bound
    return MarginFinding(p=max(below.p, above.p), bound=bound)


def _above(
    gains: Sequence[float],
    limit: float,
    is_binary: bool,  # noqa: FBT001 - passed on from the public functions
    value_range: float,
    clusters: Sequence[Hashable] | None,
    alpha: float,
) -> MarginFinding | None:
    """Test "the mean gain is above the limit"."""
    if not gains:
        return None
    if is_binary:
        return _rate_above(gains, limit, clusters, alpha)
    moments = difference_moments(gains, value_range, clusters)
    if moments is None:
        return None
    centre, error, df = moments
    return MarginFinding(
        p=t_cdf((limit - centre) / error, df),
        bound=centre - t_quantile(1.0 - alpha, df) * error,
    )


def difference_moments(
    gains: Sequence[float], value_range: float, clusters: Sequence[Hashable] | None
) -> tuple[float, float, float] | None:
    """Mean, standard error and degrees of freedom of paired differences, with the sparse guard.

    Returns:
        ``None`` without spread, or with too few clusters.

    Source: as ``stats.estimate.guarded_moments``; over clusters as ``stats.clustered.clustered_moments``.
    """
    if clusters is None:
        return guarded_moments(gains, value_range)
    moments = clustered_moments(gains, clusters, value_range=value_range)
    return None if moments is None else moments[:3]


def _rate_above(
    gains: Sequence[float], limit: float, clusters: Sequence[Hashable] | None, alpha: float
) -> MarginFinding | None:
    if clusters is None:
        ups, downs, ties = sign_counts(gains)
        wins, losses, n = float(ups), float(downs), float(ups + downs + ties)
        quantile = normal_quantile(1.0 - alpha)
    else:
        effective = effective_sign_counts(gains, clusters)
        if effective is None:
            return None
        wins, losses, n, df = effective
        quantile = t_quantile(1.0 - alpha, df)
    bound, _ = tango_ends(wins, losses, n, quantile)
    if abs(limit) >= 1.0:  # a difference of rates cannot reach beyond one
        return MarginFinding(p=0.0 if limit < 0.0 else 1.0, bound=bound)
    score = tango_score(wins, losses, n, limit)
    if score is None:
        return MarginFinding(p=0.5, bound=bound)
    return MarginFinding(p=normal_cdf(-score) if clusters is None else t_cdf(-score, df), bound=bound)


def _check(margin: float, alpha: float) -> None:
    if not margin >= 0.0 or not 0.0 < alpha < 0.5:
        msg = f"a margin is not negative and alpha between 0 and 1/2, got {margin} and {alpha}"
        raise ValueError(msg)
