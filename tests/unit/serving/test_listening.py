"""The socket that a server listens on."""

from __future__ import annotations

import socket

import pytest

from headrace.errors import StateError
from headrace.serving.server import bind


def test_connections_send_an_answer_at_once() -> None:
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        connected = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted, connected:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nobody_is_let_in_before_the_server_can_answer() -> None:
    with bind("127.0.0.1", 0) as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname())


def test_an_address_that_somebody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StateError) as caught:
        bind("127.0.0.1", other.getsockname()[1])
    assert caught.value.problems[0].code == "S809"
