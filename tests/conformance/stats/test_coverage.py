"""Intervals cover and tests err as they promise: enumerated exactly, or simulated with a seed."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import comb
from random import Random

import pytest

from headrace.evaluation.stats.estimate import (
    bounded_difference_interval,
    quantile_interval,
    wilson_interval,
)
from headrace.evaluation.stats.multiple import holm
from headrace.evaluation.stats.paired import mcnemar_mid_p, tango_interval

RATES = [rate / 100 for rate in range(2, 99)]
DISCORDANCES = (0.05, 0.1, 0.2, 0.4)


def binomial(n: int, k: int, rate: float) -> float:
    return comb(n, k) * rate**k * (1 - rate) ** (n - k)


@cache
def tango(wins: int, losses: int, n: int) -> tuple[float, float]:
    interval = tango_interval(wins, losses, n)
    return interval.low, interval.high


def paired_coverage(n: int, discordance: float, difference: float) -> float:
    win = (discordance + difference) / 2
    covered = 0.0
    for discordant in range(n + 1):
        weight = binomial(n, discordant, discordance)
        if weight < 1e-12:
            continue
        for wins in range(discordant + 1):
            low, high = tango(wins, discordant - wins, n)
            if low <= difference <= high:
                covered += weight * binomial(discordant, wins, win / discordance)
    return covered


def test_wilson_covers_every_rate_at_30_lines() -> None:
    intervals = [wilson_interval(k, 30) for k in range(31)]
    coverages = [
        sum(
            binomial(30, k, rate)
            for k, interval in enumerate(intervals)
            if interval.low <= rate <= interval.high
        )
        for rate in RATES
    ]
    assert min(coverages) >= 0.92
    assert sum(coverages) / len(coverages) >= 0.945


@pytest.mark.parametrize("n", [10, 20, 30, 50])
def test_tango_covers_paired_differences(n: int) -> None:
    coverages = [
        paired_coverage(n, discordance, share * discordance)
        for discordance in DISCORDANCES
        for share in (0.0, 0.25, 0.5, 0.9)
    ]
    assert min(coverages) >= 0.94


@pytest.mark.parametrize("n", [10, 30, 50, 100, 300])
def test_mid_p_keeps_its_error_rate(n: int) -> None:
    @cache
    def rejected(discordant: int) -> float:
        return sum(
            binomial(discordant, wins, 0.5)
            for wins in range(discordant + 1)
            if mcnemar_mid_p(wins, discordant - wins) <= 0.05
        )

    errors = [
        sum(binomial(n, k, discordance) * rejected(k) for k in range(n + 1)) for discordance in DISCORDANCES
    ]
    assert max(errors) <= 0.055


def test_mid_p_below_alpha_means_tango_excludes_zero() -> None:
    for discordant in range(1, 61):
        for wins in range(discordant + 1):
            if mcnemar_mid_p(wins, discordant - wins) > 0.05:
                continue
            for n in (discordant, discordant + 1, 2 * discordant, 20 * discordant):
                assert tango_interval(wins, discordant - wins, n).excludes_zero, (wins, n)


def test_a_difference_found_at_n_155_is_found_with_80_percent_power() -> None:
    # Connor's formula asks for 155 lines at discordance .2 and difference .1.
    found = sum(
        binomial(155, discordant, 0.2)
        * sum(
            binomial(discordant, wins, 0.75)
            for wins in range(discordant + 1)
            if mcnemar_mid_p(wins, discordant - wins) <= 0.05
        )
        for discordant in range(156)
    )
    assert found == pytest.approx(0.807, abs=0.01)


@pytest.mark.parametrize("n", [20, 50])
def test_the_sparse_guard_covers_rare_losses(n: int) -> None:
    random = Random(20)  # noqa: S311 - reproducible draws, not a secret
    covered = 0
    for _ in range(1500):
        differences = [-1.0 if random.random() < 0.05 else 0.0 for _ in range(n)]
        interval = bounded_difference_interval(differences)
        assert interval is not None
        covered += interval.low <= -0.05 <= interval.high
    assert covered / 1500 >= 0.94


@pytest.mark.parametrize("probability", [0.5, 0.95])
def test_quantile_intervals_cover(probability: float) -> None:
    random = Random(7)  # noqa: S311 - reproducible draws, not a secret
    covered = 0
    for _ in range(1500):
        interval = quantile_interval([random.random() for _ in range(100)], probability)
        assert interval is not None
        covered += interval.low <= probability <= interval.high
    assert covered / 1500 >= 0.945


def test_holm_keeps_the_family_wise_error_rate() -> None:
    random = Random(3)  # noqa: S311 - reproducible draws, not a secret
    false_alarms = 0
    for _ in range(1000):
        baseline = [random.random() < 0.7 for _ in range(60)]
        p_values = []
        for _ in range(5):
            arm = [random.random() < 0.7 for _ in range(60)]
            pairs = list(zip(arm, baseline, strict=True))
            p_values.append(
                mcnemar_mid_p(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs))
            )
        false_alarms += min(holm(p_values)) <= 0.05
    assert false_alarms / 1000 <= 0.055


def test_more_lines_never_widen_wilson_at_the_same_rate() -> None:
    widths = [
        interval.high - interval.low for interval in (wilson_interval(n / 2, n) for n in range(2, 200, 2))
    ]
    assert all(later < earlier for earlier, later in pairwise(widths))
