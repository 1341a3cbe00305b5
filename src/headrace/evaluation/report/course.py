"""How an effect and its interval went over time, as inline SVG whose text keeps its size at any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

from headrace.domain.ab_report import AbReport
from headrace.evaluation import wording
from headrace.evaluation.report.plots import Scale, nice_ticks

_HEIGHT: Final = 190
_TOP: Final = 12
_BOTTOM: Final = 30
_LEFT: Final = 62
"""Pixels for the numbers of the vertical axis."""

_SETTLED = 0.25
"""Looks of the first quarter, whose intervals are wide, do not widen the axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePoint:
    """An effect at one moment; nanoseconds since the Unix epoch."""

    at_ns: int
    effect: float
    low: float
    high: float


def course_of(looks: Sequence[AbReport], arm: str, metric: str) -> tuple[CoursePoint, ...]:
    """The looks at which the effect of an arm had an interval."""
    points = []
    for look in looks:
        found = look.comparison(arm, metric)
        if found is not None and found.effect is not None and found.interval is not None:
            ends = found.interval
            points.append(CoursePoint(at_ns=look.at_ns, effect=found.effect, low=ends.low, high=ends.high))
    return tuple(points)


def course_plot(points: Sequence[CoursePoint], word: str, *, label: str) -> str:
    """The band of the interval, the effect in it and the line of no effect; two points or more.

    Args:
        points: In order of time.
        word: Class that gives the colour: the verdict.
        label: What is read aloud.
    """
    x = Scale(low=points[0].at_ns, high=points[-1].at_ns, start=0.0, end=100.0)
    y = _vertical_scale(points)
    upper = [f"{x.at(point.at_ns):.2f},{y.at(point.high):.2f}" for point in points]
    lower = [f"{x.at(point.at_ns):.2f},{y.at(point.low):.2f}" for point in reversed(points)]
    middle = [f"{x.at(point.at_ns):.2f},{y.at(point.effect):.2f}" for point in points]
    # Shapes are stretched, which leaves lines as thin as they are; texts are not in this drawing.
    drawing = (
        f'<svg viewBox="0 0 100 {_HEIGHT}" preserveAspectRatio="none" width="100%" height="{_HEIGHT}">'
        f'<polygon class="band" points="{" ".join([*upper, *lower])}"/>'
        f'<line class="zero" x1="0" x2="100" y1="{y.at(0.0):.2f}" y2="{y.at(0.0):.2f}"/>'
        f'<polyline class="middle" points="{" ".join(middle)}"/></svg>'
    )
    ticks = "".join(
        f'<text class="tick-text" x="{_LEFT - 8}" y="{y.at(tick) + 4:.1f}" text-anchor="end">'
        f"{wording.signed(tick)}</text>"
        for tick in nice_ticks(y.low, y.high, 5)
    )
    times = (
        f'<span class="course-times"><span>{_time(points[0].at_ns)}</span>'
        f"<span>{_time(points[-1].at_ns)}</span></span>"
    )
    return (
        f'<div class="course {word}"><svg class="course-axis" width="{_LEFT}" height="{_HEIGHT}" '
        f'aria-hidden="true">{ticks}</svg><div class="course-plot" role="img" aria-label="{escape(label)}">'
        f"{drawing}</div>{times}</div>"
    )


def _vertical_scale(points: Sequence[CoursePoint]) -> Scale:
    settled = points[int(len(points) * _SETTLED) :]
    ends = [0.0, *(end for point in settled for end in (point.low, point.high))]
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.08 or 0.5
    return Scale(low=low - pad, high=high + pad, start=_HEIGHT - _BOTTOM, end=_TOP)


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
