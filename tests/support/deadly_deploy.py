"""``headrace deploy`` that kills itself: ``python -m tests.support.deadly_deploy N WORDS…`` after its Nth write to Azure."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.pipeline.transport import RequestsTransport

from headrace.cli.main import run_command_line

_WRITES = ("PUT", "POST", "PATCH", "DELETE")
_ONLY_READ = ("/listsecrets", "/listkeys", "/getlogs", "/token")


class Killed(BaseException):
    """Raised in place of a death, where the process has to go on."""


def deadly_send(last: int, die: Callable[[], None]) -> Callable[..., Any]:
    """A ``send`` of transports that dies right after the answer to a write came, before anybody has seen it.

    Args:
        last: Number of that write, from 1.
        die: Dies; called again for every request that comes later.
    """
    count, is_dead, lock = 0, False, threading.Lock()
    send = RequestsTransport.send

    def deadly(self: Any, request: Any, **options: Any) -> Any:
        nonlocal count, is_dead
        if is_dead:
            die()
        answer = send(self, request, **options)
        path = request.url.partition("?")[0].lower()
        if request.method in _WRITES and not path.endswith(_ONLY_READ):
            with lock:
                count += 1
                is_dead = count >= last
            if is_dead:
                die()
        return answer

    return deadly


def main() -> int:
    """Die after that write."""
    send = deadly_send(int(sys.argv[1]), lambda: os.kill(os.getpid(), signal.SIGKILL))
    pytest.MonkeyPatch().setattr(RequestsTransport, "send", send)
    return run_command_line(["deploy", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
