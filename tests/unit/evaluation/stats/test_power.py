from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.stats import power


@given(st.floats(0.01, 0.9), st.floats(0.0, 1.0))
def test_what_the_lines_detect_is_what_they_were_planned_for(size: float, share: float) -> None:
    discordance = size + share * (1.0 - size)
    lines = ceil(power.lines_for_binary_difference(-size, discordance))
    detectable = power.detectable_binary_difference(lines, discordance)
    assert detectable is not None
    assert detectable <= size + 1e-9
    fewer = power.detectable_binary_difference(max(1, lines - 1), discordance)
    assert fewer is None or fewer >= size - 1e-9 or lines == 1


@given(st.floats(0.001, 1.0), st.floats(0.001, 1.0))
def test_graded_power_inverts(size: float, variance: float) -> None:
    lines = power.lines_for_mean_difference(size, variance)
    assert power.detectable_mean_difference(ceil(lines), variance) <= size + 1e-12


def test_more_lines_detect_less_and_stricter_tests_need_more() -> None:
    sizes = [power.detectable_binary_difference(n, 0.2) for n in (20, 40, 80, 160, 1000)]
    assert sizes == sorted(sizes, key=lambda size: -(size or 1.0))
    assert power.lines_for_binary_difference(0.1, 0.2, alpha=0.01) > power.lines_for_binary_difference(
        0.1, 0.2
    )
    assert power.lines_for_mean_difference(0.1, 0.2, power=0.9) > power.lines_for_mean_difference(0.1, 0.2)


def test_few_lines_cannot_detect_anything() -> None:
    assert power.detectable_binary_difference(3, 0.2) is None


def test_small_disagreement_does_not_cap_what_is_detectable() -> None:
    # Forty lines that never disagree still say little about a difference of 0.05.
    detectable = power.detectable_binary_difference(40, 0.0)
    assert detectable is not None
    assert 0.1 < detectable < 0.3


@pytest.mark.parametrize(("discordant", "n"), [(0, 30), (3, 30), (29, 30), (30, 30)])
def test_upper_bounds_exceed_the_plain_figures(discordant: int, n: int) -> None:
    assert discordant / n <= power.discordance_upper_bound(discordant, n) <= 1.0
    assert power.variance_upper_bound(0.2, n) > 0.2


def test_upper_bound_of_no_disagreement_has_a_closed_form() -> None:
    assert power.discordance_upper_bound(0, 30) == pytest.approx(1 - 0.2 ** (1 / 30))


def test_programmer_errors_are_said() -> None:
    for difference, discordance in ((0.0, 0.5), (0.5, 0.2), (0.5, 1.2)):
        with pytest.raises(ValueError, match="discordance"):
            power.lines_for_binary_difference(difference, discordance)
    with pytest.raises(ValueError, match="variance"):
        power.lines_for_mean_difference(0.0, 1.0)
    with pytest.raises(ValueError, match="discordance"):
        power.detectable_binary_difference(0, 0.5)
    with pytest.raises(ValueError, match="variance"):
        power.detectable_mean_difference(5, -1.0)
    with pytest.raises(ValueError, match="discordant"):
        power.discordance_upper_bound(4, 3)
    with pytest.raises(ValueError, match="variance"):
        power.variance_upper_bound(1.0, 1)


def test_repeats_pay_where_lines_are_dear() -> None:
    # Uniform rates of both arms: omega² 1/9 and sigma² 1/6 each.
    free = power.best_repeats(1 / 9, 1 / 3, line_cost=0.0, call_cost=1.0)
    dear = power.best_repeats(1 / 9, 1 / 3, line_cost=6.0, call_cost=1.0)
    assert free == 1.0
    assert dear == pytest.approx(3.0)
    assert power.best_repeats(0.0, 1.0, line_cost=1.0, call_cost=1.0) is None

    def cost(repeats: float) -> float:
        return (6.0 + 2.0 * repeats) * power.repeated_variance(
            1 / 9, 1 / 6, 1 / 6, ours=repeats, theirs=repeats
        )

    assert cost(3.0) < min(cost(2.9), cost(3.1))


def test_a_margin_needs_fewer_lines_the_better_the_arm() -> None:
    # Z .05 + z .2 = 2.4865: (2.4865 / .1)² · .2 = 123.6
    assert power.lines_for_margin(0.1, 0.2) == pytest.approx(123.65, abs=0.01)
    assert power.lines_for_margin(0.1, 0.2, difference=0.1) == pytest.approx(123.65 / 4, abs=0.01)
    assert power.lines_for_margin(0.1, 0.2, difference=-0.1) is None
    with pytest.raises(ValueError, match="margin above 0"):
        power.lines_for_margin(0.0, 0.2)
    with pytest.raises(ValueError, match="repeats of 1"):
        power.repeated_variance(0.1, 0.1, 0.1, ours=0.5)
    with pytest.raises(ValueError, match="price for calls"):
        power.best_repeats(0.1, 0.1, line_cost=1.0, call_cost=0.0)
