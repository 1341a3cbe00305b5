"""Two arms on live traffic, one unit after the other: what to decide by, and what to show.

Decided is by bets on differences weighted by inverse propensity: exact after every unit for propensities that are known
and logged, also where they change. Shown is an asymptotic confidence sequence, which is narrower, and right after some
tens of units.

Source: Waudby-Smith and Ramdas (2024), JRSS B 86:1; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Annals of
Statistics 52:2613; augmented inverse propensities: Robins, Rotnitzky and Zhao (1994), JASA 89:846.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, log, sqrt
from typing import Final

from headrace.domain.comparison import Interval
from headrace.evaluation.stats.betting import OneSidedBets, TwoSidedBets

N_STAR: Final = 5000
"""Units at which the confidence sequence is narrowest: GrowthBook's default."""

METHOD: Final = "asymptotic confidence sequence"


@lru_cache(maxsize=64)
def sequence_tuning(alpha: float, n_star: int = N_STAR) -> float:
    """Parameter rho of the confidence sequence that is narrowest at ``n_star`` units.

    rho^2 = (-2 ln(alpha) + ln(-2 ln(alpha) + 1)) / n*.

    Raises:
        ValueError: ``alpha`` does not lie between 0 and 1, or ``n_star`` is not positive.

    Source: Waudby-Smith et al. (2024), equation 29, as GrowthBook has it.
    """
    if not 0.0 < alpha < 1.0 or n_star <= 0:
        msg = "alpha has to lie between 0 and 1, and n_star above 0"
        raise ValueError(msg)
    return sqrt((-2.0 * log(alpha) + log(-2.0 * log(alpha) + 1.0)) / n_star)


def sequence_half_width(se: float, n: int, alpha: float, n_star: int = N_STAR) -> float:
    """Half the width of a 1 - alpha confidence sequence, which may be looked at always.

    se sqrt(n) sqrt(2 (n rho^2 + 1) ln(sqrt(n rho^2 + 1) / alpha) / (n^2 rho^2)).

    Args:
        se: Standard error of the estimate.
        n: Units behind it, of both arms, above 0.
        alpha: One less the level.
        n_star: See :data:`N_STAR`.

    Source: Waudby-Smith et al. (2024), theorem 2.2.
    """
    rho_2 = sequence_tuning(alpha, n_star) ** 2
    grown = n * rho_2 + 1.0
    return se * sqrt(n) * sqrt(2.0 * grown * log(sqrt(grown) / alpha) / (n * n * rho_2))


class Moments:
    """Count, sum and sum of squares of values between 0 and 1."""

    __slots__ = ("n", "squares", "total")

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self.squares = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.n += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float | None:
        """``None`` without values."""
        return self.total / self.n if self.n else None

    @property
    def variance(self) -> float | None:
        """With n - 1 below; ``None`` with fewer than two values."""
        if self.n < 2:
            return None
        return max(0.0, self.squares - self.total * self.total / self.n) / (self.n - 1)


class Contrast:
    """One arm against another on values between 0 and 1: evidence and estimate, one step per unit.

    z = (T - pi) / (pi (1 - pi)) (y - m), with m the mean of what was seen before, has the difference of the means as
    its mean whatever m is; z min(pi, 1 - pi) lies between -1 and 1 and is bet on.

    Args:
        margin: Of the tests of being no worse and no better, on the scale from 0 to 1; ``None`` for no such tests.

    Attributes:
        bets: Evidence of a difference.
        above: Evidence that the difference lies above minus the margin.
        below: Evidence that it lies below the margin.
        arm, other: What the units of either scored.
    """

    __slots__ = (
        "_highest_share",
        "_lowest_share",
        "_margin",
        "_n",
        "_squares",
        "_sum",
        "_total",
        "above",
        "arm",
        "below",
        "bets",
        "other",
    )

    def __init__(self, margin: float | None = None) -> None:
        self.bets = TwoSidedBets()
        self.above = None if margin is None else OneSidedBets()
        self.below = None if margin is None else OneSidedBets()
        self.arm = Moments()
        self.other = Moments()
        self._margin = 0.0 if margin is None else margin
        self._n = 0
        self._total = 0.0
        self._sum = 0.0
        self._squares = 0.0
        self._lowest_share = inf
        self._highest_share = -inf

    def add(self, y: float, share: float, *, is_arm: bool) -> tuple[float, float] | None:
        """Take one unit.

        Args:
            y: What it scored, from 0 to 1.
            share: Chance that it got the arm, as was known before; one of 0 or 1 says nothing, and is left out.
            is_arm: Whether it got it.

        Returns:
            Its lead for the arm between -1 and 1, and what a difference of 1 would be on that scale; ``None`` where it
            says nothing.
        """
        if not 0.0 < share < 1.0:
            return None
        gap = y - (self._total + 0.5) / (self._n + 1)
        rest = 1.0 - share
        scale = share if share < rest else rest
        lead = gap / share * scale if is_arm else -gap / rest * scale
        self.bets.add(lead)
        if self.above is not None and self.below is not None:
            slack = self._margin * scale
            self.above.add(lead + slack)
            self.below.add(slack - lead)
        self._note(y, share, is_arm=is_arm)
        self._n += 1
        self._total += y
        return lead, scale

    def _note(self, y: float, share: float, *, is_arm: bool) -> None:
        """Add to the estimates, by means of each arm that were known before."""
        arm, other = self.arm, self.other
        ours = (arm.total + 0.5) / (arm.n + 1)
        theirs = (other.total + 0.5) / (other.n + 1)
        effect = ours - theirs
        if is_arm:
            effect += (y - ours) / share
            arm.add(y)
        else:
            effect -= (y - theirs) / (1.0 - share)
            other.add(y)
        self._sum += effect
        self._squares += effect * effect
        if share < self._lowest_share:
            self._lowest_share = share
        if share > self._highest_share:
            self._highest_share = share

    @property
    def n(self) -> int:
        """Units of both arms."""
        return self._n

    @property
    def is_weighted(self) -> bool:
        """Whether shares changed, so that plain means would mislead."""
        return self._highest_share - self._lowest_share > 1e-9

    @property
    def effect(self) -> float | None:
        """Mean of the arm less that of the other; ``None`` where either has no units."""
        ours, theirs = self.arm.mean, self.other.mean
        if ours is None or theirs is None:
            return None
        return self._sum / self._n if self.is_weighted else ours - theirs

    @property
    def standard_error(self) -> float | None:
        """Of the effect; ``None`` where there is no spread to tell it by."""
        ours, theirs = self.arm.variance, self.other.variance
        if ours is None or theirs is None:
            return None
        if self.is_weighted:
            square = (self._squares - self._sum * self._sum / self._n) / (self._n - 1) / self._n
        else:
            square = ours / self.arm.n + theirs / self.other.n
        return sqrt(square) if square > 0.0 else None

    def interval(self, alpha: float) -> Interval | None:
        """Of the effect, at level 1 - alpha; may be looked at always. ``None`` where there is no spread."""
        effect, se = self.effect, self.standard_error
        if effect is None or se is None:
            return None
        half = sequence_half_width(se, self._n, alpha)
        return Interval(low=effect - half, high=effect + half, level=1.0 - alpha, method=METHOD)
