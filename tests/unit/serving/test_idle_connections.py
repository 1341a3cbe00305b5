"""Connections on which nothing happens, or that never come to an end."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /",
        b"POST /score HTTP/1.1\r\nx: ",
        b"POST /score HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx: ",
        b"POST /score HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["address", "field", "field after the body", "extension of a chunk"],
)
def test_a_head_that_never_ends_ends_the_connection(tmp_path: Path, begun: bytes) -> None:
    with serving(tmp_path, ONE, ["."]) as endpoint:
        connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=10)
        connection.sendall(begun)
        with connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"x" * 50_000_000)
        assert endpoint.ask("POST", "/score", {"q": "a"}).body == {"r": "<a>"}


def test_a_large_body_in_small_chunks_is_no_head(tmp_path: Path) -> None:
    body = b'{"q": "' + b"a" * 60_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = (
        b"POST /score HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with serving(tmp_path, ONE, ["."]) as endpoint:
        connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=10)
        with connection:
            connection.sendall(head + chunks)
            assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
