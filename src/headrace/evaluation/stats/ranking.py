"""Which of many arms may be the best, and what the winner will score when nobody is looking for a winner.

``matrix`` holds one row per arm and one score per line, higher better, lines in the same order in every row.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import exp, fsum, lgamma, log, sqrt
from operator import mul
from random import Random

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.clustered import MIN_CLUSTERS, effective_sign_counts
from headrace.evaluation.stats.estimate import mean
from headrace.evaluation.stats.margins import difference_moments
from headrace.evaluation.stats.paired import sign_counts, tango_score
from headrace.evaluation.stats.special import incomplete_beta, t_cdf, t_quantile

#: Draws from the posterior; the chance of being best is then known within .007 (one standard error).
RANKING_DRAWS = 5_000

_ROUNDING = 1e-9

_ALIKE = 1e-5
"""Share of a standard deviation below which two draws are equal; far above rounding, far below what counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunken:
    """Means drawn towards each other, one entry per arm in the order of the matrix.

    Attributes:
        means: In the unit of the scores.
        intervals: ``None`` where the scores have no spread.
        p_best: Probability of being the best; they add up to 1.
        between_arms: Variance of the arms' true means that was estimated (tau squared).
    """

    means: tuple[float, ...]
    intervals: tuple[Interval | None, ...]
    p_best: tuple[float, ...]
    between_arms: float


def best_set_p(
    matrix: Sequence[Sequence[float]],
    *,
    is_binary: bool,
    value_range: float = 1.0,
    clusters: Sequence[Hashable] | None = None,
) -> list[float | None]:
    """For each arm p of "no arm is better"; the arms whose p is above alpha hold the best one.

    p is V - 1 times the smallest one-sided p of "that arm is better": mid-p McNemar for yes-or-no scores, Student's
    t with the sparse guard for others, and their clustered forms.

    Args:
        matrix: Scores by arm and line, higher better.
        is_binary: Whether the scores are 0 or 1.
        value_range: Width of the range of the scores, for the guard.
        clusters: The cluster of each line, where lines are not independent.

    Returns:
        ``None`` for all arms without lines or with too few clusters; 1 for an arm that is alone.

    Source: Hsu (1984), Annals of Statistics 12:1136, multiple comparisons with the best, with Bonferroni's
    correction over the other arms.

    Raises:
        ValueError: Rows differ in length.
    """
    n = _line_count(matrix)
    if n == 0 or (clusters is not None and len(set(clusters)) < MIN_CLUSTERS):
        return [None] * len(matrix)
    rivals = len(matrix) - 1
    smallest = [1.0] * len(matrix)
    for first in range(len(matrix)):
        for second in range(first):
            gains = [a - b for a, b in zip(matrix[first], matrix[second], strict=True)]
            up, down = _one_sided(gains, is_binary, value_range, clusters)
            smallest[second] = min(smallest[second], up)
            smallest[first] = min(smallest[first], down)
    return [min(1.0, rivals * p) if rivals else 1.0 for p in smallest]


