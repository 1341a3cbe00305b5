"""Betting on means: evidence that is exact after every observation, however often one looks.

Somebody who bets a share of what they have on each observation cannot expect to win while the hypothesis is true. So
what they have won is evidence against it, and while it is true the chance that they ever multiply what they had by
1/alpha is at most alpha (Ville's inequality). Several shares are bet side by side and averaged.

Source: Waudby-Smith and Ramdas (2024), JRSS B 86:1; Ramdas et al. (2023), Statistical Science 38:576.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, fsum, log, log1p
from typing import Final

BETS: Final = tuple(0.005 * 2.0**power for power in range(8))
"""Shares that are bet on a mean; their average is robust over effects of all sizes."""

NO_BETS: Final = (0.0,) * len(BETS)

_BOTH_SIDES: Final = (*BETS, *(-bet for bet in BETS))
MOST: Final = 1e300
"""What a bet may win at most; it gives away what it wins beyond that, so that it can lose again afterwards."""

_PACE_OF_UNITS: Final = 500.0


def mean_log_e(leads: Iterable[float], score_range: float = 1.0) -> float:
    """Natural logarithm of the evidence that the mean of some differences is above zero.

    The average over bets of .005 to .64 of the product of 1 + bet × difference / range: while the mean is not above
    zero, the chance that it ever exceeds 1/alpha is at most alpha, however often one looks.

    Args:
        leads: The differences, none beyond the range.
        score_range: Largest difference possible, above zero.

    Source: Waudby-Smith and Ramdas (2024), JRSS B 86:1.
    """
    return log_mean(add_bets(NO_BETS, leads, score_range))


def add_bets(logs: Sequence[float], leads: Iterable[float], score_range: float) -> tuple[float, ...]:
    """What each bet has won so far, as a logarithm, with further differences."""
    shares = [lead / score_range for lead in leads]
    return tuple(
        fsum((won, *(log1p(bet * share) for share in shares))) for won, bet in zip(logs, BETS, strict=True)
    )


def log_mean(logs: Sequence[float]) -> float:
    """Logarithm of the mean of numbers that are given by their logarithms."""
    most = max(logs)
    return most + log(fsum(exp(value - most) for value in logs) / len(logs))


class Reserve:
    """What is not bet at the start but bit by bit, so that what begins to happen later is seen as well.

    Whoever has bet everything from the start has lost most of it by the time an arm goes bad after a long good while.
    What is put in at step t is bet as if the test began there; a mixture over when it begins stays evidence.

    Args:
        share: Of the capital, at least 0 and below 1.
        pace: Steps after which half of the reserve is put in.

    Attributes:
        left: What has not been bet so far.

    Source: mixture of e-processes over their starts, Shin, Ramdas and Rinaldo (2024), E-detectors, New England Journal
    of Statistics in Data Science 2:229, with weights that add up to 1 so that Ville's inequality holds.
    """

    __slots__ = ("_n", "_pace", "_share", "left")

    def __init__(self, share: float, pace: float) -> None:
        self._share = self.left = share
        self._pace = pace
        self._n = 0

    def draw(self) -> float:
        """What is put in now, before the next observation."""
        self._n += 1
        left = self._share * self._pace / (self._n + self._pace)
        drawn, self.left = self.left - left, left
        return drawn


class OneSidedBets:
    """Evidence that observations have a mean above zero, one observation after the other; eight floats.

    Observations may lie between -1.5 and any bound: no bet loses more than it has.

    Args:
        reserve: Share of the capital that is put in later; 0 bets everything from the start.
    """

    __slots__ = ("_most", "_reserve", "_won")

    def __init__(self, reserve: float = 0.0) -> None:
        self._reserve = Reserve(reserve, _PACE_OF_UNITS)
        self._won = [(1.0 - reserve) / len(BETS)] * len(BETS)
        self._most = 1.0

    def add(self, x: float) -> None:
        """Bet on one observation."""
        drawn = self._reserve.draw() / len(BETS)
        won = [(amount + drawn) * (1.0 + bet * x) for amount, bet in zip(self._won, BETS, strict=True)]
        self._won = won if max(won) <= MOST else [min(amount, MOST) for amount in won]
        total = sum(won) + self._reserve.left
        if total > self._most:
            self._most = total

    @property
    def log_e(self) -> float:
        """The evidence now, as a natural logarithm, within ±690."""
        return bounded_log(sum(self._won) + self._reserve.left)

    @property
    def highest(self) -> float:
        """The most that it ever was."""
        return bounded_log(self._most)


class TwoSidedBets:
    """Evidence that observations between -1 and 1 have a mean other than zero; sixteen floats."""

    __slots__ = ("_won",)

    def __init__(self) -> None:
        self._won = [1.0 / len(_BOTH_SIDES)] * len(_BOTH_SIDES)

    def add(self, x: float) -> None:
        """Bet on one observation, on either side."""
        won = [amount * (1.0 + bet * x) for amount, bet in zip(self._won, _BOTH_SIDES, strict=True)]
        self._won = won if max(won) <= MOST else [min(amount, MOST) for amount in won]

    @property
    def e(self) -> float:
        """The evidence for a mean other than zero."""
        return sum(self._won)

    @property
    def log_e(self) -> float:
        """The same as a natural logarithm, within ±690."""
        return bounded_log(sum(self._won))

    @property
    def log_e_above(self) -> float:
        """Evidence for a mean above zero alone, as a natural logarithm."""
        return bounded_log(2.0 * sum(self._won[: len(BETS)]))

    @property
    def log_e_below(self) -> float:
        """Evidence for a mean below zero alone, as a natural logarithm."""
        return bounded_log(2.0 * sum(self._won[len(BETS) :]))


def bounded_log(amount: float) -> float:
    """Natural logarithm of what was won, where it is too much or too little for a float as well."""
    return log(min(MOST, max(1.0 / MOST, amount)))
