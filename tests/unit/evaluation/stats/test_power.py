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
