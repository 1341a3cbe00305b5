from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.stats import paired
from headrace.evaluation.stats.estimate import mean

TABLES = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))


@given(TABLES)
def test_tango_holds_the_estimate_mirrors_and_has_width(table: tuple[int, int, int]) -> None:
    wins, losses, ties = table
    n = wins + losses + ties
    interval = paired.tango_interval(wins, losses, n)
    mirror = paired.tango_interval(losses, wins, n)
    assert -1.0 <= interval.low <= (wins - losses) / n <= interval.high <= 1.0
    assert interval.high - interval.low > 0.01
    assert (interval.low, interval.high) == (-mirror.high, -mirror.low)


@pytest.mark.parametrize("wins", range(41))
def test_forty_lines_never_give_a_zero_width(wins: int) -> None:
    for losses in range(41 - wins):
        interval = paired.tango_interval(wins, losses, 40)
        assert interval.high - interval.low > 0.1, (wins, losses)


def test_tango_with_every_line_won_ends_at_one() -> None:
    interval = paired.tango_interval(12, 0, 12)
    assert interval.high == 1.0
    assert 0.4 < interval.low < 0.8


def test_all_ties_leave_a_symmetric_interval() -> None:
    # 30 ties: half-width .114.
    interval = paired.tango_interval(0, 0, 30)
    assert interval.high == pytest.approx(0.1135, abs=1e-3)
    assert interval.low == -interval.high


@given(st.integers(0, 80), st.integers(0, 80))
def test_mid_p_is_a_symmetric_probability_below_the_exact_one(wins: int, losses: int) -> None:
    p = paired.mcnemar_mid_p(wins, losses)
    assert 0.0 <= p <= 1.0
    assert p == paired.mcnemar_mid_p(losses, wins)
    if wins == losses:
        assert p == pytest.approx(1.0)


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 2, 5]))
def test_mid_p_below_alpha_means_tango_excludes_zero(wins: int, losses: int, factor: int) -> None:
    if wins + losses and paired.mcnemar_mid_p(wins, losses) <= 0.05:
        assert paired.tango_interval(wins, losses, (wins + losses) * factor).excludes_zero


@given(st.integers(0, 80), st.integers(0, 80))
def test_probability_better_mirrors_and_follows_the_wins(wins: int, losses: int) -> None:
    p = paired.probability_better(wins, losses)
    assert p + paired.probability_better(losses, wins) == pytest.approx(1.0)
    assert (p > 0.5) == (wins > losses) or wins == losses


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_sign_flip_tries_every_pattern(quarters: list[int]) -> None:
    differences = [quarter / 4 for quarter in quarters]
    observed = abs(sum(differences))
    patterns = list(product((-1, 1), repeat=len(differences)))
    extreme = sum(
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True))) >= observed
        for signs in patterns
    )
    assert paired.sign_flip_p(differences) == pytest.approx(extreme / len(patterns))


@given(st.lists(st.floats(-1.0, 1.0), min_size=15, max_size=40), st.integers(0, 5))
def test_sign_flip_ignores_order_direction_and_ties(differences: list[float], seed: int) -> None:
    p = paired.sign_flip_p(differences, seed=seed, draws=200)
    swapped = [-d for d in reversed(differences)]
    assert 0.0 < p <= 1.0
    assert paired.sign_flip_p(swapped, seed=seed, draws=200) == p
    assert paired.sign_flip_p([*differences, 0.0, 0.0], seed=seed, draws=200) == p


def test_random_sign_flips_agree_with_the_exact_p() -> None:
    # Eighteen equal differences, two against: the exact p is a binomial tail.
    differences = [0.5] * 18 + [-0.5] * 4
    exact = 2 * sum((1, 22, 231, 1540, 7315)) / 2**22
    assert paired.sign_flip_p(differences, seed=4) == pytest.approx(exact, abs=0.0015)


def test_random_sign_flips_of_a_large_sample_agree_with_t() -> None:
    random = Random(11)
    differences = [random.gauss(0.06, 0.5) for _ in range(400)]
    t_p = paired.paired_t_p(differences)
    assert t_p is not None
    assert paired.sign_flip_p(differences) == pytest.approx(t_p, abs=0.01)


def test_paired_t_needs_spread() -> None:
    assert paired.paired_t_p([0.3]) is None
    assert paired.paired_t_p([0.3, 0.3]) is None
    assert paired.paired_t_p([-0.1, 0.1]) == pytest.approx(1.0)


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=40))
def test_probability_of_a_positive_mean_mirrors(differences: list[float]) -> None:
    p = paired.probability_mean_positive(differences)
    mirror = paired.probability_mean_positive([-d for d in differences])
    assert p is not None
    assert mirror is not None
    assert p + mirror == pytest.approx(1.0)
    if mean(differences) > 1e-9:
        assert p >= 0.5


def test_probability_without_spread_is_unknown() -> None:
    assert paired.probability_mean_positive([], value_range=0.0) is None
    assert paired.probability_mean_positive([0.0] * 9, value_range=0.0) is None


def test_log_ratio_is_the_ratio_of_geometric_means() -> None:
    found = paired.log_ratio([2.0, 8.0, 2.0], [1.0, 1.0, 2.0])
    assert found is not None
    assert found.value == pytest.approx(16 ** (1 / 3))
    assert found.interval is not None
    inverse = paired.log_ratio([1.0, 1.0, 2.0], [2.0, 8.0, 2.0])
    assert inverse is not None
    assert inverse.interval is not None
    assert inverse.value == pytest.approx(1 / found.value)
    assert inverse.interval.low == pytest.approx(1 / found.interval.high)


def test_log_ratio_of_little_data() -> None:
    assert paired.log_ratio([], []) is None
    single = paired.log_ratio([3.0], [1.0])
    assert single is not None
    assert single.value == pytest.approx(3.0)
    assert single.interval is None


def test_log_ratio_beyond_floats_is_unknown() -> None:
    assert paired.log_ratio([1e300], [1e-300]) is None
    wide = paired.log_ratio([1.0, 1.0], [1.0, 1e-250])
    assert wide is not None
    assert wide.interval is None


def test_sign_counts_round_to_ties() -> None:
    assert paired.sign_counts([0.5, -0.1, 0.0, 1e-12, -1e-12]) == (1, 1, 3)


def test_programmer_errors_are_said() -> None:
    with pytest.raises(ValueError, match="counts"):
        paired.mcnemar_mid_p(-1, 2)
    with pytest.raises(ValueError, match="counts"):
        paired.probability_better(1, -2)
    with pytest.raises(ValueError, match="tango"):
        paired.tango_interval(3, 3, 5)
    with pytest.raises(ValueError, match="draw"):
        paired.sign_flip_p([1.0], draws=0)
    with pytest.raises(ValueError, match="pairs"):
        paired.log_ratio([1.0], [])
    with pytest.raises(ValueError, match="positive"):
        paired.log_ratio([0.0], [1.0])


@pytest.mark.parametrize("share", [0.4, 1.0, 1.0 / 3.0])
def test_the_same_ratio_on_every_line_has_no_interval(share: float) -> None:
    costs = [0.0012 * k for k in range(1, 50)]
    found = paired.log_ratio([share * cost for cost in costs], costs)
    assert found is not None
    assert found.value == pytest.approx(share)
    assert found.interval is None
