"""What a unit counts on a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from headrace.domain.traffic import OnlineMetric
from headrace.evaluation.online.unit_flow import Request, Unit

ReadUnit: TypeAlias = Callable[[Unit], float | None]
"""The value of a unit in units of the metric; ``None`` where nothing is known of it."""

_ReadRequest: TypeAlias = Callable[[Request], float | None]


def _failure(request: Request) -> float | None:
    answer = request.answer
    return None if answer is None or answer.is_gone else float(answer.is_failed)


def _latency(request: Request) -> float | None:
    answer = request.answer
    return None if answer is None or answer.is_gone or answer.is_failed else answer.latency_ms


def _first_token(request: Request) -> float | None:
    answer = request.answer
    return None if answer is None or answer.is_gone or answer.is_failed else answer.first_token_ms


def _cost(request: Request) -> float | None:
    return None if request.answer is None else request.answer.cost_usd


def _tokens(request: Request) -> float | None:
    return None if request.answer is None else request.answer.total_tokens


_OF_ANSWERS: Final[Mapping[str, tuple[_ReadRequest, str]]] = {
    "failures": (_failure, "any"),
    "latency_ms": (_latency, "mean"),
    "first_token_ms": (_first_token, "mean"),
    "cost_usd": (_cost, "sum"),
    "total_tokens": (_tokens, "sum"),
}


def is_of_answers(metric: OnlineMetric) -> bool:
    """Whether the metric is read from completions, not from what is said."""
    return metric.source in _OF_ANSWERS


def window_ns(metric: OnlineMetric) -> int:
    """The window of a metric in nanoseconds."""
    return round(metric.window_s * 1e9)


def reader(metric: OnlineMetric) -> ReadUnit:
    """How a metric is read from a unit.

    A unit has failed when any of its requests in the window has; times are means over its requests that answered; costs
    and tokens are sums; of what was said the last of each request and of the unit counts, and the mean of these.
    """
    window = window_ns(metric)
    if metric.source not in _OF_ANSWERS:
        return lambda unit: _said(unit, metric.source, window)
    read, fold = _OF_ANSWERS[metric.source]
    if window == 0:
        return lambda unit: read(unit.first)
    return lambda unit: _folded(unit, window, read, fold)


def _folded(unit: Unit, window: int, read: _ReadRequest, fold: str) -> float | None:
    values = [value for request in unit.within(window) if (value := read(request)) is not None]
    if not values:
        return None
    if fold == "any":
        return max(values)
    total = sum(values)
    return total if fold == "sum" else total / len(values)


def _said(unit: Unit, metric: str, window: int) -> float | None:
    sources = [request.said for request in unit.within(window)]
    sources.append(unit.said)
    key = (metric, window)
    values = [said[key][1] for said in sources if said is not None and key in said]
    return sum(values) / len(values) if values else None
