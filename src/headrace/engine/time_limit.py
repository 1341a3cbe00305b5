"""A time limit that stops while something waits for a model service's quota."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Any

from headrace.engine.alarms import Alarms, running_alarms
from headrace.providers.turns import Pausable, add_limit, current_limits


class TimeLimit:
    """Cuts a block of a task after some time, without that for which it waits for a quota; a context manager.

    A :class:`~headrace.providers.turns.Pausable`. The block ends with TimeoutError when it is cut, under the rules of
    :func:`asyncio.timeout`; it is not that, because every line enters one, which would make a timer of the event loop.

    Args:
        seconds: The limit.
    """

    __slots__ = ("_alarms", "_is_cut", "_is_over", "_left_s", "_n_cancelling", "_n_pauses", "_task", "_token",
                 "_when_s")  # fmt: skip

    def __init__(self, seconds: float) -> None:
        self._alarms: Alarms = running_alarms()
        self._when_s = self._alarms.loop.time() + seconds
        self._task: asyncio.Task[Any] | None = None
        self._n_cancelling = 0
        self._token: Token[Sequence[Pausable]] | None = None
        self._n_pauses = 0
        self._left_s: float | None = None
        self._is_over = self._is_cut = False

    def __enter__(self) -> TimeLimit:
        task = self._task = asyncio.current_task()
        if task is None:
            what = "A time limit is for a task."
            raise RuntimeError(what)
        self._n_cancelling = task.cancelling()
        self._alarms.set(self, self._when_s)
        self._token = add_limit(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True  # what still waits may come back without effect
        self._alarms.clear(self)
        if self._token is not None:
            current_limits.reset(self._token)
        # The task would hold on to itself, by the frame of what it ended with.
        task, self._task = self._task, None
        if not self._is_cut or task is None:
            return
        is_ours_alone = task.uncancel() <= self._n_cancelling
        if is_ours_alone and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def ring(self) -> None:
        """Cut the block."""
        if not self._is_over and self._task is not None:
            self._is_cut = True
            self._task.cancel()

    def expired(self) -> bool:
        """Whether the block was cut."""
        return self._is_cut

    def pause(self) -> None:
        """Stop the clock."""
        self._n_pauses += 1
        if self._n_pauses == 1 and not self._is_over and not self._is_cut:
            self._left_s = self._when_s - self._alarms.loop.time()
            self._alarms.clear(self)

    def go_on(self) -> None:
        """Undo one pause; the clock goes on after the last one."""
        self._n_pauses -= 1
        if self._n_pauses == 0 and self._left_s is not None and not self._is_over:
            self._when_s = self._alarms.loop.time() + self._left_s
            self._alarms.set(self, self._when_s)
            self._left_s = None
