from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.forest import CELLS, draw_interval, make_axis
from headrace.domain.comparison import Estimate, Interval


def an_estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, interval=Interval(low=low, high=high, level=0.95, method="t"), n=10)


def test_zero_the_interval_and_the_estimate_stand_in_place() -> None:
    axis = make_axis([an_estimate(0.5, 0.2, 1.0), an_estimate(-0.5, -1.0, 0.0)])
    assert axis is not None
    right = draw_interval(an_estimate(0.5, 0.2, 1.0), axis, has_unicode=True)
    assert len(right) == CELLS
    assert right.index("│") == CELLS // 2
    assert right.index("●") == 18
    assert right.endswith("──")
    assert right[CELLS // 2 + 1] == " "
    left = draw_interval(an_estimate(-0.5, -1.0, 0.0), axis, has_unicode=False)
    assert left == "------o-----|"


def test_nothing_to_draw_has_no_axis() -> None:
    assert make_axis([]) is None
    assert make_axis([None, Estimate(value=0.0, interval=None, n=3)]) is None


def test_an_estimate_without_interval_is_a_dot() -> None:
    axis = make_axis([Estimate(value=1.0, interval=None, n=3)])
    assert axis is not None
    assert draw_interval(Estimate(value=1.0, interval=None, n=3), axis, has_unicode=False).split() == [
        "|",
        "o",
    ]
    assert draw_interval(None, axis, has_unicode=False) == "|"


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=1, max_size=4))
def test_every_drawing_fits(triples: list[tuple[float, float, float]]) -> None:
    estimates = [an_estimate(b, a, c) for a, b, c in map(sorted, triples)]
    axis = make_axis(estimates)
    for estimate in estimates:
        if axis is not None:
            assert 0 < len(draw_interval(estimate, axis, has_unicode=True)) <= CELLS
