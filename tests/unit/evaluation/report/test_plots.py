from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evaluation.builders import an_arm, yes_no

from headrace.domain.comparison import Estimate, Interval
from headrace.domain.scores import MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.report import plots


def an_estimate(value: float, half: float = 0.1) -> Estimate:
    return Estimate(
        value=value, interval=Interval(low=value - half, high=value + half, level=0.95, method="t"), n=9
    )


def a_metric(**metric):
    arms = [an_arm("base", yes_no(10, 30)), an_arm("up", yes_no(20, 20)), an_arm("down", yes_no(2, 38))]
    comparison = compare(arms, baseline="base", metrics=[MetricSpec(name="accuracy", **metric)])
    assert comparison.primary is not None
    return comparison.primary


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 9))
def test_ticks_are_round_inside_and_few(low: float, span: float, at_most: int) -> None:
    high = low + span
    ticks = plots.nice_ticks(low, high, at_most)
    assert 1 <= len(ticks) <= at_most
    assert all(low - span * 1e-6 <= tick <= high + span * 1e-6 for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_ticks_of_a_common_range() -> None:
    assert plots.nice_ticks(0.0, 1.0, 6) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert plots.nice_ticks(0.3, 0.3, 5) == [0.3]


@pytest.mark.parametrize("is_log", [False, True])
def test_a_scale_keeps_order_and_stays_inside(is_log: bool) -> None:
    scale = plots.Scale(low=0.01, high=100.0, start=9.0, end=96.0, is_log=is_log)
    places = [scale.at(value) for value in (0.001, 0.01, 1.0, 100.0, 1e6)]
    assert places == sorted(places)
    assert places[0] == 9.0
    assert places[-1] == 96.0
    assert scale.at(1.0) == pytest.approx(52.5) or not is_log


def test_the_difference_scale_holds_every_interval_zero_and_the_margin() -> None:
    metric = a_metric(margin=0.9)
    scale = plots.difference_scale(metric)
    ends = [0.0, -0.9, 0.9]
    for effect in metric.effects:
        assert effect.difference is not None
        assert effect.difference.interval is not None
        ends += [effect.difference.interval.low, effect.difference.interval.high]
    assert scale.low < min(ends) < max(ends) < scale.high


def test_a_track_draws_the_interval_where_it_is() -> None:
    scale = plots.Scale(low=-1.0, high=1.0, start=0.0, end=100.0)
    svg = plots.interval_track(an_estimate(0.5), "better", scale, label="up & away", margin=None)
    assert 'x1="70.00%" x2="80.00%"' in svg
    assert 'cx="75.00%"' in svg
    assert 'class="zero" x1="50.00%"' in svg
    assert "up &amp; away" in svg


def test_an_estimate_without_interval_has_no_whisker() -> None:
    scale = plots.Scale(low=-1.0, high=1.0, start=0.0, end=100.0)
    alone = Estimate(value=0.5, interval=None, n=1)
    assert "whisker" not in plots.interval_track(alone, "inconclusive", scale, label="x", margin=None)


def test_efficient_arms_are_those_that_nobody_dominates() -> None:
    metric = a_metric()
    prices = plots.Prices(
        label="tokens", per_line={"base": 1.0, "up": 3.0, "down": 2.0}, is_cost=False, what="cost"
    )
    points = {point.arm: point.is_efficient for point in plots.quality_points(metric, prices)}
    assert points == {"base": True, "up": True, "down": False}
    lower = {p.arm: p.is_efficient for p in plots.quality_points(a_metric(direction="lower"), prices)}
    assert lower == {"base": True, "up": False, "down": True}


def test_names_in_the_scatter_plot_do_not_overlap() -> None:
    arms = [an_arm(f"arm-{i}", yes_no(20, 20)) for i in range(8)]
    comparison = compare(arms, baseline="arm-0", metrics=[MetricSpec(name="accuracy")])
    prices = plots.quality_prices(comparison)
    assert prices is not None
    assert comparison.primary is not None
    points = plots.quality_points(comparison.primary, prices)
    svg = plots.scatter(points, prices, comparison.primary, label="x")
    places = {
        side: sorted(
            float(y) for y in re.findall(rf'class="name"[^>]* y="([\d.]+)" text-anchor="{side}"', svg)
        )
        for side in ("start", "end")
    }
    assert sum(map(len, places.values())) == 8
    for heights in places.values():
        assert all(later - earlier >= 15.9 for earlier, later in pairwise(heights))


WIDTHS = (320, 390, 500, 760, 1080)


def boxes(svg: str, width: int) -> tuple[list[tuple[float, float, float, float]], list[tuple[float, float]]]:
    """Boxes of the names (left, right, top, bottom) and middles of the dots, in pixels."""
    names = []
    for x, dx, y, anchor, text in re.findall(
        r'class="name" x="([\d.]+)%" dx="(-?\d+)" y="([\d.]+)" text-anchor="(\w+)">([^<]+)<', svg
    ):
        begin = float(x) * width / 100 + float(dx)
        size = 7.0 * len(text)
        left = begin if anchor == "start" else begin - size
        names.append((left, left + size, float(y) - 11, float(y) + 3))
    dots = re.findall(r'<circle[^>]* cx="([\d.]+)%" cy="([\d.]+)"', svg)
    return names, [(float(x) * width / 100, float(y)) for x, y in dots]


def a_point(arm: str, price: float, quality: float) -> plots.Point:
    return plots.Point(arm=arm, quality=an_estimate(quality), price=price, is_efficient=True)


POINTS = {
    "same height": [
        a_point("zero_shot", 106, 0.125),
        a_point("few_shot", 379, 0.125),
        a_point("x", 500, 0.125),
    ],
    "nearly one place": [a_point(f"arm-{i}", 200 + i, 0.3) for i in range(6)],
    "long names": [
        a_point(f"retrieval_few_shot/gpt-4o-mini-{i}", 100 + 40 * i, 0.3 + 0.01 * (i % 3)) for i in range(6)
    ],
    "long name in the middle": [a_point("retrieval_few_shot_and_more", 54, 0.1), a_point("last", 100, 0.2)],
}


@pytest.mark.parametrize("case", POINTS)
@pytest.mark.parametrize("width", WIDTHS)
def test_names_clear_the_dots_and_each_other_at_any_width(case: str, width: int) -> None:
    prices = plots.Prices(label="tokens", per_line={}, is_cost=False, what="cost")
    svg = plots.scatter(POINTS[case], prices, a_metric(), label="x")
    names, dots = boxes(svg, width)
    assert (len(names), len(dots)) == (len(POINTS[case]), len(POINTS[case]))
    for at, (left, right, top, bottom) in enumerate(names):
        assert left >= 0
        assert right <= width
        for x, y in dots:
            assert not (left < x + 6 and right > x - 6 and top < y + 6 and bottom > y - 6)
        for begin, end, above, below in names[at + 1 :]:
            assert not (left < end and right > begin and top < below and bottom > above)


def test_names_are_drawn_over_dots_and_keep_both_ends() -> None:
    prices = plots.Prices(label="tokens", per_line={}, is_cost=False, what="cost")
    svg = plots.scatter(POINTS["long names"], prices, a_metric(), label="x")
    assert svg.rindex("<circle") < svg.index('class="name"')
    shown = re.findall(r'class="name"[^>]*>([^<]+)<', svg)
    assert len(set(shown)) == 6
    assert all(name.startswith("retrieval…") for name in shown)


def test_prices_far_apart_use_a_log_scale() -> None:
    metric = a_metric()
    for factor, is_log in ((2.0, False), (1000.0, True)):
        per_line = {"base": 1.0, "up": factor, "down": 1.5}
        prices = plots.Prices(label="cost", per_line=per_line, is_cost=True, what="cost")
        svg = plots.scatter(plots.quality_points(metric, prices), prices, metric, label="x")
        assert ("(log scale)" in svg) == is_log
