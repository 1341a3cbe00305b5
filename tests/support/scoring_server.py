"""A flow behind an address on loopback: it answers /score as a test says and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    inputs: Any


@dataclass
class ScoringServer:
    """``answer`` is given the inputs and how often it was asked before; ``version`` is what /version says."""

    url: str = ""
    answer: Callable[[Any, int], Answer] = lambda inputs, _: Answer(inputs)
    version: str | None = None
    asked: list[Asked] = field(default_factory=list)
    n_versions: int = 0


@contextmanager
def scoring_server() -> Iterator[ScoringServer]:
    state = ScoringServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.n_versions += 1
            known = state.version is not None and self.path == "/version"
            self._send(Answer({"version": state.version}, 200 if known else 404))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                before = len(state.asked)
                state.asked.append(Asked(self.path, headers, json.loads(body)))
            self._send(state.answer(state.asked[before].inputs, before))

        def _send(self, answer: Answer) -> None:
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the client has given up
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/score"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
