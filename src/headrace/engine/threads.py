"""Threads for ordinary Python tools.

Unlike ``ThreadPoolExecutor`` these threads are daemons: a tool that is stuck past its time limit is given up, its
thread is replaced, and the process can still end.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

_Job = tuple[asyncio.Future[Any], Callable[[], Any]]


class ToolThreads:
    """A pool that grows up to ``limit`` threads; use within one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._n_threads = 0
        self._n_busy = 0
        self._at_work: set[asyncio.Future[Any]] = set()

    def given_up(self) -> frozenset[object]:
        """The jobs that a thread is still at although nobody waits for them any more."""
        return frozenset(future for future in list(self._at_work) if future.cancelled())

    async def run(self, job: Callable[[], Any]) -> Any:
        """Run ``job`` in a thread and return its result; a cancelled wait gives the thread up."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._n_busy += 1
        if self._n_busy > self._n_threads and self._n_threads < self._limit:
            self._n_threads += 1
            threading.Thread(target=self._work, args=(loop,), daemon=True, name="headrace-tool").start()
        self._jobs.put((future, job))
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():  # and not raised by the job itself
                # The thread may be stuck in the user's code: stop counting it, so that another can be started.
                self._n_threads -= 1
            raise
        finally:
            self._n_busy -= 1

    def close(self) -> None:
        """Let idle threads end; threads that are stuck end with the process."""
        for _ in range(self._n_threads):
            self._jobs.put(None)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            if future.cancelled():
                return
            outcome: Any = None
            failure: BaseException | None = None
            self._at_work.add(future)
            try:
                outcome = job()
            except BaseException as error:  # noqa: BLE001 - carried to the awaiting task, which decides
                failure = error
            self._at_work.discard(future)
            if not self._deliver(loop, future, outcome, failure):
                return

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        outcome: Any,
        failure: BaseException | None,
    ) -> bool:
        """Hand a result to the loop; false when nobody waits any more and the thread should end."""
        if future.cancelled():
            return False
        try:
            loop.call_soon_threadsafe(self._settle, future, outcome, failure)
        except RuntimeError:  # the loop is closed: the run is over
            return False
        return True

    def _settle(self, future: asyncio.Future[Any], outcome: Any, failure: BaseException | None) -> None:
        if future.cancelled():
            self._n_threads += 1  # given up after its job was done: the thread has gone on to the next
        elif failure is None:
            future.set_result(outcome)
        elif isinstance(failure, (StopIteration, GeneratorExit)):
            # A future refuses the one, a coroutine would end at the other; the tool's own message is kept.
            future.set_exception(RuntimeError(f"{type(failure).__name__}: {failure}"))
        else:
            future.set_exception(failure)
