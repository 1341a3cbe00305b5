"""The scripted client that ships."""

from __future__ import annotations

import asyncio

import pytest

from headrace.domain.run import Usage
from headrace.errors import Problem, RateLimitedError
from headrace.providers.base import ModelRequest, StreamChunk
from headrace.providers.fake import FakeModelClient, FakeReply

CHAT = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})
BUSY = RateLimitedError(Problem(code="P702", what="Busy."))


async def collect(client: FakeModelClient, chunks: list[StreamChunk]) -> None:
    async for chunk in client.stream(CHAT):
        chunks.append(chunk)  # noqa: PERF401 - the pieces before the error count


def test_script_is_followed_and_then_the_default() -> None:
    def echo(request: ModelRequest) -> FakeReply:
        return FakeReply(text=request.body["messages"][0]["content"])

    client = FakeModelClient([FakeReply(text="first", usage=(3, 4))], default=echo)

    async def session() -> list[str]:
        first = await client.send(CHAT)
        assert first.usage == Usage(calls=1, prompt_tokens=3, completion_tokens=4)
        return [
            response.body["choices"][0]["message"]["content"] for response in (first, await client.send(CHAT))
        ]

    assert asyncio.run(session()) == ["first", "hi"]
    assert client.requests == [CHAT, CHAT]


def test_completion_and_embeddings() -> None:
    client = FakeModelClient(default=FakeReply(text="t", vector=(0.5,)))
    completion = ModelRequest(operation="completion", model="m", body={"prompt": "p"})
    embeddings = ModelRequest(operation="embeddings", model="m", body={"input": ["a", "b"]})
    text = asyncio.run(client.send(completion)).body["choices"][0]["text"]
    data = asyncio.run(client.send(embeddings)).body["data"]
    assert (text, [item["embedding"] for item in data]) == ("t", [[0.5], [0.5]])


def test_delays_go_through_the_sleeper() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    client = FakeModelClient([FakeReply(text="a b", delay_s=2.0), FakeReply(delay_s=3.0)], sleep=sleep)
    asyncio.run(collect(client, []))
    asyncio.run(client.send(CHAT))
    assert waits == [2.0, 2.0, 3.0]


def test_stream_pieces_end_with_usage() -> None:
    chunks: list[StreamChunk] = []
    asyncio.run(collect(FakeModelClient([FakeReply(text="a b c", usage=(1, 3))]), chunks))
    assert [chunk.text for chunk in chunks] == ["a", " b", " c", ""]
    assert chunks[-1] == StreamChunk(
        usage=Usage(calls=1, prompt_tokens=1, completion_tokens=3), finish_reason="stop"
    )


def test_failures_of_answers_and_in_the_middle_of_streams() -> None:
    client = FakeModelClient([FakeReply(failure=BUSY), FakeReply(pieces=("a",), failure=BUSY)])
    with pytest.raises(RateLimitedError):
        asyncio.run(client.send(CHAT))
    chunks: list[StreamChunk] = []
    with pytest.raises(RateLimitedError):
        asyncio.run(collect(client, chunks))
    assert [chunk.text for chunk in chunks] == ["a"]


def test_close_is_remembered() -> None:
    client = FakeModelClient()
    asyncio.run(client.close())
    assert client.is_closed
