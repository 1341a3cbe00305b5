"""Connections of the wire client over loopback: answers that stall are cut, connections are kept and replaced."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.errors import RemoteTimeoutError
from headrace.providers.base import ModelClient, ModelRequest, ModelResponse
from headrace.providers.quota import Quota
from headrace.providers.registry import open_client

REQUEST = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})
BODY = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
EVENT = (
    b"data: " + json.dumps({**CHUNK, "choices": [{"index": 0, "delta": {"content": "o"}}]}).encode() + b"\n\n"
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
IDLE_S = 0.3

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is closed when it raises ``ConnectionError``."""


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + BODY)


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + BODY[:20])
    await asyncio.Event().wait()


async def half_a_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM + b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
    await asyncio.Event().wait()


async def slow(writer: asyncio.StreamWriter) -> None:
    """Longer in all than an answer may be silent, but never silent for so long."""
    writer.write(HEAD)
    step = len(BODY) // 8 + 1
    for start in range(0, len(BODY), step):
        await asyncio.sleep(IDLE_S / 4)
        writer.write(BODY[start : start + step])


async def last(writer: asyncio.StreamWriter) -> None:
    """An answer after which the server closes the connection, without having said so."""
    writer.write(HEAD + BODY)
    raise ConnectionError


async def none(writer: asyncio.StreamWriter) -> None:
    """Closed when the request arrives, as where both happen at once."""
    writer.transport.abort()
    raise ConnectionError


class Server:
    """Gives the answers one after the other, over whatever connections."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = iter(answers)
        self.n_connections = 0
        self.n_requests = 0
        self.n_closed = 0
        self.has_closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.n_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(
                    int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                )
                self.n_requests += 1
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.n_closed += 1
            self.has_closed.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering = asyncio.ensure_future(next(self.answers)(writer))
        gone = asyncio.ensure_future(reader.read(1))  # the client sends nothing more before it has its answer
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            gone.cancel()
            await asyncio.wait([gone])
            answering.result()
        else:
            answering.cancel()
            raise ConnectionError


Work = Callable[[ModelClient, Server], Awaitable[Any]]


def run(answers: Sequence[Answer], work: Work, **environment: str) -> Any:
    """What ``work`` returns."""

    async def session() -> Any:
        server = Server(answers)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        settings = load_settings({"HEADRACE_IDLE_TIMEOUT_S": str(IDLE_S), **environment})
        connection = Connection(
            name="raw", type="open_ai", configs={"base_url": f"http://127.0.0.1:{port}/v1"}
        )
        client = open_client(connection, lambda *_: "key", settings, Quota(settings))
        try:
            async with asyncio.timeout(30):
                return await work(client, server)
        finally:
            await client.close()
            listening.close()

    return asyncio.run(session())


async def send(client: ModelClient, _: Server) -> ModelResponse:
    return await client.send(REQUEST)


def text_of(answer: ModelResponse) -> str:
    return str(answer.body["choices"][0]["message"]["content"])


async def stream(client: ModelClient, _: Server) -> list[str | None]:
    return [chunk.text async for chunk in client.stream(REQUEST)]


@pytest.mark.parametrize(("answer", "work"), [(half, send), (half_a_stream, stream)])
def test_answer_that_stalls_in_the_middle_is_cut(answer: Answer, work: Work) -> None:
    began = time.monotonic()

    async def cut(client: ModelClient, server: Server) -> int:
        with pytest.raises(RemoteTimeoutError) as caught:
            await work(client, server)
        problem = caught.value.problems[0]
        assert problem.code == "P704"
        assert "127.0.0.1" in problem.what
        assert problem.what.endswith(f'for model "m" stalled for {IDLE_S} s.')
        await server.has_closed.wait()  # its connection is not kept
        return server.n_requests

    assert run([answer] * 2, cut, HEADRACE_MAX_RETRIES="0") == 1
    assert IDLE_S <= time.monotonic() - began < 10


def test_answer_that_stalls_is_asked_for_again_on_another_connection() -> None:
    async def work(client: ModelClient, server: Server) -> tuple[str, int, int]:
        answer = await client.send(REQUEST)
        return text_of(answer), answer.retries, server.n_connections

    assert run([half, whole], work) == ("ok", 1, 2)


def test_answer_that_is_slow_but_steady_is_not_cut() -> None:
    assert text_of(run([slow], send, HEADRACE_MAX_RETRIES="0")) == "ok"


def test_requests_one_after_the_other_share_a_connection() -> None:
    async def work(client: ModelClient, server: Server) -> tuple[int, int]:
        for _ in range(5):
            await client.send(REQUEST)
        return server.n_requests, server.n_connections

    assert run([whole, slow, whole, whole, whole], work, HEADRACE_MAX_RETRIES="0") == (5, 1)


def test_connection_that_was_closed_while_idle_is_replaced() -> None:
    async def work(client: ModelClient, server: Server) -> tuple[int, int, int]:
        await client.send(REQUEST)
        await server.has_closed.wait()
        await asyncio.sleep(0.05)  # until the end of the connection has come over the wire
        answer = await client.send(REQUEST)
        return answer.retries, server.n_requests, server.n_connections

    assert run([last, whole], work, HEADRACE_MAX_RETRIES="0") == (0, 2, 2)


def test_connection_that_is_closed_as_the_request_arrives_fails_no_request() -> None:
    async def work(client: ModelClient, server: Server) -> tuple[str, int, int]:
        await client.send(REQUEST)
        answer = await client.send(REQUEST)
        return text_of(answer), answer.retries, server.n_connections

    assert run([whole, none, whole], work) == ("ok", 1, 2)
