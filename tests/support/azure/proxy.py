"""A proxy on loopback that ends TLS itself, so that unmodified clients of Azure talk to the stand-in.

``CONNECT host:443`` is answered and then treated as if the host were here. Requests with a whole URL (``GET
http://169.254.169.254/…``) are taken as well, since the metadata service of virtual machines speaks plain HTTP.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.azure.authority import Authority
from tests.support.azure.messages import Drop, Request, Response

Answer = Callable[[Request], Response]


class Proxy:
    """Serves from a thread of its own until it is closed.

    Args:
        answer: What answers each request; it may raise :class:`Drop`.
        authority: Makes the certificates of hosts.
        port: 0 for a free one.
    """

    def __init__(self, answer: Answer, authority: Authority, port: int = 0) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        connection_class = type("_Bound", (_Connection,), {"proxy": self, "answer": staticmethod(answer)})
        self.authority = authority
        self._server = _Server(("127.0.0.1", port), connection_class)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def note(self, connection: socket.socket) -> None:
        """A connection is open."""
        with self._lock:
            self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        """It is not open any more."""
        with self._lock:
            self._open.discard(connection)

    def close(self) -> None:
        """Stop listening and end the connections that are left."""
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to print."""


class _Connection(BaseHTTPRequestHandler):
    proxy: Proxy
    answer: Answer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _host = ""
    _is_secure = False

    def setup(self) -> None:
        super().setup()
        self.proxy.note(self.connection)

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
        self.proxy.forget(self.connection)
        with suppress(OSError):
            self.connection.close()

    def handle(self) -> None:
        with suppress(ConnectionError, ssl.SSLError, TimeoutError, ValueError):
            super().handle()

    def do_CONNECT(self) -> None:
        self._host = self.path.rpartition(":")[0].strip("[]").lower()
        self._is_secure = True
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self.proxy.forget(self.connection)
        context = self.proxy.authority.context(self._host)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.proxy.note(self.connection)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def _serve(self) -> None:
        target, host, scheme = self.path, self._host, "https"
        if not self._is_secure:
            parts = urlsplit(self.path)
            host, scheme = (parts.hostname or "").lower(), "http"
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._read_body(headers)
        request = Request(
            method=self.command, scheme=scheme, host=host, target=target, headers=headers, body=body
        )
        try:
            self._write(self.answer(request))
        except Drop:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every other method, ``do_GET``, ``do_PUT``, …, is served alike."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._serve

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _write(self, response: Response) -> None:
        names = {name.lower() for name in response.headers}
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if isinstance(response.body, bytes):
            if "content-length" not in names and response.status not in (204, 304):
                self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._write_pieces(response.body)

    def _write_pieces(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