def shrink(
    matrix: Sequence[Sequence[float]],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    seed: int = 0,
    draws: int = RANKING_DRAWS,
) -> Shrunken | None:
    """Draw the arms' means towards each other by as much as noise explains, and say which may be the best.

    The deviations of the arms from their common mean are taken as draws from one normal distribution, whose
    variance is estimated; what their sampling variance explains is taken back. That takes away most of the winner's
    curse, and the probability of being best is close to calibrated, which that of a plain bootstrap is not.

    Args:
        matrix: Scores by arm and line, higher better.
        clusters: The cluster of each line, where lines are not independent.
        level: Level of the intervals.
        seed: Seed of the draws.
        draws: Draws of the vector of means.

    Returns:
        ``None`` with fewer than two arms or two lines, or with too few clusters.

    Source: Efron and Morris (1973), JASA 68:117, with correlated sampling errors; the variance between arms is the
    estimate of moments of DerSimonian and Laird (1986), Controlled Clinical Trials 7:177, unweighted. Intervals
    add Morris's (1983), JASA 78:47, term for the variance between arms being estimated.

    Raises:
        ValueError: Rows differ in length, or ``draws`` is not positive.
    """
    n = _line_count(matrix)
    if draws < 1:
        msg = f"shrink needs at least one draw, got {draws}"
        raise ValueError(msg)
    count = len(matrix)
    units = n if clusters is None else len(set(clusters))
    if count < 2 or units < (2 if clusters is None else MIN_CLUSTERS):
        return None
    means = [mean(row) for row in matrix]
    errors = _mean_covariance(matrix, means, clusters)
    model = _Model.of(means, errors)
    quantile = t_quantile((1.0 + level) / 2.0, units - 1)
    return Shrunken(
        means=tuple(model.centre + deviation for deviation in model.deviations),
        intervals=tuple(model.interval(arm, quantile, level) for arm in range(count)),
        p_best=tuple(model.chances(_noise(seed, count, draws))),
        between_arms=model.between,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """Posterior of the arms' deviations from their common mean.

    Attributes:
        centre: Mean over all arms, and ``centre_variance`` its sampling variance.
        observed: Deviations as observed; ``deviations`` the shrunken ones.
        covariance: Of the shrunken deviations.
        kept: Share of each arm's observed deviation that its own shrinkage keeps.
        between: Estimated variance of the true deviations.
    """

    centre: float
    centre_variance: float
    observed: list[float]
    deviations: list[float]
    covariance: list[list[float]]
    kept: list[float]
    between: float

    @classmethod
    def of(cls, means: Sequence[float], errors: list[list[float]]) -> _Model:
        count = len(means)
        centre = mean(means)
        observed = [value - centre for value in means]
        noise = _centred(errors)
        trace = fsum(noise[arm][arm] for arm in range(count))
        excess = fsum(value * value for value in observed) - trace
        rounding = _ROUNDING * fsum(errors[arm][arm] for arm in range(count))
        rounding += (_ROUNDING * max(map(abs, means))) ** 2
        between = excess / (count - 1) if excess > rounding else 0.0
        common = fsum(chain.from_iterable(errors)) / count**2
        if between == 0.0:
            zeros = [[0.0] * count for _ in range(count)]
            return cls(
                centre=centre,
                centre_variance=common,
                observed=observed,
                deviations=[0.0] * count,
                covariance=zeros,
                kept=[0.0] * count,
                between=0.0,
            )
        # Deviations add up to zero: tau² I + S has the pseudo-inverse of tau² P + S as its inverse, but for the
        # part along the vector of ones, which centring takes out.
        total = [[noise[i][j] + (between if i == j else 0.0) for j in range(count)] for i in range(count)]
        gain = [[between * value for value in row] for row in _centred(_inverse(total))]
        kept_matrix = [
            [between * ((1.0 if i == j else 0.0) - 1.0 / count - gain[i][j]) for j in range(count)]
            for i in range(count)
        ]
        return cls(
            centre=centre,
            centre_variance=max(0.0, common),
            observed=observed,
            deviations=[fsum(g * d for g, d in zip(row, observed, strict=True)) for row in gain],
            covariance=kept_matrix,
            kept=[gain[arm][arm] / (1.0 - 1.0 / count) for arm in range(count)],
            between=between,
        )

    def interval(self, arm: int, quantile: float, level: float) -> Interval | None:
        count = len(self.observed)
        lost = (1.0 - self.kept[arm]) * self.observed[arm]
        square = max(0.0, self.covariance[arm][arm]) + self.centre_variance + 2.0 * lost**2 / (count - 1)
        if square == 0.0:
            return None
        value, half = self.centre + self.deviations[arm], quantile * sqrt(square)
        return Interval(low=value - half, high=value + half, level=level, method="empirical Bayes")

    def chances(self, noise: Sequence[Sequence[float]]) -> list[float]:
        """How often each arm is best, with the noise as standard normal draws by arm; equal ones share a draw."""
        count, draws = len(self.observed), len(noise[0])
        if self.between == 0.0:
            return [1.0 / count] * count
        # A shift that all arms share does not change which is best, and makes the matrix regular.
        lift = fsum(self.covariance[arm][arm] for arm in range(count)) / count
        root = _cholesky([[value + lift / count for value in row] for row in self.covariance])
        samples = []
        for arm in range(count):
            sample = [self.deviations[arm]] * draws
            for weight, column in zip(root[arm][: arm + 1], noise, strict=False):
                sample = [value + weight * z for value, z in zip(sample, column, strict=True)]
            samples.append(sample)
        # Arms that answer alike differ in nothing but rounding, which must not choose among them.
        spread = sqrt(max(0.0, *(self.covariance[arm][arm] for arm in range(count))))
        rounding = _ALIKE * spread + _ROUNDING * max(map(abs, self.deviations))
        wins = [0.0] * count
        for values in zip(*samples, strict=True):
            floor = max(values) - rounding
            best = [arm for arm, value in enumerate(values) if value >= floor]
            for arm in best:
                wins[arm] += 1.0 / len(best)
        return [win / draws for win in wins]


@lru_cache(maxsize=1)  # the metrics of a comparison share their draws
def _noise(seed: int, count: int, draws: int) -> tuple[tuple[float, ...], ...]:
    random = Random(seed)  # noqa: S311 - reproducible draws, not a secret
    return tuple(tuple(random.gauss(0.0, 1.0) for _ in range(draws)) for _ in range(count))


def _one_sided(
    gains: Sequence[float],
    is_binary: bool,  # noqa: FBT001 - passed on from the public function
    value_range: float,
    clusters: Sequence[Hashable] | None,
) -> tuple[float, float]:
    """One-sided p of "the mean gain is above zero", and of "below"."""
    if is_binary and clusters is None:
        wins, losses, _ = sign_counts(gains)
        return _mid_p_above(wins, losses), _mid_p_above(losses, wins)
    if is_binary and clusters is not None:
        effective = effective_sign_counts(gains, clusters)
        score = None if effective is None else tango_score(*effective[:3], 0.0)
        if effective is None or score is None:
            return 0.5, 0.5
        return t_cdf(-score, effective[3]), t_cdf(score, effective[3])
    moments = difference_moments(gains, value_range, clusters)
    if moments is None:
        return 0.5, 0.5
    centre, error, df = moments
    return t_cdf(-centre / error, df), t_cdf(centre / error, df)


def _mid_p_above(wins: int, losses: int) -> float:
    """One-sided mid-p of "wins are the more likely": the chance of more wins, plus half that of as many."""
    discordant = wins + losses
    if discordant == 0:
        return 0.5
    at_least = incomplete_beta(0.5, wins, losses + 1) if wins else 1.0
    ways = lgamma(discordant + 1) - lgamma(wins + 1) - lgamma(losses + 1)
    point = exp(ways - discordant * log(2.0))
    return min(1.0, max(0.0, at_least - point / 2.0))


def _line_count(matrix: Sequence[Sequence[float]]) -> int:
    lengths = {len(row) for row in matrix}
    if len(lengths) > 1:
        msg = f"every arm has a score on every line, got rows of {sorted(lengths)}"
        raise ValueError(msg)
    return lengths.pop() if lengths else 0


def _mean_covariance(
    matrix: Sequence[Sequence[float]], means: Sequence[float], clusters: Sequence[Hashable] | None
) -> list[list[float]]:
    """Covariance of the arms' means: usual, or CR1 over clusters."""
    rows = [[value - centre for value in row] for row, centre in zip(matrix, means, strict=True)]
    n = len(rows[0])
    if clusters is not None:
        index = {cluster: place for place, cluster in enumerate(dict.fromkeys(clusters))}
        places = [index[cluster] for cluster in clusters]
        totals = [[0.0] * len(index) for _ in rows]
        for total, row in zip(totals, rows, strict=True):
            for place, value in zip(places, row, strict=True):
                total[place] += value
        rows = totals
    units = len(rows[0])
    scale = units / (units - 1) / n**2
    count = len(rows)
    covariance = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i + 1):
            value = scale * fsum(map(mul, rows[i], rows[j]))
            covariance[i][j] = covariance[j][i] = value
    return covariance


