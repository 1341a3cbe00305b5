from __future__ import annotations

import pytest

from headrace.domain.comparison import Estimate, Interval
from headrace.evaluation import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (-0.12345, "−0.123"),
        (9.9994, "9.999"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (0.00001, "1.0e-05"),
        (123_456_789.0, "123,456,789"),
        (-2e99, "−2.0e+99"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert wording.number(value) == text


def test_differences_carry_their_sign() -> None:
    assert wording.signed(0.25) == "+0.250"
    assert wording.signed(0.0) == "0.000"
    interval = Interval(low=-0.1, high=0.2, level=0.95, method="t")
    assert wording.span(interval) == "−0.100 to +0.200"
    assert wording.level(interval) == "95%"


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.0312, "0.031"), (1.0, "1.000")])
def test_p_values(p: float, text: str) -> None:
    assert wording.p_value(p) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0.42, "0.4 ms"), (42.4, "42 ms"), (999.4, "999 ms"), (1234.0, "1.23 s"), (90_000.0, "1.5 min")],
)
def test_durations(duration_ms: float, text: str) -> None:
    assert wording.duration(duration_ms) == text


@pytest.mark.parametrize(
    ("cost_usd", "text"),
    [(0.0, "$0.00"), (1234.5, "$1,234.50"), (0.0123, "$0.0123"), (0.0000042, "$4.2e-06")],
)
def test_costs_are_never_rounded_to_nothing(cost_usd: float, text: str) -> None:
    assert wording.cost(cost_usd) == text


def test_counts_and_ratios() -> None:
    assert wording.count(1, "line") == "1 line"
    assert wording.count(1200, "line") == "1,200 lines"
    interval = Interval(low=1.1, high=1.4, level=0.95, method="t")
    assert wording.ratio(Estimate(value=1.25, interval=interval, n=9)) == "1.25× (1.10 to 1.40)"
    assert wording.ratio(Estimate(value=1.25, interval=None, n=1)) == "1.25×"
