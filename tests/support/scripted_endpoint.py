"""An endpoint on loopback that answers as a script says: statuses, headers, events, broken connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Said:
    """One answer; ``parts`` are sent one by one in chunks, and ``is_cut`` closes the connection after them."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[bytes] | None = None
    is_cut: bool = False
    is_silent: bool = False


@dataclass
class ScriptedEndpoint:
    url: str = ""
    script: list[Said] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def headers(self, position: int = -1) -> dict[str, str]:
        return self.asked[position][2]


@contextmanager
def scripted_endpoint(*script: Said) -> Iterator[ScriptedEndpoint]:
    """The last answer of the script is said again and again."""
    state = ScriptedEndpoint(script=list(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((self.command, self.path, headers, body))
            said = state.script.pop(0) if len(state.script) > 1 else state.script[0]
            if said.is_silent:
                state.ended.wait(10)
                self.close_connection = True
            elif said.is_cut and said.parts is None:
                self.close_connection = True
            elif said.parts is None:
                content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                self.begin(said, {"content-type": "application/json", "content-length": str(len(content))})
                self.wfile.write(content)
            else:
                self.begin(said, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
                for part in said.parts:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.close_connection = said.is_cut
                if not said.is_cut:
                    self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = answer  # noqa: N815 - names of the library

        def begin(self, said: Said, headers: Mapping[str, str]) -> None:
            self.send_response(said.status)
            for name, value in {**headers, **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
