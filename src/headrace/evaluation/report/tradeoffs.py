"""Quality against price and against latency, with the arms that no other arm beats on both."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from headrace.domain.comparison import Comparison
from headrace.evaluation.report.page import render_section
from headrace.evaluation.report.plots import (
    Prices,
    quality_latencies,
    quality_points,
    quality_prices,
    scatter,
)


def tradeoff_section(comparison: Comparison) -> Iterator[str]:
    """A plot for cost, or tokens where a price is missing, and one for the median latency."""
    prices, latencies = quality_prices(comparison), quality_latencies(comparison)
    plots = [text for axis in (prices, latencies) if axis is not None for text in _plot(comparison, axis)]
    metric = comparison.primary
    if not plots or metric is None:
        return
    side = "higher" if metric.spec.direction == "higher" else "lower"
    caption = (
        f"{side.capitalize()} and further left is better. Whiskers are intervals. Filled, and on the line: "
        "no other arm is as good for less; hollow: some arm is."
    )
    if prices is not None and not prices.is_cost:
        caption += " Tokens stand in for cost, because not every price is known."
    content = f'<div class="panels">{"".join(plots)}</div><p class="lead">{escape(caption)}</p>'
    yield render_section("quality-cost", "What quality costs", content)


def _plot(comparison: Comparison, axis: Prices) -> Iterator[str]:
    metric = comparison.primary
    points = quality_points(metric, axis) if metric is not None else ()
    if metric is None or len(points) < 2:
        return
    title = f"{metric.spec.name} against {axis.what}"
    plot = scatter(points, axis, metric, label=title)
    yield f"<figure><figcaption>{escape(title)}</figcaption>{plot}</figure>"
