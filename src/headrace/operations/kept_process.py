"""A process beside this one that is started again when it ends by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection as pipes
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Final

FIRST_WAIT_S: Final = 1.0
"""How long after its end a process is started again, seconds; twice as long for each that follows at once."""

_LONGEST_WAIT_S = 60.0
_STEADY_S = 60.0
_END_S = 10.0

Say = Callable[[str], None]
"""Hears that the process has ended."""


class KeptProcess:
    """Keeps a process running until it is closed.

    Args:
        work: What it runs; a function that can be found by its name, and that returns at ``SIGTERM``.
        args: For that; they can be pickled.
        what: What the process does, for people: "The process that … has ended".
        say: Hears when it has ended by itself.
    """

    def __init__(self, work: Callable[..., None], args: tuple[Any, ...], what: str, say: Say) -> None:
        self._work = work
        self._args = args
        self._what = what
        self._say = say
        self._ending, self._end = get_context("spawn").Pipe(duplex=False)
        self._thread = Thread(target=self._keep, args=(self._start(),), name="headrace keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the process, by force when it does not within some seconds."""
        self._end.close()
        self._thread.join()
        self._ending.close()

    def _start(self) -> BaseProcess:
        process = get_context("spawn").Process(target=self._work, args=self._args, daemon=True)
        process.start()
        return process

    def _start_later(self, wait_s: float) -> BaseProcess | None:
        """Start the next one; ``None`` when none is wanted any more."""
        while not self._ending.poll(wait_s):
            with suppress(OSError):  # no memory for it, perhaps
                return self._start()
            wait_s = _LONGEST_WAIT_S
        return None

    def _keep(self, process: BaseProcess) -> None:
        n_failures, began_s = 0, time.monotonic()
        while self._ending not in pipes.wait([process.sentinel, self._ending]):
            process.join()
            n_failures = 0 if time.monotonic() - began_s >= _STEADY_S else n_failures + 1
            wait_s = min(_LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** max(0, n_failures - 1))
            how = f"has ended with {process.exitcode}; the next one starts in {wait_s:.0f} s."
            self._say(f"The process that {self._what} {how}")
            following = self._start_later(wait_s)
            if following is None:
                return
            process, began_s = following, time.monotonic()
        process.terminate()
        process.join(_END_S)
        if process.is_alive():
            process.kill()
            process.join()
