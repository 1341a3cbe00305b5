"""``log_metric``: how an aggregation node reports a number about all lines."""

from __future__ import annotations

import sys
from typing import Any, SupportsFloat

from headrace.tools.base import current_node


def log_metric(key: str, value: Any, variant_id: str | None = None) -> None:
    """Record a metric of the run; the last value of a key wins, outside a run nothing happens.

    Args:
        key: Name of the metric.
        value: A number. Anything else is left out with a line on the standard error stream, because the metrics of
            runs are compared as numbers.
        variant_id: Accepted and ignored, as prompt flow does.
    """
    del variant_id
    context = current_node.get()
    if context is None:
        return
    if isinstance(value, (int, float)):
        context.metrics[key] = value
    elif isinstance(value, SupportsFloat):
        context.metrics[key] = float(value)
    else:
        sys.stderr.write(f"log_metric: {key!r} is a {type(value).__name__}, not a number, and is left out.\n")
