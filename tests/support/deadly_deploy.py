"""``headrace deploy`` that kills itself: ``python -m tests.support.deadly_deploy N WORDS…`` after its Nth write to Azure."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from azure.core.pipeline.transport import RequestsTransport

from headrace.cli.main import run_command_line

_WRITES = ("PUT", "POST", "PATCH", "DELETE")
_ONLY_READ = ("/listsecrets", "/listkeys", "/getlogs", "/token")


def main() -> int:
    """Die right after the answer to that write came, before anybody has seen it."""
    last, count, lock = int(sys.argv[1]), 0, threading.Lock()
    send = RequestsTransport.send

    def deadly(self: Any, request: Any, **options: Any) -> Any:
        nonlocal count
        answer = send(self, request, **options)
        path = request.url.partition("?")[0].lower()
        if request.method in _WRITES and not path.endswith(_ONLY_READ):
            with lock:
                count += 1
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
        return answer

    RequestsTransport.send = deadly  # type: ignore[method-assign]
    return run_command_line(["deploy", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
