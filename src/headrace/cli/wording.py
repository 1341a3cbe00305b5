"""Counts and times in words.

``evaluation.wording`` has more of these, for reports; importing it costs more than a single test may.
"""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """A count with its noun: ``1 line``, ``1,200 lines``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def duration(duration_ms: float) -> str:
    """A time in the unit that suits it."""
    if duration_ms < 10:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms"
    if duration_ms < 60_000:
        return f"{duration_ms / 1000:.2f} s"
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    return f"{minutes} min {seconds:02d} s"