def _centred(matrix: list[list[float]]) -> list[list[float]]:
    """P A P with P = I - 11'/V: what the matrix says about deviations from the mean."""
    count = len(matrix)
    row_means = [fsum(row) / count for row in matrix]
    whole = fsum(row_means) / count
    return [[matrix[i][j] - row_means[i] - row_means[j] + whole for j in range(count)] for i in range(count)]


def _cholesky(matrix: list[list[float]]) -> list[list[float]]:
    """Lower root of a symmetric matrix without negative directions; directions without variance stay zero."""
    count = len(matrix)
    root = [[0.0] * count for _ in range(count)]
    floor = 1e-13 * max(matrix[i][i] for i in range(count))
    for j in range(count):
        rest = matrix[j][j] - fsum(value * value for value in root[j][:j])
        if rest <= floor:
            continue
        root[j][j] = sqrt(rest)
        for i in range(j + 1, count):
            shared = fsum(a * b for a, b in zip(root[i][:j], root[j][:j], strict=True))
            root[i][j] = (matrix[i][j] - shared) / root[j][j]
    return root


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Inverse of a symmetric positive definite matrix, from its Cholesky root."""
    count = len(matrix)
    root = _cholesky(matrix)
    lower = [[0.0] * count for _ in range(count)]
    for j in range(count):
        lower[j][j] = 1.0 / root[j][j]
        for i in range(j + 1, count):
            lower[i][j] = -fsum(root[i][k] * lower[k][j] for k in range(j, i)) / root[i][i]
    return [
        [fsum(lower[k][i] * lower[k][j] for k in range(max(i, j), count)) for j in range(count)]
        for i in range(count)
    ]
