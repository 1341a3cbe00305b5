"""A time limit that stops while something waits for a model service's quota."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType

from headrace.providers.turns import Pausable, add_limit, current_limits


class TimeLimit:
    """Cuts a block after some time, without that for which it waits for a quota; an asynchronous context manager.

    A :class:`~headrace.providers.turns.Pausable`. The block ends with TimeoutError when it is cut. It is a class and
    not a generator, because every line enters one.

    Args:
        seconds: The limit.
    """

    __slots__ = ("_is_over", "_left_s", "_n_pauses", "_timeout", "_token")

    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._token: Token[Sequence[Pausable]] | None = None
        self._n_pauses = 0
        self._left_s: float | None = None
        self._is_over = False

    async def __aenter__(self) -> TimeLimit:
        await self._timeout.__aenter__()
        self._token = add_limit(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True  # what still waits may come back without effect
        if self._token is not None:
            current_limits.reset(self._token)
        await self._timeout.__aexit__(kind, error, trace)

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
