"""A web server on loopback that answers what a test tells it and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class WebServer:
    """``answers`` are given one after the other, the last one again and again; a redirect's text is where it leads."""

    url: str
    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "{}")])
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def web_server(*, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server for the block; with ``tls`` it speaks HTTPS."""
    state = WebServer(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append(Asked(method, self.path, headers, body))
            status, text = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status in range(300, 400):
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"{'http' if tls is None else 'https'}://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
