"""Workers that run lines outside of this process, and what becomes of lines whose worker dies.

A worker that dies costs the lines that it had in flight one retry, each alone in a worker, so that a line which kills
its worker takes no other one down with it. The second death is the line's recorded problem.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from headrace.domain.run import LineResult
from headrace.engine.batch import failed_line
from headrace.engine.frames import LineDone
from headrace.engine.shards import Deliver, PendingLine, Shard
from headrace.errors import ExecutionError, HeadraceError, Problem

_N_ATTEMPTS_TO_LOAD = 4

Accept = Callable[[PendingLine, LineDone], tuple[LineResult, Mapping[str, Any]]]
"""Makes of a line that is done its result and what it keeps for aggregation nodes."""


class WorkerLostError(Exception):
    """A worker died or had to be killed.

    Attributes:
        problem: How it ended.
        is_settled: Whether the line is to blame for certain, so that running it again would only end like this: it did
            not end in time, and there was no other one.
    """

    def __init__(self, problem: Problem, *, is_settled: bool = False) -> None:
        super().__init__(problem.what)
        self.problem = problem
        self.is_settled = is_settled


class Worker(Protocol):
    """A process, here or elsewhere, that has loaded the flow."""

    @property
    def is_spent(self) -> bool:
        """Whether it should get no further lines: it is dead, or a tool is stuck in it."""
        ...

    async def run(self, lines: Sequence[PendingLine], done: Callable[[LineDone], None]) -> None:
        """Run lines at the same time, and tell of each that is done.

        Raises:
            WorkerLostError: When the worker is lost before all of them are.
        """
        ...

    async def close(self) -> None:
        """End the worker."""
        ...


class _Seat:
    """The place of one worker, which is started with the first shard and replaced when it is spent.

    Attributes:
        n_shards: Shards in flight here.
        is_reserved: Whether the one in flight has to be alone.
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.opening = asyncio.Lock()
        self.n_shards = 0
        self.is_reserved = False


class WorkerPool:
    """Runs shards in workers; use as an asynchronous context manager.

    Args:
        open_worker: Starts a worker.
        n_workers: How many live at once, not counting those that end when the lines beside a stuck tool have ended.
        n_at_once: Shards in flight in one worker.
        accept: See :data:`Accept`.
    """

    def __init__(
        self,
        open_worker: Callable[[], Awaitable[Worker]],
        *,
        n_workers: int,
        n_at_once: int,
        accept: Accept,
    ) -> None:
        self._open_worker = open_worker
        self._n_at_once = n_at_once
        self._accept = accept
        self._seats = [_Seat() for _ in range(n_workers)]
        self._spent: list[Worker] = []
        self._hindrance: HeadraceError | None = None
        self._n_waiting_alone = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> WorkerPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.TaskGroup() as group:
            for worker in (*self._spent, *(seat.worker for seat in self._seats)):
                if worker is not None:
                    group.create_task(worker.close())

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        """See :class:`~headrace.engine.shards.ShardRunner`.

        Raises:
            DefinitionError: When a worker cannot load the flow.
            ExecutionError: E610 when worker after worker dies over loading it.
        """
        left = {pending.line.number: pending for pending in shard.lines}

        def done(message: LineDone) -> None:
            deliver(*self._accept(left.pop(message.result.line_number), message))

        lost = await self._attempt(shard.lines, done, is_alone=False)
        if lost is None:
            return
        if lost.is_settled:
            _fail(left, lost.problem, deliver)
            return
        async with asyncio.TaskGroup() as group:
            for pending in tuple(left.values()):
                group.create_task(self._run_alone(pending, left, done, deliver))

    async def _run_alone(
        self,
        pending: PendingLine,
        left: dict[int, PendingLine],
        done: Callable[[LineDone], None],
        deliver: Deliver,
    ) -> None:
        lost = await self._attempt((pending,), done, is_alone=True)
        if lost is not None:
            number = pending.line.number
            _fail({number: left.pop(number)}, lost.problem, deliver)

    async def _attempt(
        self, lines: Sequence[PendingLine], done: Callable[[LineDone], None], *, is_alone: bool
    ) -> WorkerLostError | None:
        """Run lines in a worker; what is returned says how it was lost."""
        async with self._seat(is_alone=is_alone) as seat:
            worker = await self._worker_of(seat)
            try:
                await worker.run(lines, done)
            except WorkerLostError as lost:
                return lost
        return None

    @asynccontextmanager
    async def _seat(self, *, is_alone: bool) -> AsyncIterator[_Seat]:
        """A seat with room, or, for who has to be alone, one with nothing in flight."""
        self._n_waiting_alone += is_alone
        try:
            while (seat := self._find(is_alone=is_alone)) is None:
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter
        finally:
            self._n_waiting_alone -= is_alone
        seat.n_shards += 1
        seat.is_reserved = is_alone
        try:
            yield seat
        finally:
            seat.n_shards -= 1
            seat.is_reserved = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def _find(self, *, is_alone: bool) -> _Seat | None:
        free = [seat for seat in self._seats if not seat.is_reserved and seat.n_shards < self._n_at_once]
        if is_alone:
            return next((seat for seat in free if not seat.n_shards), None)
        # Those that nearly have nothing in flight are left to who waits to be alone.
        free.sort(key=lambda seat: seat.n_shards)
        return next(iter(free[self._n_waiting_alone :]), None)

    async def _worker_of(self, seat: _Seat) -> Worker:
        async with seat.opening:
            if seat.worker is None or seat.worker.is_spent:
                if seat.worker is not None:
                    self._spent.append(seat.worker)
                    seat.worker = None
                seat.worker = await self._open()
            return seat.worker

    async def _open(self) -> Worker:
        for _ in range(_N_ATTEMPTS_TO_LOAD):
            if self._hindrance is not None:
                break
            try:
                return await self._open_worker()
            except WorkerLostError as lost:
                problem = lost.problem
            except HeadraceError as error:
                self._hindrance = error
        else:
            self._hindrance = ExecutionError(problem)
        raise self._hindrance


def _fail(lines: Mapping[int, PendingLine], problem: Problem, deliver: Deliver) -> None:
    for pending in lines.values():
        deliver(failed_line(pending, replace(problem, span=pending.line.span)), {})
