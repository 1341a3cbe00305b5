"""Connections on which nothing happens, that never come to an end, or that offer to be something else."""

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


N_OFFERS = 40
OFFER = (
    "host: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
)


@pytest.mark.parametrize("n_together", [1, 30, 100_000])
@pytest.mark.parametrize(
    "form", ["content-length: 12\r\n\r\n{body}", "transfer-encoding: chunked\r\n\r\nc\r\n{body}\r\n0\r\n\r\n"]
)
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(
    tmp_path: Path, form: str, n_together: int
) -> None:
    offering = f"POST /score HTTP/1.1\r\n{OFFER}{form}".format(body='{"q": "ask"}')
    last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    sent = (offering * N_OFFERS + last).encode()
    with serving(tmp_path, ONE, ["."]) as endpoint:
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(sent), n_together):
                connection.sendall(sent[at : at + n_together])
            answers = connection.makefile("rb").read()
        websocket = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "a2V5"}
        assert endpoint.ask("GET", "/score", headers=websocket).status == 404
        assert endpoint.ask("CONNECT", "/score").status in (400, 404)
    assert answers.count(b"HTTP/1.1 200 OK") == N_OFFERS + 1
    assert answers.count(b'{"r":"<ask>"}') == N_OFFERS
