"""Who works on a run, said by a heartbeat in the store: a run whose process died is told from one at work."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from headrace.domain.run import RUNNING, Run
from headrace.errors import HeadraceError
from headrace.operations.workspace import Workspace

BEAT_S = 5.0
"""Seconds between two heartbeats."""

_STALE = timedelta(seconds=12 * BEAT_S)


def new_owner() -> str:
    """What this process calls itself as the owner of one run: ``host:process id:random``."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_at_work(run: Run, now: datetime) -> bool:
    """Whether a process works on the run, as far as can be told from its heartbeat and, on this host, its process."""
    if run.status != RUNNING or run.owner is None or run.heartbeat_at is None:
        return False
    if now - run.heartbeat_at > _STALE:
        return False
    host, process, _ = run.owner.rsplit(":", 2)
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
    """Says again and again, in a thread, that a run is worked on; use as a context manager.

    Args:
        workspace: For the store and the clock.
        run: Name of the run.
        owner: Who works on it.
        on_lost: Called once, in that thread, when the run belongs to somebody else by now.
        beat_s: Seconds between two heartbeats.
    """

    def __init__(
        self,
        workspace: Workspace,
        run: str,
        owner: str,
        on_lost: Callable[[], None],
        *,
        beat_s: float = BEAT_S,
    ) -> None:
        self.is_lost = False
        self._workspace = workspace
        self._run = run
        self._owner = owner
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
                is_ours = self._workspace.store.beat_run(
                    self._run, owner=self._owner, at=self._workspace.now()
                )
            except HeadraceError:  # a store that is busy or away: the run itself will say so
                continue
            if not is_ours:
                self.is_lost = True
                self._on_lost()
                return
