"""Ending a batch early on purpose: no further lines are taken, those in flight get some time to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from headrace.errors import Problem


class Stop:
    """Asked for at most once, from the event loop's thread: by an interrupt, or when a limit of the run is reached.

    Attributes:
        problem: Why; ``None`` as long as nobody has asked.
        grace_s: How long the lines in flight may go on, seconds.
    """

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.grace_s = 0.0
        self._listeners: list[Callable[[], None]] = []

    def ask(self, problem: Problem, grace_s: float) -> None:
        """Stop the batch; what has been asked for first stays."""
        if self.problem is None:
            self.problem = problem
            self.grace_s = grace_s
            for hear in self._listeners:
                hear()

    def on_ask(self, hear: Callable[[], None]) -> None:
        """Call ``hear`` when it is asked for, at once when it has been."""
        self._listeners.append(hear)
        if self.problem is not None:
            hear()

    def cut_after_grace(self, limit: asyncio.Timeout) -> None:
        """Bring the end of ``limit`` forward to that of the time of grace."""

        def bring_forward() -> None:
            end = asyncio.get_running_loop().time() + self.grace_s
            when = limit.when()
            if when is None or end < when:
                with suppress(RuntimeError):  # the batch has ended meanwhile
                    limit.reschedule(end)

        self.on_ask(bring_forward)
