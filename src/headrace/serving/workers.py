"""Several processes that share one listening socket, and the parent that watches them.

uvicorn has a parent of its own. It starts what died at once and without end, stops altogether when one that it started
again cannot begin, and takes ``SIGHUP`` for a restart of all; here a process that cannot begin is tried again later
while the others go on, and each takes over a new version by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from multiprocessing import connection as pipes
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from headrace.errors import HeadraceError, Problem

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 30.0
_STEADY_S = 60.0
_KILL_AFTER_S = 5.0

Tell = Callable[[str, tuple[Problem, ...]], None]
"""Hears what a person at the terminal should know, and the problems behind it."""

Work = Callable[[socket.socket, "Parent"], None]
"""What a process runs, with the socket that it shares; has to be picklable, and returns when it was asked to stop."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a worker process has of its parent.

    Attributes:
        pipe: Ends when the parent has gone.
    """

    pipe: pipes.Connection

    def say_ready(self) -> None:
        """Say that requests are accepted, and from now on stop with the parent; called in the event loop."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(self.pipe.fileno())
            os.kill(os.getpid(), signal.SIGTERM)

        loop.add_reader(self.pipe.fileno(), stop)  # it says nothing, so what can be read is its end
        self._send(("ready", None))

    def tell(self, text: str, problems: tuple[Problem, ...] = ()) -> None:
        """Say something to whoever watches the terminal."""
        self._send(("told", (text, problems)))

    def fail(self, error: HeadraceError) -> None:
        """Say why this process cannot begin."""
        self._send(("failed", error))

    def _send(self, message: tuple[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has gone; this process will notice
            self.pipe.send(message)


@dataclass(slots=True)
class _Worker:
    """One place for a process, and the process that has it now.

    Attributes:
        n_failures: Processes in a row that did not last.
        start_at_s: When the next one is started; on the monotonic clock.
    """

    process: BaseProcess | None = None
    pipe: pipes.Connection | None = None
    is_ready: bool = False
    n_failures: int = 0
    began_s: float = 0.0
    start_at_s: float = 0.0


class Workers:
    """Runs processes until this one is asked to stop.

    Args:
        work: What each of them runs.
        listener: What they share.
        n_workers: How many.
        grace_s: How long they may take to end, seconds.
        tell: Hears what happens to them.
    """

    def __init__(
        self, work: Work, listener: socket.socket, *, n_workers: int, grace_s: float, tell: Tell
    ) -> None:
        self._work = work
        self._listener = listener
        self._grace_s = grace_s
        self._tell = tell
        self._workers = [_Worker() for _ in range(n_workers)]
        self._signals: list[int] = []
        self._was_ready = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start them all, start again what dies, pass signals on, and return when all have ended.

        Raises:
            HeadraceError: What the first of them could not begin for.
            KeyboardInterrupt: Ctrl-C.
        """
        with self._catch_signals() as wake, self._listener:
            try:
                while not self._is_stopping():
                    self._start_due()
                    self._wait(wake)
                    if not self._was_ready and all(worker.is_ready for worker in self._workers):
                        self._was_ready = True
                        on_ready()
            finally:
                self._stop_all()
        if signal.SIGINT in self._signals:
            raise KeyboardInterrupt

    def _is_stopping(self) -> bool:
        return signal.SIGTERM in self._signals or signal.SIGINT in self._signals

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.process is None and now_s >= worker.start_at_s:
                context = get_context("spawn")
                worker.pipe, end = context.Pipe()
                worker.process = context.Process(
                    target=_run, args=(self._work, self._listener, Parent(end)), daemon=True
                )
                worker.process.start()
                end.close()
                worker.began_s = now_s

    def _wait(self, wake: socket.socket) -> None:
        """Wait for a message, a death, a signal or the time to start one again."""
        waits = [worker.start_at_s for worker in self._workers if worker.process is None]
        timeout_s = max(0.0, min(waits) - time.monotonic()) if waits else None
        listening: dict[Any, _Worker] = {
            worker.pipe: worker for worker in self._workers if worker.pipe is not None
        }
        for ready in pipes.wait([wake, *listening], timeout_s):
            if ready is wake:
                wake.recv(4096)
            else:
                self._hear(listening[ready])
        while signal.SIGHUP in self._signals:
            self._signals.remove(signal.SIGHUP)
            self._send_signal(signal.SIGHUP)

    def _hear(self, worker: _Worker) -> None:
        assert worker.pipe is not None  # noqa: S101 - it was waited for
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if kind == "ready":
            worker.is_ready = True
        elif kind == "told":
            self._tell(*content)
        elif not self._was_ready:
            raise content
        else:
            self._tell("A worker process could not begin.", content.problems)

    def _bury(self, worker: _Worker) -> None:
        """Take leave of a process that has ended, and say when the next one is started."""
        process = worker.process
        assert process is not None  # noqa: S101 - its pipe was open
        process.join()
        lasted_s = time.monotonic() - worker.began_s
        worker.n_failures = 0 if lasted_s >= _STEADY_S else worker.n_failures + 1
        wait_s = 0.0
        if worker.n_failures:
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (worker.n_failures - 1))
        worker.start_at_s = time.monotonic() + wait_s
        self._tell(
            f"Worker process {process.pid} ended with {process.exitcode}; the next one starts in {wait_s:.1f} s.",
            (),
        )
        if worker.pipe is not None:
            worker.pipe.close()
        process.close()
        worker.process = worker.pipe = None

    def _stop_all(self) -> None:
        self._listener.close()  # so that nobody can connect once the workers have closed it as well
        self._send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + self._grace_s + _KILL_AFTER_S
        for worker in self._workers:
            if worker.process is None:
                continue
            worker.process.join(max(0.0, deadline_s - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _send_signal(self, number: int) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.pid and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    @contextlib.contextmanager
    def _catch_signals(self) -> Generator[socket.socket]:
        """Note signals in place of what they would do; the socket says that one came."""
        wake, woken = socket.socketpair()
        woken.settimeout(0.0)

        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, note) for number in numbers}
        old = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(old)
            for number, what in before.items():
                signal.signal(number, what)
            wake.close()
            woken.close()


def _run(work: Work, listener: socket.socket, parent: Parent) -> None:
    """What a worker process does. Ctrl-C goes to every process of a terminal; the parent passes it on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is about to read the newest version anyway
    try:
        work(listener, parent)
    except KeyboardInterrupt:
        return
    except HeadraceError as error:
        parent.fail(error)
        raise SystemExit(int(error.exit_code)) from None
