"""Many comparisons at once: p values that keep their promise together."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that control the chance of any false finding, in the order given.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.

    Raises:
        ValueError: A p value is outside [0, 1].
    """
    order = _order(p_values)
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that control the expected share of false findings, in the order given.

    For exploratory screens; a verdict to ship by uses ``holm``.

    Source: Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57:289.

    Raises:
        ValueError: A p value is outside [0, 1].
    """
    order = _order(p_values)
    adjusted = [0.0] * len(p_values)
    running = 1.0
    for rank, index in reversed(list(enumerate(order, start=1))):
        running = min(running, p_values[index] * len(order) / rank)
        adjusted[index] = running
    return adjusted


def _order(p_values: Sequence[float]) -> list[int]:
    if not all(0.0 <= p <= 1.0 for p in p_values):
        msg = "p values lie between 0 and 1"
        raise ValueError(msg)
    return sorted(range(len(p_values)), key=p_values.__getitem__)
