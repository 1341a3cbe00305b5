"""``headrace flow serve`` as a process."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Served:
    """A running ``headrace flow serve``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        first = process.stdout.readline()
        assert " answers at " in first, first + (process.stderr.read() if process.stderr else "")
        self.port = int(first.rpartition(":")[2].partition("/")[0])
        self.said: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def ask(self, q: str = "0", path: str = "/score", method: str = "POST", **more: Any) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, json.dumps({"q": q, **more}))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def word(self) -> str:
        return str(self.ask()[1]["r"]).partition(" ")[0]

    def process_id(self) -> int:
        return int(self.ask()[1]["r"].rpartition(" ")[2])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@contextmanager
def running(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    source: Sequence[str] = ("--source", "flow"),
) -> Iterator[Served]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "headrace",
            "flow",
            "serve",
            *source,
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            *options,
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process)
    finally:
        process.terminate()
        process.wait(20)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
