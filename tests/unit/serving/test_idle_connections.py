"""Connections on which nothing happens."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tests.support.endpoint import serving

ONE = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: prompt, source: {type: code, path: a.jinja2}, inputs: {q: "${inputs.q}"}}
""",
    "a.jinja2": "<{{q}}>",
}


def test_a_connection_that_never_sends_a_whole_request_is_closed_and_others_go_on(tmp_path: Path) -> None:
    with serving(tmp_path, ONE, ["."], environment={"HEADRACE_SERVE_IDLE_S": "0.5"}) as endpoint:
        silent = socket.create_connection(("127.0.0.1", endpoint.port), timeout=10)
        slow = socket.create_connection(("127.0.0.1", endpoint.port), timeout=10)
        slow.sendall(b"POST /score HTTP/1.1\r\nHost: local")
        for connection in (silent, slow):
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(10) == b""
            connection.close()
        assert endpoint.ask("POST", "/score", {"q": "a"}).body == {"r": "<a>"}
