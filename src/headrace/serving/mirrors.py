"""Runs shadow arms beside the answers, a bounded number at once, so that they never hold one up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from headrace.telemetry.attributes import ARM, TEST
from headrace.telemetry.setup import SpanSink

MAX_MIRRORS = 32
"""Mirrored requests of a process at once."""

DROPPED = "headrace.mirrors.dropped"
"""Name of the metric."""


class Mirrors:
    """The mirrored requests of one process.

    Args:
        sink: Counts those that are dropped.
        most: How many may run at once.

    Attributes:
        is_draining: Says whether the process is about to end, so that nothing is begun any more.
        n_dropped: Requests that were not mirrored so far, because too many were.
    """

    def __init__(self, sink: SpanSink, most: int = MAX_MIRRORS) -> None:
        self._sink = sink
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_draining: Callable[[], bool] = bool
        self.n_dropped = 0

    def start(self, run: Callable[[], Coroutine[Any, Any, None]], *, test: str, arm: str) -> None:
        """Run something beside everything else, or drop it."""
        if len(self._tasks) >= self._most or self.is_draining():
            self.n_dropped += 1
            self._sink.count(DROPPED, 1, {TEST: test, ARM: arm})
            return
        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut what still runs, and wait until it has ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
