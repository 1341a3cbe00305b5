"""Ports of this machine for servers that are told theirs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A free port of loopback that only a server which is told of it can have.

    Between finding a port and listening on it, a process beside this one could be given the same: its server would be
    asked in place of ours. So it stays bound here: Linux lets a second socket bind to it and listen, as long as both
    say ``SO_REUSEADDR``, which servers do, and gives it to nobody who asks for any port. Other systems refuse the
    second one, so there it is only found.
    """

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((LOOPBACK, 0))
        self.number: int = self._held.getsockname()[1]
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        """Leave it to anybody."""
        self._held.close()


@contextmanager
def held_port() -> Generator[int]:
    """The number of a :class:`HeldPort`, for the time of a block."""
    held = HeldPort()
    try:
        yield held.number
    finally:
        held.close()
