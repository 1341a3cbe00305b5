"""``log_metric``: how an aggregation node reports something about all lines."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, SupportsFloat

from headrace.tools.base import current_node

_loggers: list[Callable[..., Any]] = []


def add_metric_logger(logger_func: Callable[..., Any]) -> None:
    """Tell a function of every metric: it is called with key and value, and ``variant_id`` if it takes that."""
    if callable(logger_func) and logger_func not in _loggers:
        _loggers.append(logger_func)


def remove_metric_logger(logger_func: Callable[..., Any]) -> None:
    """Tell it no longer.

    Raises:
        ValueError: It was not told.
    """
    _loggers.remove(logger_func)


def log_metric(key: str, value: Any, variant_id: str | None = None) -> None:
    """Record a metric of the run; the last value of a key wins, outside a run nothing is recorded.

    Args:
        key: Name of the metric.
        value: A number as a rule; as with prompt flow, anything that JSON can hold is kept.
        variant_id: Only passed on to functions of :func:`add_metric_logger`.
    """
    for tell in _loggers:
        takes_variant = "variant_id" in inspect.signature(tell).parameters
        tell(key, value, **({"variant_id": variant_id} if takes_variant else {}))
    context = current_node.get()
    if context is not None:
        is_foreign_number = isinstance(value, SupportsFloat) and not isinstance(value, (int, float))
        context.metrics[key] = float(value) if is_foreign_number else value
