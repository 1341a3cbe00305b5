"""Looking again and again at what is waited for, with pauses that grow, within a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Seen = TypeVar("_Seen")

READS_S = 30.0
"""How long reads may go on showing what was before a write, seconds."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
_GROWTH = 2


def looks(
    limit_s: float,
    first_s: float = FIRST_PAUSE_S,
    longest_s: float = LONGEST_PAUSE_S,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
) -> Iterator[float]:
    """Wait between looks until the limit is over; there is at least one look, and one at the end.

    Args:
        limit_s: How long they go on, seconds.
        first_s: The first pause; each next one is twice as long.
        longest_s: The longest pause.
        clock: Seconds that only grow.
        sleep: Waits; that of the system unless told otherwise.

    Yields:
        How long was waited in all, seconds.
    """
    begun, pause_s = clock(), first_s
    while True:
        passed_s = clock() - begun
        yield passed_s
        if passed_s >= limit_s:
            return
        (sleep or time.sleep)(min(pause_s, max(limit_s - passed_s, 0.01)))
        pause_s = min(pause_s * _GROWTH, longest_s)


def seen(read: Callable[[], _Seen], is_shown: Callable[[_Seen], bool], times: Iterable[float]) -> _Seen:
    """What reads show once they show what was written, which may lag behind; the last one where that does not come.

    Args:
        read: Reads.
        is_shown: Whether what was read shows it.
        times: Of the looks, from :func:`looks`.
    """
    for _ in times:
        found = read()
        if is_shown(found):
            break
    return found
