"""Times at which something is to happen, most of which are taken back before: one timer of the event loop for all.

A timer of its own for every line and every request would be made and cancelled each time, which costs more than all
else that a time limit does.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

_TOLERANCE_S = 0.001
"""An event loop may count in whole milliseconds, and wake a little early."""


class Alarmed(Protocol):
    """Something that has a time, one at most."""

    def ring(self) -> None:
        """Its time has come."""
        ...


class Alarms:
    """The times of one event loop, by its own clock, seconds.

    The timer stands at the earliest time that was set since it last rang. It is left alone when that time is taken
    back: it then finds nothing to do, and is set to the earliest that is left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._times: dict[Alarmed, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0

    def set(self, who: Alarmed, time_s: float) -> None:
        """Ring at a time, in place of the one that it had."""
        self._times[who] = time_s
        if self._timer is None or time_s < self._timer_s:
            self._stand_at(time_s)

    def clear(self, who: Alarmed) -> None:
        """Take a time back, if there is one."""
        self._times.pop(who, None)

    def _stand_at(self, time_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = time_s
        self._timer = self.loop.call_at(time_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = self.loop.time() + _TOLERANCE_S
        for who in [who for who, time_s in self._times.items() if time_s <= now_s]:
            del self._times[who]
            who.ring()
        if self._times:  # one that rang may have set a time, but others are left that come before it
            self._stand_at(min(self._times.values()))


class _Here(threading.local):
    alarms: Alarms | None = None


_here = _Here()


def running_alarms() -> Alarms:
    """Those of the event loop that runs in this thread.

    Raises:
        RuntimeError: None runs.
    """
    loop = asyncio.get_running_loop()
    found = _here.alarms
    if found is None or found.loop is not loop:
        found = _here.alarms = Alarms(loop)
    return found
