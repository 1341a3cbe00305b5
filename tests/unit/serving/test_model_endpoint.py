"""The OpenAI-compatible endpoint around a model client, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.errors import (
    ContentFilteredError,
    DefinitionError,
    HeadraceError,
    Problem,
    RateLimitedError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
    StateError,
    UsageError,
)
from headrace.providers.base import ModelClient, ModelRequest, StreamChunk
from headrace.providers.baseline_client import BaselineClient
from headrace.providers.fake import FakeModelClient, FakeReply
from headrace.providers.registry import open_client
from headrace.serving.model_endpoint import MAX_BODY_BYTES, run_model_server

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
CHAT = {"model": "any", "messages": MESSAGES}


@dataclass(frozen=True)
class Served:
    """A running endpoint."""

    url: str

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        raw, found = response.read(), {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        is_json = found.get("content-type", "").startswith("application/json")
        return response.status, json.loads(raw) if is_json else raw, found

    def post(self, body: Any = None, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, CHAT if body is None else body, named)[:2]


@contextmanager
def serving(client: ModelClient, **options: Any) -> Iterator[Served]:
    """The endpoint in a thread of its own."""
    ready = threading.Event()
    urls: list[str] = []
    loop = asyncio.new_event_loop()

    def announce(url: str) -> None:
        urls.append(url)
        ready.set()

    task = loop.create_task(run_model_server(client, "served", "127.0.0.1", 0, announce, **options))

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, name="model-endpoint")
    thread.start()
    assert ready.wait(10)
    try:
        yield Served(urls[0])
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


def test_chat_is_answered_by_the_one_served_model() -> None:
    client = FakeModelClient([FakeReply(text="Paris")])
    with serving(client) as served:
        status, body = served.post({**CHAT, "temperature": 0, "stream": False})
    assert (status, body["choices"][0]["message"]["content"]) == (200, "Paris")
    (request,) = client.requests
    assert (request.operation, request.model) == ("chat", "served")
    assert request.body == {"messages": MESSAGES, "temperature": 0, "stream": False}
    assert client.is_closed


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        ("/v1/completions", {"prompt": "p"}, "completion"),
        ("/v1/embeddings", {"input": "t"}, "embeddings"),
        ("/openai/deployments/my model/chat/completions?api-version=2024-02-01", CHAT, "chat"),
        ("/openai/deployments/d/embeddings?api-version=2024-02-01", {"input": ["t"]}, "embeddings"),
        ("/openai/v1/chat/completions", CHAT, "chat"),
    ],
)
def test_routes(path: str, body: dict[str, Any], operation: str) -> None:
    client = FakeModelClient()
    with serving(client) as served:
        status, _ = served.post(body, path.replace(" ", "%20"))
    assert (status, [request.operation for request in client.requests]) == (200, [operation])


def test_models_and_health() -> None:
    with serving(FakeModelClient(), api_key="k") as served:
        assert served.request("GET", "/health")[:2] == (200, {"status": "ok"})
        assert served.request("GET", "/v1/models")[0] == 401
        _, models, _ = served.request("GET", "/v1/models", headers={"Authorization": "Bearer k"})
    assert [model["id"] for model in models["data"]] == ["served"]


def test_stream_has_pieces_usage_and_an_end() -> None:
    client = FakeModelClient([FakeReply(text="one two", usage=(3, 2))])
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    with serving(client) as served:
        status, raw, headers = served.request("POST", "/v1/chat/completions", body)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == "one two"
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == "stop"


def test_openai_package_reads_every_kind_of_answer() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    script = [
        FakeReply(text="whole"),
        FakeReply(text="in pieces"),
        FakeReply(message={"content": None, "tool_calls": calls}, finish_reason="tool_calls"),
        FakeReply(text="text in pieces"),
        FakeReply(vector=(0.25, 0.5)),
    ]
    tools: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]

    async def session(url: str) -> list[Any]:
        async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
            whole = await client.chat.completions.create(model="m", messages=MESSAGES)
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            calling = await client.chat.completions.create(
                model="m", messages=MESSAGES, tools=tools, stream=True
            )
            named = [
                call.function.name
                async for chunk in calling
                for call in chunk.choices[0].delta.tool_calls or ()
                if call.function is not None
            ]
            completion = await client.completions.create(model="m", prompt="p", stream=True)
            text = [chunk.choices[0].text async for chunk in completion]
            vectors = await client.embeddings.create(model="m", input="t", encoding_format="float")
            return [
                whole.choices[0].message.content, "".join(pieces), named, "".join(text), vectors.data[0].embedding
            ]  # fmt: skip

    with serving(FakeModelClient(script)) as served:
        found = asyncio.run(session(served.url))
    assert found == ["whole", "in pieces", ["f"], "text in pieces", [0.25, 0.5]]


def test_our_own_client_reads_the_baseline_through_it() -> None:
    prompt: list[Any] = [
        {
            "role": "user",
            "content": "Context:\nThe headrace leads water to the wheel.\n\nQuestion: What leads water?",
        }
    ]
    request = ModelRequest(operation="chat", model="baseline", body={"messages": prompt})

    async def session(client: ModelClient) -> tuple[str, str]:
        response = await client.send(request)
        chunks: list[StreamChunk] = [chunk async for chunk in client.stream(request)]
        await client.close()
        return response.body["choices"][0]["message"]["content"], "".join(chunk.text for chunk in chunks)

    direct = asyncio.run(session(BaselineClient()))
    with serving(BaselineClient()) as served:
        connection = Connection(
            name="baseline",
            type="open_ai",
            configs={"base_url": served.url},
            secrets={"api_key": Secret(value="x")},
        )
        client = open_client(connection, lambda found, name: found.secrets[name].value, load_settings({}))
        assert asyncio.run(session(client)) == direct


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer the key"}, 200),
        ({"api_key": "the key"}, 200),
        ({"api_key": "thé key"}, 401),
    ],
)
def test_key_is_checked(headers: dict[str, str], status: int) -> None:
    with serving(FakeModelClient(), api_key="the key") as served:
        found, body = served.post(**headers)
    assert found == status
    if status == 401:
        assert body["error"]["type"] == "authentication_error"
        assert "the key" not in json.dumps(body)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{not json", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {}, 400),
        (b'{"messages": []}', {}, 400),
        (b'{"messages": [1]}', {"Content_Type": "text/plain"}, 415),
        (b" " * (MAX_BODY_BYTES + 1), {}, 413),
        (b'{"messages": [1]}', {"Host": "evil.example"}, 400),
    ],
)
def test_requests_that_are_refused(body: bytes, headers: dict[str, str], status: int) -> None:
    client = FakeModelClient()
    with serving(client) as served:
        assert served.post(body, **headers)[0] == status
    assert client.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/v1/completions", 405)]
)
def test_unknown_routes(method: str, path: str, status: int) -> None:
    with serving(FakeModelClient()) as served:
        found, body, _ = served.request(method, path)
    assert (found, "message" in body["error"]) == (status, True)


def problem(code: str) -> Problem:
    return Problem(code=code, what="What went wrong.", fix="Do this.")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (RateLimitedError(problem("P702"), retry_after_s=1.2), 429, "rate-limited"),
        (RemoteTimeoutError(problem("P704")), 504, "service-timeout"),
        (RemoteUnavailableError(problem("P703")), 502, "service-failed"),
        (RemoteUnavailableError(problem("P708")), 503, "unreachable"),
        (RemoteRequestError(problem("P705")), 400, "request-refused"),
        (RemoteRequestError(problem("P707")), 502, "bad-answer"),
        (ContentFilteredError(problem("P706")), 400, "content_filter"),
        (DefinitionError(problem("C503")), 500, "missing-secret"),
    ],
)
def test_failures_of_the_model(failure: HeadraceError, status: int, code: str, is_stream: bool) -> None:
    def fail(_: ModelRequest) -> FakeReply:
        raise failure

    with serving(FakeModelClient(default=fail)) as served:
        found, body, headers = served.request("POST", "/v1/chat/completions", {**CHAT, "stream": is_stream})
    assert (found, body["error"]["code"]) == (status, code)
    assert body["error"]["message"] == "What went wrong. Do this."
    if status == 429:
        assert headers["retry-after"] == "2"


def test_failure_in_the_middle_of_a_stream_is_said_in_the_stream() -> None:
    reply = FakeReply(pieces=("a",), failure=RemoteUnavailableError(problem("P703")))
    with serving(FakeModelClient([reply])) as served:
        status, raw = served.post({**CHAT, "stream": True})
    assert status == 200
    assert b"service-failed" in raw
    assert b"[DONE]" not in raw


def test_address_that_others_reach_needs_a_key() -> None:
    with pytest.raises(UsageError) as caught:
        asyncio.run(run_model_server(FakeModelClient(), "m", "0.0.0.0", 0, print))
    assert caught.value.problems[0].code == "C507"
    assert "HEADRACE_MODEL_API_KEY" in (caught.value.problems[0].fix or "")


def test_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateError, match=str(port)):
            asyncio.run(run_model_server(FakeModelClient(), "m", "127.0.0.1", port, print))


def test_many_at_once() -> None:
    done: list[int] = []

    def work(post: Callable[..., tuple[int, Any]]) -> None:
        done.append(post()[0])

    with serving(FakeModelClient()) as served:
        threads = [threading.Thread(target=work, args=(served.post,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert done == [200] * 16
