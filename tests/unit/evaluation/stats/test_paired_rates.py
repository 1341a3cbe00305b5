from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import paired, paired_rates

COUNTS = st.integers(0, 40)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_tests_are_symmetric_and_ordered(wins: int, losses: int) -> None:
    exact, asymptotic = (
        paired_rates.mcnemar_exact_p(wins, losses),
        paired_rates.mcnemar_asymptotic_p(wins, losses),
    )
    assert exact == paired_rates.mcnemar_exact_p(losses, wins)
    assert asymptotic == paired_rates.mcnemar_asymptotic_p(losses, wins)
    assert 0.0 <= asymptotic <= 1.0
    assert paired.mcnemar_mid_p(wins, losses) <= exact + 1e-12
    assert exact <= 1.0


@settings(deadline=None)
@given(COUNTS, COUNTS, COUNTS, st.integers(1, 40))
def test_intervals_hold_the_difference_and_mirror(both: int, wins: int, losses: int, neither: int) -> None:
    n = both + wins + losses + neither
    for found, mirror in (
        (
            paired_rates.newcombe_interval(both, wins, losses, neither),
            paired_rates.newcombe_interval(both, losses, wins, neither),
        ),
        (paired_rates.wald_interval(wins, losses, n), paired_rates.wald_interval(losses, wins, n)),
    ):
        assert -1.0 <= found.low <= (wins - losses) / n <= found.high <= 1.0
        assert (found.low, found.high) == pytest.approx((-mirror.high, -mirror.low), abs=1e-12)
    assert (
        paired_rates.bonett_price_interval(wins, losses, n).high
        > paired_rates.bonett_price_interval(wins, losses, n).low
    )


def test_the_textbook_interval_has_no_width_on_ties() -> None:
    assert paired_rates.wald_interval(0, 0, 30).high == 0.0
    assert paired_rates.newcombe_interval(20, 0, 0, 10).high > 0.05


def test_programmer_errors() -> None:
    with pytest.raises(ValueError, match="counts of pairs"):
        paired_rates.wald_interval(3, 3, 5)
    with pytest.raises(ValueError, match="counts of pairs"):
        paired_rates.mcnemar_exact_p(-1, 3)
