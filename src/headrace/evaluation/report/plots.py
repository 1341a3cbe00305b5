"""Plots as inline SVG whose text keeps its size at any width.

Horizontal positions are percentages and vertical ones are pixels, without a view box: a plot then
stretches with the page and its labels stay readable on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import pairwise
from math import ceil, floor, log10

from headrace.domain.comparison import Comparison, Estimate, Interval, MetricComparison
from headrace.evaluation import wording
from headrace.evaluation.report.board import per_line

_AXIS_HEIGHT = 30
_SCATTER_HEIGHT = 340
_SCATTER_TOP = 16
_SCATTER_BOTTOM = 46
_SCATTER_LEFT = 9.0
_SCATTER_RIGHT = 96.0
_NAME_HEIGHT = 16.0
_LETTER_WIDTH = 7.4
_DOT_SIZE = 14.0
_LABEL_OFFSET = 12
_LABEL_STEP = 4.0
_MAX_LABEL = 20  # beside a point in the middle of the narrowest plot
_WIDTHS = (320.0, 420.0, 640.0, 1080.0)
"""Widths in pixels that the scatter plot is laid out for, from a phone to the widest page."""

_LOG_FROM_RATIO = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A linear or logarithmic scale from data to positions."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Position of ``value``, kept inside the plot."""
        low, high, value = (log10(v) if self.is_log else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One arm in the scatter plot.

    Attributes:
        is_efficient: No other arm is at least as good and cheaper, or better and as cheap.
    """

    arm: str
    quality: Estimate
    price: float
    is_efficient: bool
    price_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """What the horizontal axis of the scatter plot shows."""

    label: str
    per_line: dict[str, float]
    is_cost: bool
    what: str
    intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """The name of a point.

    Attributes:
        x: Place of the point across the plot, in percent.
        y: Middle of the name, in pixels from the top.
        dot_y: The point's own height.
        offset: Pixels from the point to the name: to the right of it, or, when negative, to the left.
    """

    text: str
    x: float
    y: float
    dot_y: float
    offset: int

    def ends(self, width: float) -> tuple[float, float]:
        """Where the name begins and ends in a plot of ``width`` pixels."""
        near = self.x * width / 100.0 + self.offset
        far = near + (_LETTER_WIDTH if self.offset > 0 else -_LETTER_WIDTH) * len(self.text)
        return min(near, far), max(near, far)


def difference_scale(metric: MetricComparison) -> Scale:
    """One scale for all differences of a metric, zero and the margin included."""
    ends = [0.0]
    for effect in metric.effects:
        if effect.difference is not None:
            ends += [effect.difference.value, *_ends(effect.difference.interval)]
    if metric.spec.margin is not None:
        ends += [-metric.spec.margin, metric.spec.margin]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = -1.0, 1.0
    pad = (high - low) * 0.06
    return Scale(low=low - pad, high=high + pad, start=1.0, end=99.0)


def interval_track(difference: Estimate, word: str, scale: Scale, *, label: str, margin: float | None) -> str:
    """One row of the forest plot: the interval, its estimate, the zero line and the margin."""
    x = scale.at(difference.value)
    whisker = ""
    if difference.interval is not None:
        low, high = scale.at(difference.interval.low), scale.at(difference.interval.high)
        whisker = f'<line class="whisker" x1="{low:.2f}%" x2="{high:.2f}%" y1="0" y2="0"/>'
        whisker += "".join(_vertical(end, -5, 5, "whisker") for end in (low, high))
    # The nested drawing hangs at half the height, so that a row may grow with its label.
    drawing = (
        f'<svg y="50%" overflow="visible">{whisker}<circle class="dot" cx="{x:.2f}%" cy="0" r="6"/></svg>'
    )
    return (
        f'<svg class="track {word}" width="100%" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{_margin_band(scale, margin)}{_zero_line(scale)}{drawing}</svg>"
    )


def difference_axis(scale: Scale) -> str:
    """The axis under the rows of the forest plot."""
    ticks = nice_ticks(scale.low, scale.high, 4)
    parts = [_vertical(scale.at(tick), 0, 6, "tick") for tick in ticks]
    parts += [_tick_text(scale.at(tick), _tick_label(tick, ticks, is_signed=True), 20) for tick in ticks]
    return f'<svg class="axis" width="100%" height="{_AXIS_HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'


def quality_prices(comparison: Comparison) -> Prices | None:
    """Cost per line where every arm has a price, else tokens per line; ``None`` without either."""
    arms = comparison.arms
    costs = {arm.arm: per_line(arm.cost_usd, arm) for arm in arms if arm.cost_usd is not None}
    known = {arm: cost for arm, cost in costs.items() if cost is not None}
    if len(known) == len(arms) and any(known.values()):
        per_thousand = {arm: cost * 1000.0 for arm, cost in known.items()}
        return Prices(
            label="cost per 1,000 lines in US dollars", per_line=per_thousand, is_cost=True, what="cost"
        )
    tokens = {arm.arm: per_line(arm.total_tokens or 0, arm) for arm in arms}
    spent = {arm: count for arm, count in tokens.items() if count}
    if not spent:
        return None
    return Prices(label="tokens per line", per_line=spent, is_cost=False, what="tokens")


def quality_latencies(comparison: Comparison) -> Prices | None:
    """The median latency of every arm in seconds; ``None`` where none was measured."""
    medians = {arm.arm: arm.latency_p50_ms for arm in comparison.arms if arm.latency_p50_ms is not None}
    if not medians:
        return None
    return Prices(
        label="median latency in seconds",
        per_line={arm: median.value / 1000.0 for arm, median in medians.items()},
        is_cost=False,
        what="latency",
        intervals={
            arm: replace(
                median.interval, low=median.interval.low / 1000.0, high=median.interval.high / 1000.0
            )
            for arm, median in medians.items()
            if median.interval is not None
        },
    )


def quality_points(metric: MetricComparison, prices: Prices) -> tuple[Point, ...]:
    """The arms that have both a score and a price, marked where no other arm dominates them."""
    known = [
        (score.arm, score.mean, prices.per_line[score.arm])
        for score in metric.scores
        if score.mean is not None and score.arm in prices.per_line
    ]
    sign = 1.0 if metric.spec.direction == "higher" else -1.0
    merits = [(sign * mean.value, -price) for _, mean, price in known]
    return tuple(
        Point(
            arm=arm,
            quality=mean,
            price=price,
            is_efficient=not any(_dominates(other, merit) for other in merits),
            price_interval=prices.intervals.get(arm),
        )
        for (arm, mean, price), merit in zip(known, merits, strict=True)
    )


def scatter(points: Sequence[Point], prices: Prices, metric: MetricComparison, *, label: str) -> str:
    """Quality against price, one point per arm with its interval."""
    x_scale = _price_scale([end for p in points for end in (p.price, *_ends(p.price_interval))])
    y_scale = _quality_scale(points)
    x_ticks = _price_ticks(x_scale)
    y_ticks = nice_ticks(y_scale.low, y_scale.high, 5)
    floor_y = _SCATTER_HEIGHT - _SCATTER_BOTTOM
    x_label = prices.label + (" (log scale)" if x_scale.is_log else "")
    parts = [_horizontal(y_scale.at(tick), "grid") for tick in y_ticks]
    parts += [
        f'<text class="tick-text" x="{_SCATTER_LEFT - 1}%" y="{y_scale.at(tick) + 4:.1f}" '
        f'text-anchor="end">{_tick_label(tick, y_ticks)}</text>'
        for tick in y_ticks
    ]
    parts += [_vertical(x_scale.at(tick), floor_y, floor_y + 5, "tick") for tick in x_ticks]
    parts += [_tick_text(x_scale.at(tick), _tick_label(tick, x_ticks), floor_y + 18) for tick in x_ticks]
    parts.append(_horizontal(floor_y, "base"))
    parts.append(
        f'<text class="axis-text" x="{(_SCATTER_LEFT + _SCATTER_RIGHT) / 2}%" y="{floor_y + 38}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
    )
    parts += _front(points, x_scale, y_scale)
    parts += _whiskers(points, x_scale, y_scale)
    parts += _dots_and_names(points, x_scale, y_scale)
    description = "; ".join(
        f"{point.arm}: {metric.spec.name} {wording.number(point.quality.value)} at {point.price:.4g}"
        for point in points
    )
    return (
        f'<svg class="scatter" width="100%" height="{_SCATTER_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def nice_ticks(low: float, high: float, at_most: int) -> list[float]:
    """Round numbers inside [low, high], no more than ``at_most`` of them."""
    span = high - low
    if span <= 0.0:
        return [low]
    magnitude = 10.0 ** floor(log10(span / at_most))
    for step in (magnitude, 2 * magnitude, 2.5 * magnitude, 5 * magnitude, 10 * magnitude):
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first < at_most:
            return [min(max(index * step, low), high) for index in range(first, last + 1)]
    return [low, high]


def _ends(interval: Interval | None) -> tuple[float, ...]:
    return () if interval is None else (interval.low, interval.high)


def _dominates(other: tuple[float, float], merit: tuple[float, float]) -> bool:
    return other != merit and other[0] >= merit[0] and other[1] >= merit[1]


def _price_scale(prices: Sequence[float]) -> Scale:
    low, high = min(prices), max(prices)
    if low > 0.0 and high / low >= _LOG_FROM_RATIO:
        return Scale(low=low / 1.4, high=high * 1.4, start=_SCATTER_LEFT, end=_SCATTER_RIGHT, is_log=True)
    return Scale(low=0.0, high=high * 1.08 or 1.0, start=_SCATTER_LEFT, end=_SCATTER_RIGHT)


def _price_ticks(scale: Scale) -> list[float]:
    if not scale.is_log:
        return nice_ticks(scale.low, scale.high, 5)
    exponents = range(floor(log10(scale.low)), ceil(log10(scale.high)) + 1)
    ticks = [factor * 10.0**exponent for exponent in exponents for factor in (1, 3)]
    return [tick for tick in ticks if scale.low <= tick <= scale.high]


def _quality_scale(points: Sequence[Point]) -> Scale:
    ends = [end for p in points for end in (p.quality.value, *_ends(p.quality.interval))]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.08 or 0.5
    is_unit = low >= 0.0 and high <= 1.0
    return Scale(
        low=max(0.0, low - pad) if is_unit else low - pad,
        high=min(1.0, high + pad) if is_unit else high + pad,
        start=_SCATTER_HEIGHT - _SCATTER_BOTTOM,
        end=_SCATTER_TOP,
    )


def _whiskers(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> list[str]:
    return [
        _vertical(
            x_scale.at(point.price),
            y_scale.at(point.quality.interval.high),
            y_scale.at(point.quality.interval.low),
            "whisker",
        )
        for point in points
        if point.quality.interval is not None
    ] + [
        f'<line class="whisker" x1="{x_scale.at(point.price_interval.low):.2f}%" '
        f'x2="{x_scale.at(point.price_interval.high):.2f}%" y1="{y:.1f}" y2="{y:.1f}"/>'
        for point in points
        if point.price_interval is not None and (y := y_scale.at(point.quality.value))
    ]


def _front(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> list[str]:
    """Steps along the arms that no other arm dominates: what is best for at most each price."""
    efficient = sorted((point for point in points if point.is_efficient), key=lambda point: point.price)
    places = [(x_scale.at(point.price), y_scale.at(point.quality.value)) for point in efficient]
    parts = []
    for (x1, y1), (x2, y2) in pairwise(places):
        parts.append(f'<line class="front" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1:.1f}" y2="{y1:.1f}"/>')
        parts.append(f'<line class="front" x1="{x2:.2f}%" x2="{x2:.2f}%" y1="{y1:.1f}" y2="{y2:.1f}"/>')
    return parts


def _dots_and_names(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> list[str]:
    dots = [(x_scale.at(point.price), y_scale.at(point.quality.value)) for point in points]
    leaders, circles, names = [], [], []
    for label in place_labels([point.arm for point in points], dots):
        if label.y != label.dot_y:
            # A line leads to a name that had to move; the nested drawing starts at the point.
            leaders.append(
                f'<svg x="{label.x:.2f}%" overflow="visible"><line class="leader" x1="0" '
                f'x2="{label.offset * 0.8:.1f}" y1="{label.dot_y:.1f}" y2="{label.y:.1f}"/></svg>'
            )
        anchor = "start" if label.offset > 0 else "end"
        names.append(
            f'<text class="name" x="{label.x:.2f}%" dx="{label.offset}" y="{label.y + 4:.1f}" '
            f'text-anchor="{anchor}">{escape(label.text)}</text>'
        )
    for point, (x, y) in zip(points, dots, strict=True):
        css = "dot efficient" if point.is_efficient else "dot dominated"
        circles.append(f'<circle class="{css}" cx="{x:.2f}%" cy="{y:.1f}" r="6"/>')
    # Names come last: where there is no room for all, a name still lies over a dot and not under it.
    return [*leaders, *circles, *names]


def place_labels(names: Sequence[str], dots: Sequence[tuple[float, float]]) -> list[Label]:
    """A label beside each dot that clears the dots and the other labels, on a phone as on a desk.

    Args:
        names: What the labels say; long ones are shortened in the middle.
        dots: Places of the points: across in percent, down in pixels.
    """
    placed: list[Label] = []
    for index in sorted(range(len(names)), key=lambda at: dots[at][1]):
        others = [dot for at, dot in enumerate(dots) if at != index]
        candidates = list(_candidates(_shorten(names[index]), *dots[index]))
        # min keeps the first of equals, and the nearest and most natural place is tried first.
        placed.append(min(candidates, key=lambda label: _count_overlaps(label, others, placed)))
    return placed


def _candidates(text: str, x: float, y: float) -> Iterator[Label]:
    sides = (-_LABEL_OFFSET, _LABEL_OFFSET) if x > 55.0 else (_LABEL_OFFSET, -_LABEL_OFFSET)
    lowest = _SCATTER_HEIGHT - _SCATTER_BOTTOM - 6
    for step in range(ceil(_SCATTER_HEIGHT / _LABEL_STEP)):
        for height in dict.fromkeys((y + step * _LABEL_STEP, y - step * _LABEL_STEP)):
            if step == 0 or _SCATTER_TOP - 8 <= height <= lowest:
                yield from (Label(text=text, x=x, y=height, dot_y=y, offset=offset) for offset in sides)


def _count_overlaps(label: Label, dots: Sequence[tuple[float, float]], placed: Sequence[Label]) -> int:
    found = 0
    for width in _WIDTHS:
        left, right = label.ends(width)
        found += left < 0.0 or right > width
        for x, y in dots:
            center = x * width / 100.0
            is_near = abs(y - label.y) < (_NAME_HEIGHT + _DOT_SIZE) / 2
            found += is_near and left < center + _DOT_SIZE / 2 and right > center - _DOT_SIZE / 2
        for other in placed:
            begin, end = other.ends(width)
            found += abs(other.y - label.y) < _NAME_HEIGHT and left < end and right > begin
    return found


def _shorten(name: str) -> str:
    """Arms often differ at the end of their names only, so what goes is the middle."""
    if len(name) <= _MAX_LABEL:
        return name
    tail = _MAX_LABEL // 2
    return f"{name[: _MAX_LABEL - tail - 1]}\N{HORIZONTAL ELLIPSIS}{name[-tail:]}"


def _margin_band(scale: Scale, margin: float | None) -> str:
    if margin is None:
        return ""
    low, high = scale.at(-margin), scale.at(margin)
    return f'<rect class="margin" x="{low:.2f}%" width="{high - low:.2f}%" y="0" height="100%"/>'


def _zero_line(scale: Scale) -> str:
    zero = scale.at(0.0)
    return f'<line class="zero" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="100%"/>'


def _vertical(x: float, top: float, bottom: float, css: str) -> str:
    return f'<line class="{css}" x1="{x:.2f}%" x2="{x:.2f}%" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _horizontal(y: float, css: str) -> str:
    ends = f'x1="{_SCATTER_LEFT:.2f}%" x2="{_SCATTER_RIGHT:.2f}%"'
    return f'<line class="{css}" {ends} y1="{y:.1f}" y2="{y:.1f}"/>'


def _tick_text(x: float, text: str, y: float) -> str:
    anchor = "start" if x < 4.0 else "end" if x > 96.0 else "middle"
    return f'<text class="tick-text" x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _tick_label(tick: float, ticks: Sequence[float], *, is_signed: bool = False) -> str:
    step = min((b - a for a, b in pairwise(ticks)), default=abs(tick) or 1.0)
    decimals = max(0, -floor(log10(step) + 1e-9)) if step > 0.0 else 0
    decimals += abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6
    if abs(tick) < step * 1e-9:
        return "0"
    text = f"{abs(tick):,.{min(decimals, 9)}f}"
    if tick < 0.0:
        return f"{wording.MINUS}{text}"
    return f"+{text}" if is_signed else text
