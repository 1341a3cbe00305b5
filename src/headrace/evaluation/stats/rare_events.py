"""Whether rare bad events happen more often in one arm, told from the bad events alone.

Had both arms the same rate, a bad event would come from the arm as often as units go there. So bad events alone tell
whether it is worse, and nothing has to be known about the many good ones, of which some are always still under way.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, exp, fsum, log, pi
from typing import Final

from headrace.evaluation.stats.betting import MOST, Reserve, bounded_log

N_NODES: Final = 64
"""Ratios of rates that are mixed; any choice of them is exact, and so many lose no power that could be seen."""

_WEIGHT_OF_PRIOR: Final = 4.0
_PACE_OF_EVENTS: Final = 16.0


class RareEvents:
    """Evidence that an arm has bad events more than ``max_ratio`` times as often as another, one event after the other.

    With pi the share of units that went to the arm, a bad event is from the arm with a chance of at most
    theta_0 = pi r / (pi r + 1 - pi). Bet is that it is more: on ratios whose chances are spread over theta_0 to 1 like
    Beta(4 theta_0 + 1/2, 4 (1 - theta_0) + 1/2), by Gauss-Legendre nodes. Exact after every event, also where pi
    changes.

    Args:
        max_ratio: The largest ratio of rates that is accepted, above 0.
        reserve: Share of the capital that is put in later; 0 bets everything from the start.

    Attributes:
        arm, other: Bad events of either.

    Raises:
        ValueError: ``max_ratio`` is not positive.

    Source: Ville's inequality for a mixture of likelihood ratios; Robbins (1970), Annals of Mathematical Statistics
    41:1397.
    """

    __slots__ = ("_amounts", "_max_ratio", "_most", "_ratios", "_reserve", "_won", "arm", "other")

    def __init__(self, max_ratio: float = 1.0, reserve: float = 0.0) -> None:
        if max_ratio <= 0.0:
            msg = "the ratio has to be positive"
            raise ValueError(msg)
        self._max_ratio = max_ratio
        self._reserve = Reserve(reserve, _PACE_OF_EVENTS)
        self._ratios: tuple[float, ...] = ()
        self._amounts: tuple[float, ...] = ()
        self._won: list[float] = []
        self._most = 1.0
        self.arm = 0
        self.other = 0

    def add(self, share: float, *, is_arm: bool) -> None:
        """Take one bad event.

        Args:
            share: Chance that its unit got the arm, as was known before; one of 0 or 1 says nothing, and is left out.
            is_arm: Whether it got it.
        """
        if not 0.0 < share < 1.0:
            return
        if not self._ratios:
            self._ratios, self._amounts = _ratios(share, self._max_ratio)
            self._won = [amount * (1.0 - self._reserve.left) for amount in self._amounts]
        drawn = self._reserve.draw()
        odds = share / (1.0 - share)
        accepted = odds * self._max_ratio
        if is_arm:
            self.arm += 1
            factors = [
                ratio * odds / (1.0 + ratio * odds) * (1.0 + accepted) / accepted for ratio in self._ratios
            ]
        else:
            self.other += 1
            factors = [(1.0 + accepted) / (1.0 + ratio * odds) for ratio in self._ratios]
        # What is won beyond the limit is given away: the evidence only gets smaller by it, and no sum overflows.
        self._won = [
            min((won + drawn * amount) * factor, MOST)
            for won, amount, factor in zip(self._won, self._amounts, factors, strict=True)
        ]
        self._most = max(self._most, fsum(self._won) + self._reserve.left)

    @property
    def log_e(self) -> float:
        """The evidence now, as a natural logarithm, within ±690."""
        return bounded_log(fsum(self._won) + self._reserve.left) if self._won else 0.0

    @property
    def highest(self) -> float:
        """The most that it ever was."""
        return bounded_log(self._most)


def _ratios(share: float, max_ratio: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ratios of rates to bet on, and how much on each; the amounts add up to 1."""
    odds = share / (1.0 - share)
    start = odds * max_ratio / (1.0 + odds * max_ratio)
    a = _WEIGHT_OF_PRIOR * start + 0.5
    b = _WEIGHT_OF_PRIOR * (1.0 - start) + 0.5
    chances, logs = [], []
    for node, weight in _legendre_nodes(N_NODES):
        chance = start + (1.0 - start) * (node + 1.0) / 2.0
        chances.append(chance)
        logs.append(log(weight) + (a - 1.0) * log(chance) + (b - 1.0) * log(1.0 - chance))
    most = max(logs)
    amounts = [exp(value - most) for value in logs]
    whole = fsum(amounts)
    return tuple(chance / (1.0 - chance) / odds for chance in chances), tuple(one / whole for one in amounts)


@lru_cache(maxsize=4)
def _legendre_nodes(n: int) -> tuple[tuple[float, float], ...]:
    """Nodes and weights of Gauss-Legendre quadrature over -1 to 1.

    Source: Press et al., Numerical Recipes, section 4.6: Newton's method on the roots of the Legendre polynomial.
    """
    found = []
    for place in range(1, n + 1):
        x = cos(pi * (place - 0.25) / (n + 0.5))
        slope = 1.0
        for _ in range(100):
            before, value = 1.0, x
            for degree in range(2, n + 1):
                before, value = value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
            slope = n * (x * value - before) / (x * x - 1.0)
            step = value / slope
            x -= step
            if abs(step) < 1e-15:
                break
        found.append((x, 2.0 / ((1.0 - x * x) * slope * slope)))
    return tuple(found)
