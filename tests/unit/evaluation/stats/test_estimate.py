from __future__ import annotations

from math import comb, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.stats import estimate

UNIT_SCORES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60)
DIFFERENCES = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rate_intervals_hold_the_rate_and_mirror(counts: tuple[int, int]) -> None:
    successes, n = counts
    for method in (estimate.wilson_interval, estimate.clopper_pearson_interval):
        interval = method(successes, n)
        mirror = method(n - successes, n)
        assert 0.0 <= interval.low <= successes / n <= interval.high <= 1.0
        assert interval.high - interval.low > 0.0
        assert interval.low == pytest.approx(1.0 - mirror.high, abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.77, 0.99])
def test_clopper_pearson_never_covers_less_than_it_says(rate: float) -> None:
    covered = 0.0
    for k in range(31):
        interval = estimate.clopper_pearson_interval(k, 30)
        if interval.low <= rate <= interval.high:
            covered += comb(30, k) * rate**k * (1 - rate) ** (30 - k)
    assert covered >= 0.95


def test_clopper_pearson_at_the_edge_is_the_rule_of_three() -> None:
    assert estimate.clopper_pearson_interval(0, 100, level=0.9).high == pytest.approx(1 - 0.05**0.01)


def test_a_higher_level_is_a_wider_interval() -> None:
    narrow = estimate.wilson_interval(7, 20, level=0.8)
    wide = estimate.wilson_interval(7, 20, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_rates_refuse_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        estimate.wilson_interval(successes, n)
    with pytest.raises(ValueError, match="successes"):
        estimate.clopper_pearson_interval(successes, n)


def test_t_interval_needs_spread() -> None:
    assert estimate.t_interval([1.0]) is None
    assert estimate.t_interval([0.5, 0.5, 0.5]) is None


@given(UNIT_SCORES)
def test_bounded_mean_interval_holds_the_mean(values: list[float]) -> None:
    interval = estimate.bounded_mean_interval(values)
    centre = estimate.mean(values)
    assert 0.0 <= interval.low <= centre + 1e-12
    assert centre - 1e-12 <= interval.high <= 1.0
    assert interval.high > interval.low


def test_bounded_mean_interval_of_equal_scores_is_wilson() -> None:
    interval = estimate.bounded_mean_interval([1.0] * 30)
    assert interval.method == "Wilson (bounded mean)"
    assert interval.low == pytest.approx(estimate.wilson_interval(30, 30).low)
    assert interval.high == 1.0


def test_bounded_mean_interval_refuses_other_scores() -> None:
    for values in ([], [0.5, 1.5]):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            estimate.bounded_mean_interval(values)


@given(DIFFERENCES)
def test_bounded_difference_interval_holds_the_mean_and_mirrors(differences: list[float]) -> None:
    interval = estimate.bounded_difference_interval(differences)
    mirror = estimate.bounded_difference_interval([-d for d in differences])
    assert interval is not None
    assert mirror is not None
    centre = estimate.mean(differences)
    assert -1.0 <= interval.low <= centre + 1e-12
    assert centre - 1e-12 <= interval.high <= 1.0
    assert interval.low == pytest.approx(-mirror.high, abs=1e-12)


@pytest.mark.parametrize(
    ("differences", "is_guarded"),
    [
        ([0.0] * 40, True),
        ([0.0] * 40 + [-1.0] * 7, True),  # seven nonzero
        ([0.0] * 40 + [-1.0] * 9, True),  # nine of 49, all on one side
        ([0.0] * 40 + [-1.0] * 6 + [1.0] * 6, False),  # few, but on both sides
        ([0.0] * 5 + [-1.0] * 9, False),  # one side, but most lines
        ([0.1, -0.2] * 10, False),
        ([0.5, -0.5] * 3 + [0.5], True),  # seven lines in all
        ([0.5, -0.5] * 4, False),
        ([0.5] * 30, True),  # all the same
    ],
)
def test_the_sparse_guard_is_used_when_few_lines_differ(differences: list[float], is_guarded: bool) -> None:
    interval = estimate.bounded_difference_interval(differences)
    assert interval is not None
    assert estimate.needs_sparse_guard(differences) == is_guarded
    assert (interval.method == "t with sparse guard") == is_guarded
    assert interval.high > interval.low


def test_difference_interval_without_any_spread_is_unknown() -> None:
    assert estimate.difference_interval([], value_range=1.0) is None
    assert estimate.difference_interval([0.0] * 9, value_range=0.0) is None
    assert estimate.bounded_difference_interval([]) is None


def test_difference_interval_is_not_clipped() -> None:
    interval = estimate.difference_interval([2.0, -2.0, 1.0], value_range=2.0)
    assert interval is not None
    assert interval.high > 2.0
    assert interval.low < -1.0


@pytest.mark.parametrize(
    ("probability", "expected"), [(0.0, 1.0), (0.25, 2.0), (0.5, 3.0), (0.9, 4.6), (1.0, 5.0)]
)
def test_quantile_interpolates(probability: float, expected: float) -> None:
    assert estimate.quantile([5.0, 1.0, 4.0, 2.0, 3.0], probability) == pytest.approx(expected)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95]))
