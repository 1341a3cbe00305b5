"""Threads for ordinary Python tools.

Unlike ``ThreadPoolExecutor`` these threads are daemons: a tool that is stuck past its time limit is given up, its
thread is replaced, and the process can still end.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

_Job = tuple[asyncio.Future[Any], Callable[[], Any]]
_SHORT_S = 0.001
"""What takes less on average is short; about what it costs to wake one thread for each of a dozen jobs."""

_WEIGHT = 0.1
"""Of the newest job in the average."""

_MOST_GIVEN_UP = 4
"""Threads that may be given up while they are still stuck, as a multiple of the limit; more jobs wait for one."""


class ToolThreads:
    """A pool that grows up to ``limit`` threads; use within one event loop.

    Waking a thread or the loop costs more than a short tool, so at most one of each is being woken at a time, and
    results are handed over together. While jobs are short, the loop wakes one thread once it has given out all jobs of
    its turn, and that thread does them one after the other. As soon as one of them keeps it, or jobs take longer on
    average, a woken thread wakes the next one if jobs remain, before it begins its own.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: deque[_Job] = deque()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._n_threads = 0
        self._n_idle = 0
        self._n_busy = 0
        self._is_ringing = self._is_handing_over = self._is_closed = False
        self._is_turn_noted = self._is_watched = False
        self._mean_s = 0.0
        self._n_taken = self._n_taken_before = 0
        self._at_work: set[asyncio.Future[Any]] = set()
        self._given_up: set[asyncio.Future[Any]] = set()

    def given_up(self) -> frozenset[object]:
        """The jobs that a thread is still at although nobody waits for them any more."""
        return frozenset(future for future in list(self._at_work) if future.cancelled())

    async def run(self, job: Callable[[], Any]) -> Any:
        """Run ``job`` in a thread and return its result; a cancelled wait gives up the thread that is at it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._n_busy += 1
        with self._lock:
            is_short = self._n_busy > self._n_threads and self._n_threads < self._limit
            is_starting = is_short and len(self._given_up) < _MOST_GIVEN_UP * self._limit
            self._n_threads += is_starting
            self._jobs.append((future, job))
        if not self._is_turn_noted:
            self._is_turn_noted = True
            loop.call_soon(self._end_turn, loop)
        if is_starting:
            threading.Thread(target=self._work, args=(loop,), daemon=True, name="headrace-tool").start()
        try:
            return await future
        except asyncio.CancelledError:
            with self._lock:
                if future.cancelled() and future in self._at_work:
                    # The thread may be stuck in the user's code: stop counting it, so that another can be started.
                    self._given_up.add(future)
                    self._n_threads -= 1
            raise
        finally:
            self._n_busy -= 1
            del future  # what it raises would hold on to itself by this frame

    def close(self) -> None:
        """Let idle threads end; threads that are stuck end with the process."""
        with self._lock:
            self._is_closed = True
            n_idle = self._n_idle
        for _ in range(n_idle):
            self._bell.put(None)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake a thread for the jobs of this turn of the loop."""
        self._is_turn_noted = False
        with self._lock:
            self._ring()
            is_kept_waiting = self._jobs and self._n_idle
        if is_kept_waiting and not self._is_watched:
            self._watch(loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See soon whether jobs are still being taken."""
        self._is_watched = True
        self._n_taken_before = self._n_taken
        loop.call_later(_SHORT_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_watched = False
        with self._lock:
            if not self._jobs or not self._n_idle:  # a thread that is at work takes the next one by itself
                return
            if self._n_taken == self._n_taken_before:
                self._mean_s = max(self._mean_s, _SHORT_S)
                self._ring()
        self._watch(loop)

    def _ring(self) -> None:
        """Wake an idle thread if there is work for it; called with the lock."""
        if self._jobs and self._n_idle and not self._is_ringing:
            self._is_ringing = True
            self._bell.put(None)

    def _take(self) -> _Job | None:
        """The next job that somebody waits for; ``None`` when the thread should end."""
        while True:
            with self._lock:
                while self._jobs:
                    future, job = self._jobs.popleft()
                    if not future.cancelled():
                        self._at_work.add(future)
                        self._n_taken += 1
                        if self._mean_s >= _SHORT_S:
                            self._ring()
                        return future, job
                if self._is_closed:
                    return None
                self._n_idle += 1
            self._bell.get()
            with self._lock:
                self._n_idle -= 1
                self._is_ringing = False

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (item := self._take()) is not None:
            future, job = item
            del item
            began_s = time.perf_counter()
            outcome: Any = None
            failure: BaseException | None = None
            try:
                outcome = job()
            except BaseException as error:  # noqa: BLE001 - carried to the awaiting task, which decides
                failure = error
            self._mean_s += _WEIGHT * (time.perf_counter() - began_s - self._mean_s)
            is_wanted = self._leave(future) and self._deliver(loop, future, outcome, failure)
            # Not kept until the next job; and a failure holds on to this frame by its traceback.
            del future, job, outcome, failure
            if not is_wanted:
                return

    def _leave(self, future: asyncio.Future[Any]) -> bool:
        """Leave a job that is done; false when the thread was given up and others have taken its place."""
        with self._lock:
            self._at_work.discard(future)
            if future not in self._given_up:
                return True
            self._given_up.discard(future)
            if self._n_threads >= self._limit:
                return False
            self._n_threads += 1
            return True

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        outcome: Any,
        failure: BaseException | None,
    ) -> bool:
        """Hand a result to the loop; false when that is closed and the thread should end."""
        self._done.append((future, outcome, failure))
        if self._is_handing_over:  # the loop clears this before it looks for results
            return True
        self._is_handing_over = True
        try:
            loop.call_soon_threadsafe(self._hand_over)
        except RuntimeError:  # the run is over
            self._is_handing_over = False
            return False
        return True

    def _hand_over(self) -> None:
        self._is_handing_over = False
        while self._done:
            _settle(*self._done.popleft())


def _settle(future: asyncio.Future[Any], outcome: Any, failure: BaseException | None) -> None:
    if future.cancelled():
        return
    if failure is None:
        future.set_result(outcome)
    elif isinstance(failure, (StopIteration, GeneratorExit)):
        # A future refuses the one, a coroutine would end at the other; the tool's own message is kept.
        future.set_exception(RuntimeError(f"{type(failure).__name__}: {failure}"))
    else:
        future.set_exception(failure)
