"""The program of a worker process: it loads a flow and runs the lines that it is given, until there are no more.

Standard input and output are its pipes to the run, and they are taken away from the tools first: what a tool or a
program that it starts reads is empty, and what it writes past Python goes to standard error.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Sequence
from ctypes import CDLL
from itertools import count
from typing import Any

from headrace.engine.flights import Landing
from headrace.engine.frames import (
    CallAnswered,
    CallAsked,
    CallLanded,
    Inbox,
    LineWanted,
    Outbox,
    WorkerAlive,
    WorkerReady,
    WorkerRefused,
    WorkerStuck,
    pack,
)
from headrace.errors import HeadraceError
from headrace.operations.line_worker import LineWorker, WorkerSetup, opened_flow, working
from headrace.operations.prepare_flow import LoadedFlow
from headrace.operations.workspace import Workspace
from headrace.providers.quota import Quota

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_ABANDONED = 3
_PIECE_BYTES = 2**18
_SIGN_OF_LIFE_S = 1.0


def command(folder: str) -> list[str]:
    """The command line of a worker process, for a headrace that is imported from ``folder``.

    Not by ``multiprocessing``: that would import the user's own script again in every worker, and run it unless it is
    written for that.
    """
    found = f"import sys; {folder!r} in sys.path or sys.path.insert(0, {folder!r})"
    program = f"{found}; from headrace.operations.work_lines import main; main({os.getpid()})"
    return [sys.executable, "-P", "-c", program]


def main(parent: int) -> None:
    """Work for the process ``parent`` until it closes the pipe, or is gone."""
    _end_with(parent)
    faulthandler.enable(2, all_threads=False)  # where a crash in C happened is told with the line
    source, sink = _take_pipes()
    pipe = _Pipe(source, sink)
    (setup,) = pipe.read()
    try:
        with opened_flow(setup) as (workspace, loaded):
            asyncio.run(_work(setup, workspace, loaded, pipe))
    except HeadraceError as error:
        pipe.write(pack(WorkerRefused(problems=error.problems)))


def _take_pipes() -> tuple[int, int]:
    """Descriptors of the pipes, which no process that a tool starts inherits."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def _end_with(parent: int) -> None:
    """Let the system end this process when its parent dies: nothing else can while a tool in C holds everything up."""
    if sys.platform == "linux":
        CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:  # it has died meanwhile
            os._exit(_ABANDONED)


class _Pipe:
    """The way from the run and to it; both directions block."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._inbox = Inbox()

    def read(self) -> list[Any]:
        """The next messages, at least one; none at all at the end of the pipe."""
        messages: list[Any] = []
        while not messages and (piece := os.read(self._source, _PIECE_BYTES)):
            messages = self._inbox.feed(piece)
        return messages

    def write(self, data: bytes) -> None:
        """Send bytes; when nobody is there to read them this process ends."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._sink, rest) :]
        except BrokenPipeError:
            os._exit(_ABANDONED)


class _Incoming:
    """Reads messages in a thread of its own, because a pipe cannot be waited for everywhere."""

    def __init__(
        self,
        pipe: _Pipe,
        take: Callable[[LineWanted | None], None],
        hear: Callable[[CallAnswered], None],
    ) -> None:
        self.n_done = 0
        self._n_read = 0
        self._pipe = pipe
        self._take = take
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True, name="headrace-pipe").start()

    def _read(self) -> None:
        while messages := self._pipe.read():
            self._n_read += sum(isinstance(message, LineWanted) for message in messages)
            self._loop.call_soon_threadsafe(self._give, messages)
        if self._n_read > self.n_done:  # nobody is there to hear of the lines in flight
            os._exit(_ABANDONED)
        self._loop.call_soon_threadsafe(self._take, None)

    def _give(self, messages: Sequence[LineWanted | CallAnswered]) -> None:
        for message in messages:
            if isinstance(message, CallAnswered):
                self._hear(message)
            else:
                self._take(message)


class _OtherWorkers:
    """Asks the run before a call; see :class:`~headrace.engine.flights.Others`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._numbers = count(1)
        self._asked: dict[str, int] = {}
        self._waiting: dict[int, asyncio.Future[Landing | None]] = {}

    async def lead(self, key: str) -> Landing | None:
        number = self._asked[key] = next(self._numbers)
        answer: asyncio.Future[Landing | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._outbox.send(pack(CallAsked(number=number, key=key)))
        try:
            landing = await answer
        finally:
            del self._waiting[number]
        if landing is not None:
            del self._asked[key]
        return landing

    def land(self, key: str, landing: Landing) -> None:
        self._outbox.send(pack(CallLanded(number=self._asked.pop(key), key=key, landing=landing)))

    def hear(self, message: CallAnswered) -> None:
        """Take in an answer, unless nobody waits for it any more."""
        answer = self._waiting.get(message.number)
        if answer is not None and not answer.done():
            answer.set_result(message.landing)


async def _work(setup: WorkerSetup, workspace: Workspace, loaded: LoadedFlow, pipe: _Pipe) -> None:
    async def run(worker: LineWorker, wanted: LineWanted) -> None:
        done = await worker.run(wanted)
        incoming.n_done += 1
        outbox.send(pack(done))

    outbox = Outbox(pipe.write)
    others = _OtherWorkers(outbox)
    stuck = pack(WorkerStuck())
    async with working(setup, workspace, loaded, lambda: outbox.send(stuck), others) as worker:
        lines: asyncio.Queue[LineWanted | None] = asyncio.Queue()
        incoming = _Incoming(pipe, lines.put_nowait, others.hear)
        outbox.send(pack(WorkerReady()))
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell_life(outbox, workspace.quota))
            while (wanted := await lines.get()) is not None:
                group.create_task(run(worker, wanted))
            telling.cancel()


async def _tell_life(outbox: Outbox, quota: Quota) -> None:
    while True:
        await asyncio.sleep(_SIGN_OF_LIFE_S)
        outbox.send(pack(WorkerAlive(uses=quota.snapshot())))
