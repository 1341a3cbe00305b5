"""Workers that Ray runs: actors on the machines of a cluster, or on this one in a Ray that is started for the run.

Reached by name, because Ray is an extra, and a heavy one. Every machine needs headrace, and the flow at the same path.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from typing import Any

from ray.exceptions import RayActorError, RayError

import ray
from headrace.engine.frames import Inbox, LineDone, LineWanted, WorkerReady, WorkerRefused, pack
from headrace.engine.pool import Worker, WorkerLostError
from headrace.engine.shards import PendingLine
from headrace.engine.worker_process import LATE_S
from headrace.errors import DefinitionError, HeadraceError, Problem, StateError
from headrace.operations.line_worker import LineWorker, WorkerSetup, opened_flow, working

LOCAL = "ray"
"""In place of an address: start Ray on this machine."""

_CLOSING_S = 5.0
_STORE_BYTES = 100 * 2**20
_N_TOLD_LINES = 10


class LineActor:
    """A loaded flow in a process of Ray's. Messages are bytes, so that Ray needs to know nothing of them.

    No method is a coroutine: Ray would then run all of them in one event loop of its own, loading included.
    """

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._session = AsyncExitStack()
        self._runner = asyncio.Runner()
        self._worker: LineWorker | None = None
        self._n_at_once = 1
        self._is_stuck = False

    def load(self, message: bytes) -> bytes:
        """Load the flow; a message says whether it worked."""
        (setup,) = Inbox().feed(message)
        os.chdir(setup.flow.cwd)
        try:
            workspace, loaded = self._opened.enter_context(opened_flow(setup))
        except HeadraceError as error:
            return pack(WorkerRefused(problems=error.problems))
        session = working(setup, workspace, loaded, self._note_stuck)
        self._worker = self._runner.run(self._session.enter_async_context(session))
        self._n_at_once = setup.n_at_once
        return pack(WorkerReady())

    def run(self, message: bytes) -> tuple[bytes, bool]:
        """Run some lines; what they came to, and whether a tool is stuck here."""
        if self._worker is None:
            what = "lines come after loading"
            raise RuntimeError(what)
        done = self._runner.run(_run_lines(self._worker, Inbox().feed(message), self._n_at_once))
        return b"".join(pack(item) for item in done), self._is_stuck

    def ping(self) -> None:
        """Answer, in a thread beside that of the lines."""

    def close(self) -> None:
        """Close clients and files."""
        self._runner.run(self._session.aclose())
        self._opened.close()

    def _note_stuck(self) -> None:
        self._is_stuck = True


async def _run_lines(worker: LineWorker, lines: Sequence[LineWanted], n_at_once: int) -> list[LineDone]:
    room = asyncio.Semaphore(n_at_once)

    async def run(wanted: LineWanted) -> LineDone:
        async with room:
            return await worker.run(wanted)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(wanted)) for wanted in lines]
    return [task.result() for task in tasks]


class RayWorker:
    """An actor as the run sees it; see :class:`~headrace.engine.pool.Worker`."""

    def __init__(self, actor: Any, line_timeout_s: float) -> None:
        self.is_spent = False
        self._actor = actor
        self._line_timeout_s = line_timeout_s

    async def load(self, setup: WorkerSetup) -> None:
        """Wait until the actor has a place and has loaded the flow.

        Raises:
            DefinitionError: When it cannot be loaded there.
            WorkerLostError: When the actor dies over it.
        """
        try:
            (answer,) = Inbox().feed(await _result(self._actor.load.remote(pack(setup))))
        except RayActorError as error:
            raise self._lost(error) from error
        if isinstance(answer, WorkerRefused):
            raise DefinitionError(*answer.problems)

    async def run(self, lines: Sequence[PendingLine], done: Callable[[LineDone], None]) -> None:
        """Run lines.

        Raises:
            WorkerLostError: When the actor or its machine is lost, or when it does not answer.
        """
        wanted = [
            LineWanted(line_number=item.line.number, inputs=item.inputs, place=item.line.span)
            for item in lines
        ]
        answer = self._actor.run.remote(b"".join(pack(item) for item in wanted))
        try:
            message, is_stuck = await self._patiently(_result(answer), n_lines=len(lines))
        except RayActorError as error:
            raise self._lost(error) from error
        self.is_spent = self.is_spent or is_stuck
        for item in Inbox().feed(message):
            done(item)

    async def close(self) -> None:
        """End the actor."""
        if not self.is_spent:
            with suppress(RayError, TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await _result(self._actor.close.remote())
        self.kill()

    async def _patiently(self, answer: Awaitable[Any], *, n_lines: int) -> Any:
        """Wait for lines as long as their process answers: they may wait for a quota beyond their limit."""
        asked = asyncio.ensure_future(answer)
        try:
            while True:
                done, _ = await asyncio.wait([asked], timeout=self._line_timeout_s)
                if done:
                    return await asked
                life = asyncio.ensure_future(_result(self._actor.ping.remote()))
                await asyncio.wait([asked, life], timeout=LATE_S, return_when=asyncio.FIRST_COMPLETED)
                if not life.done() and not asked.done():
                    life.cancel()
                    raise self._late(n_lines)
                if life.done():
                    life.exception()  # a dead actor is told of by the lines
        finally:
            asked.cancel()

    def _late(self, n_lines: int) -> WorkerLostError:
        self.is_spent = True
        self.kill()
        what = f"The line took longer than {self._line_timeout_s:g} s; its Ray worker did not answer and was killed."
        fix = "Raise HEADRACE_LINE_TIMEOUT_S (or PF_LINE_TIMEOUT_SEC); a tool holds the whole process up, e.g. in C."
        return WorkerLostError(Problem(code="E603", what=what, fix=fix), is_settled=n_lines == 1)

    def _lost(self, error: RayActorError) -> WorkerLostError:
        self.is_spent = True
        self.kill()
        said = tuple(line.strip() for line in str(error).splitlines() if line.strip())[:_N_TOLD_LINES]
        fix = "Look for what ends the whole process in the tools of this line: a crash in C, os._exit, too much memory."
        what = "The Ray worker died, or its machine was lost."
        return WorkerLostError(Problem(code="E610", what=what, fix=fix, detail=said))

    def kill(self) -> None:
        """End the actor at once."""
        with suppress(RayError):
            ray.kill(self._actor, no_restart=True)


class Cluster:
    """A Ray that is connected; made by :func:`open_cluster`.

    Attributes:
        n_workers: How many workers it has room for, at most those that were wanted.
    """

    def __init__(self, n_workers: int, line_timeout_s: float) -> None:
        self.n_workers = n_workers
        self._line_timeout_s = line_timeout_s
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_concurrency=2)(LineActor)

    async def open_worker(self, setup: WorkerSetup) -> Worker:
        """Start a worker and wait until it has loaded the flow.

        Raises:
            DefinitionError: When it cannot be loaded there.
            WorkerLostError: When the worker dies over it.
        """
        worker = RayWorker(self._actor.remote(), self._line_timeout_s)
        is_loaded = False
        try:
            await worker.load(setup)
            is_loaded = True
        finally:
            if not is_loaded:
                worker.kill()
        return worker


@contextmanager
def open_cluster(address: str, *, n_workers: int, line_timeout_s: float) -> Iterator[Cluster]:
    """Connect to Ray, or start it.

    A Ray that is started here listens on this machine alone, has no dashboard and sends no statistics.

    Args:
        address: ``ray``, or ``ray://host:port``.
        n_workers: How many are wanted; 0 for one per processor.
        line_timeout_s: Limit for one line.

    Raises:
        StateError: S809 when there is no Ray at the address.
    """
    _connect(address, n_workers)
    try:
        n_places = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        yield Cluster(min(n_workers or n_places, n_places), line_timeout_s)
    finally:
        ray.shutdown()


def _connect(address: str, n_workers: int) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address != LOCAL:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            what = f"There is no Ray cluster at {address}."
            fix = "Start one with: ray start --head; its address for clients is ray://HOST:10001."
            raise StateError(Problem(code="S809", what=what, fix=fix)) from error
        return
    ray.init(
        address="local",
        num_cpus=n_workers or None,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        **quiet,
    )


async def _result(reference: Any) -> Any:
    return await asyncio.wrap_future(reference.future())
