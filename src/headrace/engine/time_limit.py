"""A time limit that stops while something waits for a model service's quota."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace.providers.turns import limited_by


class TimeLimit:
    """The limit of a block; a :class:`~headrace.providers.turns.Pausable`.

    Args:
        timeout: The limit itself, entered.
    """

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._n_pauses = 0
        self._left_s: float | None = None
        self._is_over = False

    def expired(self) -> bool:
        """Whether the block was cut."""
        return self._timeout.expired()

    def pause(self) -> None:
        """Stop the clock."""
        self._n_pauses += 1
        when = self._timeout.when()
        if self._n_pauses == 1 and when is not None and not self._is_over and not self.expired():
            self._left_s = when - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)

    def go_on(self) -> None:
        """Undo one pause; the clock goes on after the last one."""
        self._n_pauses -= 1
        if self._n_pauses == 0 and self._left_s is not None and not self._is_over:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._left_s)
            self._left_s = None

    def end(self) -> None:
        """The block is over: what still waits may come back without effect."""
        self._is_over = True


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[TimeLimit]:
    """Cut a block after ``seconds``, without those for which it waits for a quota.

    Raises:
        TimeoutError: The block was cut.
    """
    async with asyncio.timeout(seconds) as timeout:
        limit = TimeLimit(timeout)
        try:
            with limited_by(limit):
                yield limit
        finally:
            limit.end()
