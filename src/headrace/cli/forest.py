"""Differences and their intervals on one axis, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.comparison import Estimate

CELLS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What the first and the last cell stand for; zero always lies between them."""

    low: float
    high: float

    def cell(self, value: float) -> int:
        """The cell of ``value``, clamped to the axis."""
        share = (value - self.low) / (self.high - self.low)
        return min(max(round(share * (CELLS - 1)), 0), CELLS - 1)


def make_axis(estimates: Sequence[Estimate | None]) -> Axis | None:
    """The axis that holds every estimate, its interval and zero; ``None`` where there is nothing to draw."""
    values = [0.0]
    for estimate in estimates:
        if estimate is not None:
            values.append(estimate.value)
            if estimate.interval is not None:
                values += [estimate.interval.low, estimate.interval.high]
    low, high = min(values), max(values)
    return Axis(low=low, high=high) if high > low else None


def draw_interval(estimate: Estimate | None, axis: Axis, *, has_unicode: bool) -> str:
    """One row: a mark at zero, a line over the interval, a dot at the estimate."""
    zero, line, dot = ("│", "─", "●") if has_unicode else ("|", "-", "o")
    cells = [" "] * CELLS
    if estimate is not None and estimate.interval is not None:
        first, last = axis.cell(estimate.interval.low), axis.cell(estimate.interval.high)
        cells[first : last + 1] = [line] * (last + 1 - first)
    cells[axis.cell(0.0)] = zero
    if estimate is not None:
        cells[axis.cell(estimate.value)] = dot
    return "".join(cells).rstrip()
