"""A worker process as the run sees it: started, given lines, watched, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from headrace.engine.flights import Asker, Flights, Landing
from headrace.engine.frames import (
    CallAnswered,
    CallAsked,
    CallLanded,
    Inbox,
    LineDone,
    LineWanted,
    Outbox,
    WorkerAlive,
    WorkerReady,
    WorkerRefused,
    WorkerStuck,
    pack,
)
from headrace.engine.pool import WorkerLostError
from headrace.engine.shards import PendingLine
from headrace.engine.waiting import Waiting
from headrace.errors import DefinitionError, Problem

LATE_S = 3.0
"""How much longer than a line may take a worker with lines in flight may be silent."""

_CLOSING_S = 5.0
_PIECE_BYTES = 2**18
_LAST_WORDS_S = 1.0
_LAST_WORDS_BYTES = 8_192
_N_LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """How worker processes are started.

    Attributes:
        words: The command; its process speaks :mod:`headrace.engine.frames` over its standard input and output.
        setup: The first message to it.
        line_timeout_s: Limit for one line, which the worker keeps by itself as long as it can.
    """

    words: Sequence[str]
    setup: object
    cwd: Path
    environment: Mapping[str, str]
    line_timeout_s: float


class WorkerProcess:
    """One process; made by :func:`open_worker_process`. See :class:`~headrace.engine.pool.Worker`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
        exit_: _Exit,
        command: WorkerCommand,
        flights: Flights | None,
        waiting: Waiting | None,
    ) -> None:
        self.is_spent = False
        self._waiting = waiting
        self._flights = flights
        self._process = process
        self._exit = exit_
        self._is_closing = False
        self._transport = transport
        self._command = command
        self._in_flight: dict[int, asyncio.Future[LineDone]] = {}
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._heard_at = loop.time()
        self._looking = loop.call_soon(self._look)
        self._last_words = b""
        self._outbox = Outbox(self._write)
        self._is_late = False
        self._is_alone = False
        self._reading = asyncio.ensure_future(self._read())
        self._listening = asyncio.ensure_future(self._listen())
        self._watching = asyncio.ensure_future(self._watch())

    async def load(self) -> None:
        """Wait until the worker has loaded the flow.

        Raises:
            DefinitionError: When it cannot be loaded there.
            WorkerLostError: When the process dies over it.
        """
        self._outbox.send(pack(self._command.setup))
        await self._ready

    async def run(self, lines: Sequence[PendingLine], done: Callable[[LineDone], None]) -> None:
        """Run lines at the same time.

        Raises:
            WorkerLostError: When the process dies, or does not answer when it should have; which lines are done is
                known by ``done``.
        """
        messages = {line.line.number: _wanted(line) for line in lines}
        loop = asyncio.get_running_loop()
        begins = not self._in_flight
        answers = []
        for number, message in messages.items():
            answer: asyncio.Future[LineDone] = loop.create_future()
            self._in_flight[number] = answer
            answers.append(answer)
            self._outbox.send(message)
        if begins:
            self._heard_at = loop.time()
            self._looking.cancel()
            self._look()
        try:
            await asyncio.wait(answers)
        finally:
            for number in messages:
                self._in_flight.pop(number, None)
            if self.is_spent and not self._in_flight:
                self.kill()
        lost = [answer.exception() for answer in answers]
        for answer, error in zip(answers, lost, strict=True):
            if error is None:
                done(answer.result())
        for error in lost:
            if error is not None:
                raise error

    async def close(self) -> None:
        """Let the process end, by itself when it has nothing to do; it is gone afterwards."""
        try:
            if not self._in_flight and not self.is_spent and self._process.stdin is not None:
                self._is_closing = True
                self._process.stdin.close()
                async with asyncio.timeout(_CLOSING_S):
                    await asyncio.shield(self._watching)
        except TimeoutError:
            pass
        finally:
            self.kill()
            await asyncio.shield(self._watching)

    def kill(self) -> None:
        """End the process and what its tools have started, at once."""
        if self._process.returncode is None:
            self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # gone, or another user's, as of sudo
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _write(self, data: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(data)

    async def _read(self) -> None:
        stream = self._process.stdout
        inbox = Inbox()
        try:
            while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
                for message in inbox.feed(piece):
                    self._hear(message)
        finally:
            self.kill()  # nothing that it does can be heard any more

    def _look(self) -> None:
        """Kill the process when it has been silent for too long: it says that it lives even when its lines wait."""
        if not self._in_flight:
            return
        loop = asyncio.get_running_loop()
        deadline = self._heard_at + self._command.line_timeout_s + LATE_S
        if loop.time() < deadline:
            self._looking = loop.call_at(deadline, self._look)
            return
        self._is_late, self._is_alone = True, len(self._in_flight) == 1
        self.kill()

    def _hear(self, message: object) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        match message:
            case LineDone():
                answer = self._in_flight.pop(message.result.line_number, None)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case CallAsked() if self._flights is not None:
                asker = Asker(worker=self, number=message.number)
                self._flights.ask(message.key, asker, partial(self._answer, message.number))
            case CallLanded() if self._flights is not None:
                asker = Asker(worker=self, number=message.number)
                self._flights.land(message.key, asker, message.landing)
            case WorkerAlive() if self._waiting is not None:
                self._waiting.note(self, message.uses)
            case WorkerStuck():
                self.is_spent = True
                if not self._in_flight:
                    self.kill()
            case WorkerReady() if not self._ready.done():
                self._ready.set_result(None)
            case WorkerRefused() if not self._ready.done():
                self._ready.set_exception(DefinitionError(*message.problems))

    def _answer(self, number: int, landing: Landing | None) -> None:
        self._outbox.send(pack(CallAnswered(number=number, landing=landing)))

    async def _listen(self) -> None:
        stream = self._process.stderr
        while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
            self._last_words = (self._last_words + piece)[-_LAST_WORDS_BYTES:]

    async def _watch(self) -> None:
        """Wait for the end of the process, then tell everybody who waits for it."""
        await self._exit.wait()
        self.is_spent = True
        if not self._is_closing:
            self._kill_group()  # what its tools have started does not outlive a worker that died
        # What it wrote before it died; a process that it has left behind may keep the pipes open for ever.
        await asyncio.wait([self._reading, self._listening], timeout=_LAST_WORDS_S)
        self._looking.cancel()
        if self._flights is not None:
            self._flights.lose(self)
        if self._waiting is not None:
            self._waiting.lose(self)
        self._transport.close()
        for task in (self._reading, self._listening):
            task.cancel()
        answers: list[asyncio.Future[Any]] = [self._ready, *self._in_flight.values()]
        for answer in answers:
            if not answer.done():
                answer.set_exception(self._lost())
                answer.exception()  # heard, whether somebody waits for it or not

    def _lost(self) -> WorkerLostError:
        return WorkerLostError(
            self._limit() if self._is_late else _death(self._process.returncode, self._last_words),
            is_settled=self._is_late and self._is_alone,
        )

    def _limit(self) -> Problem:
        limit_s = self._command.line_timeout_s
        return Problem(
            code="E603",
            what=f"The line took longer than {limit_s:g} s; its worker process did not answer and was killed.",
            fix="Raise HEADRACE_LINE_TIMEOUT_S (or PF_LINE_TIMEOUT_SEC); a tool holds the whole process up, e.g. in C.",
        )


class _Exit(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of a process, and its end.

    ``Process.wait`` of Python 3.11 waits for the end of the pipes as well, which a forked process may hold open.
    """

    def __init__(self) -> None:
        super().__init__(limit=_PIECE_BYTES, loop=asyncio.get_running_loop())
        self._has_ended = asyncio.Event()

    def process_exited(self) -> None:
        self._has_ended.set()
        super().process_exited()

    async def wait(self) -> None:
        """Wait until the process has ended, and for nothing else."""
        await self._has_ended.wait()


async def open_worker_process(
    command: WorkerCommand, flights: Flights | None = None, waiting: Waiting | None = None
) -> WorkerProcess:
    """Start a process and wait until it has loaded the flow.

    It is the head of a process group of its own, so that Ctrl-C at the terminal is for the run alone, and so that what
    its tools have started ends with it when it has to be killed.

    Args:
        command: How it is started.
        flights: The calls in flight in all workers of the run, where results of nodes are used again.
        waiting: Is told which model requests wait for a quota there.

    Raises:
        DefinitionError: When the flow cannot be loaded there.
        WorkerLostError: When the process dies over it.
    """
    loop = asyncio.get_running_loop()
    # What asyncio.create_subprocess_exec does, but the transport is ours to close.
    transport, protocol = await loop.subprocess_exec(
        _Exit,
        *command.words,
        cwd=command.cwd,
        env=command.environment,
        start_new_session=True,
    )
    process = asyncio.subprocess.Process(transport, protocol, loop)
    worker = WorkerProcess(process, transport, protocol, command, flights, waiting)
    is_loaded = False
    try:
        await worker.load()
        is_loaded = True
    finally:
        if not is_loaded:
            worker.kill()
            await worker.close()
    return worker


def _wanted(line: PendingLine) -> bytes:
    return pack(LineWanted(line_number=line.line.number, inputs=line.inputs, place=line.line.span))


def _death(code: int | None, last_words: bytes) -> Problem:
    how = f"with exit code {code}"
    fix = "Look for what ends the whole process in the tools of this line: a crash in C, os._exit, too much memory."
    if code is not None and code < 0:
        how = f"by {_signal_name(-code)}"
    if code == -getattr(signal, "SIGKILL", 0):
        how += ", as the system does when memory runs out"
    said = last_words.decode("utf-8", "replace").splitlines()[-_N_LAST_LINES:]
    return Problem(code="E610", what=f"The worker process ended {how}.", fix=fix, detail=tuple(said))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
