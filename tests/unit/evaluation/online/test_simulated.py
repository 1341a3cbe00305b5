"""The studies of live traffic on a small scale: seeds are fixed, bounds are generous. `make calibration` plays them whole."""

from __future__ import annotations

from random import Random
from statistics import median

import pytest
from tests.calibration import online


@pytest.mark.parametrize(
    ("play", "runs"),
    [
        (online.plain(0.3, 1000), 20),
        (online.plain(0.02, 2000), 10),
        (online.sticky(400), 20),
        (online.ramped(1000), 12),
        (online.thompson(1500, {"old": 0.3, "new": 0.3}), 10),
        (online.planned(0.3, 800), 20),
    ],
    ids=["plain", "rare", "sticky", "ramp", "thompson", "planned"],
)
def test_equal_arms_are_hardly_ever_called_different(play: object, runs: int) -> None:
    assert online.share_of(play, runs, 1) <= 0.1  # type: ignore[arg-type]


def test_the_z_test_would_call_them_different_often() -> None:
    assert online.share_of(online.naive(0.3, 2000), 60, 1) > 0.25


def test_a_fair_split_raises_no_alarm_and_an_unfair_one_does() -> None:
    study = online.splits(runs=10, n=1000)
    assert [row[3] for row in study.rows] == ["0.000", "1.000"]


def test_a_canary_that_is_as_good_is_not_rolled_back_and_a_bad_one_soon() -> None:
    random = Random(5)
    assert sum(online.rollback_after(random, 0.01, 2000) is not None for _ in range(10)) <= 1
    found = [online.rollback_after(random, 0.10, 10_000) for _ in range(40)]
    assert median(size or 10_000 for size in found) <= 90
