"""Whether units are split among arms as the weights say, looked at after every unit."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Final

CONCENTRATION: Final = 100.0
"""Units that the prior is worth: the larger, the smaller the mismatches it looks for."""


class SampleRatioTest:
    """Evidence that units are not split as expected, one unit after the other.

    The arm of each unit is forecast from those before it, by a Dirichlet prior around the expected shares, and the
    forecast is paid by how much better it was than the expectation. While units are split as expected, the chance that
    the evidence ever exceeds 1/alpha is at most alpha. Where shares change, what was learned is how many times its
    expected units an arm has got; with constant shares that is the Dirichlet-multinomial test.

    Attributes:
        observed: Units per arm.
        expected: Sums of their shares.
        n_impossible: Units of arms that were expected to get none; they are left out, as such arms are.
        highest: The most that the evidence ever was, as a natural logarithm.
        log_e: What it is now.

    Source: Lindon and Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35.
    """

    __slots__ = ("expected", "highest", "log_e", "n_impossible", "observed")

    def __init__(self) -> None:
        self.observed: dict[str, int] = {}
        self.expected: dict[str, float] = {}
        self.n_impossible = 0
        self.log_e = 0.0
        self.highest = 0.0

    def add(self, arm: str, shares: Mapping[str, float]) -> None:
        """Take one unit.

        Args:
            arm: The one that it got.
            shares: Chances of the arms for it, which add up to 1; those of 0 are left out.
        """
        if shares.get(arm, 0.0) <= 0.0:
            self.n_impossible += 1
            return
        observed, expected = self.observed, self.expected
        forecast = whole = 0.0
        for name, share in shares.items():
            if share <= 0.0:
                continue
            prior = CONCENTRATION * share
            before = expected.get(name, 0.0)
            ratio = (prior + observed.get(name, 0)) / (prior + before)
            whole += share * ratio
            if name == arm:
                forecast = ratio
            expected[name] = before + share
        observed[arm] = observed.get(arm, 0) + 1
        self.log_e += log(forecast / whole)
        if self.log_e > self.highest:
            self.highest = self.log_e