def test_quantile_interval_holds_the_quantile(values: list[float], probability: float) -> None:
    interval = estimate.quantile_interval(values, probability)
    if interval is None:
        # Either all values lie below the quantile too often, or all above.
        tail = max(probability, 1.0 - probability) ** len(values)
        assert tail > 0.025
    else:
        assert interval.low <= estimate.quantile(values, probability) <= interval.high


@pytest.mark.parametrize(("probability", "fewest"), [(0.5, 6), (0.9, 36), (0.95, 72)])
def test_quantile_interval_needs_enough_lines(probability: float, fewest: int) -> None:
    values = [float(value) for value in range(fewest)]
    assert estimate.quantile_interval(values[1:], probability) is None
    assert estimate.quantile_interval(values, probability) is not None


def test_median_interval_of_ten_values_is_the_second_to_ninth() -> None:
    # The sign-test interval of every textbook: P(2 <= Bin(10, .5) <= 8) = .979.
    interval = estimate.quantile_interval([float(value) for value in range(1, 11)], 0.5)
    assert interval is not None
    assert (interval.low, interval.high) == (2.0, 9.0)


def test_repeats_do_not_narrow_the_quantile_interval() -> None:
    values = [float(value) for value in range(1, 11)]
    once = estimate.quantile_interval(values, 0.5)
    five_times = estimate.quantile_interval(values * 5, 0.5, n_independent=10)
    naive = estimate.quantile_interval(values * 5, 0.5)
    assert once is not None
    assert five_times is not None
    assert naive is not None
    assert (five_times.low, five_times.high) == (once.low, once.high)
    assert naive.high - naive.low < once.high - once.low


def test_quantile_interval_of_many_values_agrees_with_the_normal_ranks() -> None:
    n = 5000
    interval = estimate.quantile_interval([float(rank) for rank in range(1, n + 1)], 0.5)
    assert interval is not None
    half = 1.96 * (n * 0.25) ** 0.5
    assert interval.low == pytest.approx(n / 2 - half, abs=2)
    assert interval.high == pytest.approx(n / 2 + half, abs=2)
    assert log(interval.high) > log(interval.low)


def test_programmer_errors_are_said() -> None:
    with pytest.raises(ValueError, match="mean"):
        estimate.mean([])
    with pytest.raises(ValueError, match="variance"):
        estimate.variance([1.0])
    with pytest.raises(ValueError, match="quantile"):
        estimate.quantile([], 0.5)
    with pytest.raises(ValueError, match="probability"):
        estimate.quantile_interval([1.0], 1.0)


@pytest.mark.parametrize("value", [0.1, 0.7, 1.0 / 3.0, 123.456, -1e9])
@pytest.mark.parametrize("n", [2, 3, 10, 50])
def test_rounding_is_no_spread(value: float, n: int) -> None:
    assert estimate.t_interval([value] * n) is None
    assert estimate.t_interval([value] * n + [value * (1.0 + 1e-6)]) is not None
