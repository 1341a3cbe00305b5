"""A lock that processes hold while they read a file of a folder, change it and write it again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

WAIT_S = 10.0
_PAUSE_S = 0.02


@contextmanager
def locked_folder(folder: Path, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Be the only process in this block, among those that ask for the lock of the folder.

    The folder itself is locked, so that no file is left behind and the lock ends with its process. On Windows, which
    has no such lock, nothing is held.

    Args:
        folder: An existing folder.
        wait_s: How long another process may hold it, seconds.

    Raises:
        TimeoutError: Another process holds it for longer.
        OSError: The folder cannot be opened.
    """
    if _fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _take(handle, wait_s)
        yield
    finally:
        os.close(handle)


def _take(handle: int, wait_s: float) -> None:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                message = "another process is writing to the folder"
                raise TimeoutError(message) from None
            time.sleep(_PAUSE_S)
        else:
            return


def _import_locks() -> Any:
    try:
        return import_module("fcntl")
    except ImportError:  # Windows
        return None


_fcntl = _import_locks()
