"""Who works on a run, said by a heartbeat in the store: a run whose process died is told from one at work."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from headrace.domain.run import CANCELED, RUNNING, Run
from headrace.errors import HeadraceError

BEAT_S = 5.0
"""Seconds between two heartbeats."""

_STALE = timedelta(seconds=12 * BEAT_S)


def new_owner() -> str:
    """What this process calls itself as the owner of one run: ``host:process id:random``."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_at_work(run: Run, now: datetime) -> bool:
    """Whether a process works on the run, as far as can be told from its heartbeat and, on this host, its process."""
    return run.status == RUNNING and is_owner_at_work(run.owner, run.heartbeat_at, now)


def as_of(run: Run, now: datetime) -> Run:
    """A run as it is now: one of served requests has ended with its server, also where that could not say so."""
    if not run.spec.is_served or run.status != RUNNING or is_at_work(run, now):
        return run
    return replace(run, status=CANCELED, finished_at=run.heartbeat_at or run.created_at)


def is_owner_at_work(owner: str | None, heartbeat_at: datetime | None, now: datetime) -> bool:
    """The same of whoever said so last."""
    if owner is None or heartbeat_at is None or now - heartbeat_at > _STALE:
        return False
    host, process, _ = owner.rsplit(":", 2)
    return host != socket.gethostname() or _is_alive(int(process))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


class Heartbeat:
    """Says again and again, in a thread, that something is worked on; use as a context manager.

    Args:
        beat: Says so; false when it belongs to somebody else by now.
        on_lost: Called once, in that thread, when that is so.
        beat_s: Seconds between two heartbeats.
    """

    def __init__(
        self,
        beat: Callable[[], bool],
        on_lost: Callable[[], None],
        *,
        beat_s: float = BEAT_S,
    ) -> None:
        self.is_lost = False
        self._say = beat
        self._on_lost = on_lost
        self._beat_s = beat_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="headrace-heartbeat")

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._is_over.wait(self._beat_s):
            try:
                is_ours = self._say()
            except HeadraceError:  # a store that is busy or away: the work itself will say so
                continue
            if not is_ours:
                self.is_lost = True
                self._on_lost()
                return
