"""One suite over every model client that speaks HTTP, against the loopback model server.

Each test runs with both adapters and, where the wire differs, with every kind of connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificate import make_certificate
from tests.support.model_server import (
    ModelServer,
    Reply,
    answer,
    broken,
    error,
    hang,
    not_json,
    tool_call,
)

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.domain.run import Usage
from headrace.errors import (
    AccessDeniedError,
    ContentFilteredError,
    DefinitionError,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)
from headrace.providers.base import ModelClient, ModelRequest, ModelResponse, StreamChunk
from headrace.providers.quota import Quota
from headrace.providers.registry import open_client

SHORT_MINUTE_S = 0.6
KEY = "key-that-must-stay-secret"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of Francé?"}]
CHAT = ModelRequest(
    operation="chat", model="some model", body={"messages": MESSAGES, "temperature": 0.5, "top_p": 1.0}
)
COMPLETION = ModelRequest(operation="completion", model="m", body={"prompt": "Once upon", "max_tokens": 16})
EMBEDDINGS = ModelRequest(
    operation="embeddings", model="m", body={"input": ["a", "b"], "encoding_format": "float"}
)


@dataclass
class Waits:
    """A sleeper that does not sleep, and what it was asked for."""

    seconds: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@dataclass
class Bench:
    """Opens clients of one adapter and closes them."""

    adapter: str
    quota: Quota | None = None
    waits: Waits = field(default_factory=Waits)

    def run(
        self,
        connection: Connection,
        work: Callable[[ModelClient], Awaitable[Any]],
        **environment: str,
    ) -> Any:
        settings = load_settings({"HEADRACE_MODEL_CLIENT": self.adapter, **environment})

        async def session() -> Any:
            client = open_client(
                connection,
                lambda found, name: found.secrets[name].value if name in found.secrets else None,
                settings,
                self.quota or Quota(settings, minute_s=SHORT_MINUTE_S),
                sleep=self.waits.sleep,
                jitter=lambda: 1.0,
                clock=lambda: 1_700_000_000.0,
            )
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(session())

    def send(self, connection: Connection, request: ModelRequest = CHAT, **environment: str) -> ModelResponse:
        response: ModelResponse = self.run(connection, lambda client: client.send(request), **environment)
        return response

    def stream(
        self, connection: Connection, request: ModelRequest = CHAT, **environment: str
    ) -> list[StreamChunk]:
        async def collect(client: ModelClient) -> list[StreamChunk]:
            return [chunk async for chunk in client.stream(request)]

        chunks: list[StreamChunk] = self.run(connection, collect, **environment)
        return chunks


@pytest.fixture(params=["wire", "openai"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(adapter=request.param)


def open_ai(server: ModelServer, **configs: str) -> Connection:
    return Connection(
        name="shop",
        type="open_ai",
        configs={"base_url": server.base_url, **configs},
        secrets={"api_key": Secret(value=KEY)},
        origin="connections/shop.yaml",
    )


def azure(server: ModelServer, path: str = "/", **configs: str) -> Connection:
    return Connection(
        name="my_aoai",
        type="azure_open_ai",
        configs={"api_base": server.url + path, "api_version": "2024-10-21", **configs},
        secrets={"api_key": Secret(value=KEY)},
        origin="connections/my_aoai.yaml",
    )


def serverless(server: ModelServer) -> Connection:
    return Connection(
        name="less",
        type="serverless",
        configs={"api_base": server.url},
        secrets={"api_key": Secret(value=KEY)},
        origin="connections/less.yaml",
    )


def chunk_texts(chunks: list[StreamChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


# --- what reaches the service -------------------------------------------------------------------------------


WIRE_CASES = {
    "openai": (open_ai, "/v1/chat/completions", {}, {"authorization": f"Bearer {KEY}"}),
    "serverless": (serverless, "/v1/chat/completions", {}, {"authorization": f"Bearer {KEY}"}),
    "azure": (
        azure,
        "/openai/deployments/some model/chat/completions",
        {"api-version": "2024-10-21"},
        {"api-key": KEY},
    ),
    "azure v1": (
        lambda server: azure(server, "/openai/v1/"),
        "/openai/v1/chat/completions",
        {},
        {"authorization": f"Bearer {KEY}"},
    ),
}


@pytest.mark.parametrize("case", WIRE_CASES)
def test_request_has_the_path_query_body_and_key_of_its_connection(bench: Bench, case: str) -> None:
    make, path, query, key_header = WIRE_CASES[case]
    with ModelServer() as server:
        bench.send(make(server))
    (request,) = server.requests
    keys = {name: request.headers[name] for name in ("authorization", "api-key") if name in request.headers}
    assert (request.method, request.path, request.query, keys) == ("POST", path, query, key_header)
    assert request.body == {**CHAT.body, "model": "some model"}
    assert request.headers["content-type"] == "application/json"


def test_organization_and_extra_headers_are_sent(bench: Bench) -> None:
    request = ModelRequest(operation="chat", model="m", body={"messages": []}, headers={"x-caller": "tests"})
    with ModelServer() as server:
        bench.send(open_ai(server, organization="org-7"), request)
    headers = server.requests[0].headers
    assert (headers["openai-organization"], headers["x-caller"]) == ("org-7", "tests")


def test_local_service_without_a_key_gets_no_authorization(bench: Bench) -> None:
    with ModelServer() as server:
        connection = Connection(name="ollama", type="open_ai", configs={"base_url": server.base_url})
        bench.send(connection)
    assert not {"authorization", "api-key"} & set(server.requests[0].headers)


def test_nothing_is_taken_from_the_packages_own_variables(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.setenv(name, "from-the-environment")
    with ModelServer() as server:
        bench.send(open_ai(server))
        bench.send(azure(server))
    assert "from-the-environment" not in repr([request.headers for request in server.requests])


def test_request_goes_through_the_proxy_of_the_environment(bench: Bench) -> None:
    connection = Connection(name="far", type="open_ai", configs={"base_url": "http://model.invalid/v1"})
    with ModelServer([answer("through")]) as proxy:
        response = bench.send(connection, HTTP_PROXY=proxy.url)
    assert response.body["choices"][0]["message"]["content"] == "through"
    assert (proxy.requests[0].headers["host"], proxy.requests[0].path) == (
        "model.invalid",
        "/v1/chat/completions",
    )


def test_key_with_a_line_break_at_its_end_is_sent_without_it(bench: Bench) -> None:
    with ModelServer() as server:
        connection = open_ai(server)
        bench.send(replace(connection, secrets={"api_key": Secret(value=f"{KEY}\r\n")}))
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_key_that_no_header_can_hold(bench: Bench, key: str) -> None:
    with ModelServer() as server:
        connection = replace(open_ai(server), secrets={"api_key": Secret(value=key)})
        with pytest.raises(DefinitionError) as caught:
            bench.send(connection)
    assert caught.value.problems[0].code == "C502"
    assert key not in str(caught.value)


def test_half_a_surrogate_pair_in_a_prompt_is_sent_escaped() -> None:
    request = ModelRequest(
        operation="chat", model="m", body={"messages": [{"role": "user", "content": "\ud83d x"}]}
    )
    with ModelServer() as server:
        Bench(adapter="wire").send(open_ai(server), request)
    assert server.requests[0].body["messages"][0]["content"] == "\ud83d x"


# --- what comes back ----------------------------------------------------------------------------------------


def test_chat_answer(bench: Bench) -> None:
    with ModelServer([answer("Paris", usage=(17, 2))]) as server:
        response = bench.send(open_ai(server))
    assert response.body["choices"][0]["message"] == {"role": "assistant", "content": "Paris"}
    assert response.usage == Usage(calls=1, prompt_tokens=17, completion_tokens=2)
    assert (response.model, response.response_id) == ("some model", "fake-1")
    assert (response.finish_reasons, response.retries) == (("stop",), 0)


def test_tool_call_answer_is_unchanged(bench: Bench) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    request = ModelRequest(operation="chat", model="m", body={"messages": MESSAGES, "tools": tools})
    with ModelServer([tool_call("add", {"numbers": [1, 2]})]) as server:
        response = bench.send(open_ai(server), request)
    assert server.requests[0].body["tools"] == tools
    message = response.body["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"numbers": [1, 2]}
    assert response.finish_reasons == ("tool_calls",)


def test_completion_answer(bench: Bench) -> None:
    with ModelServer([answer(" a time")]) as server:
        response = bench.send(open_ai(server), COMPLETION)
    assert server.requests[0].path == "/v1/completions"
    assert response.body["choices"][0]["text"] == " a time"


@pytest.mark.parametrize("make", [open_ai, azure], ids=["openai", "azure"])
def test_embeddings_answer(bench: Bench, make: Callable[[ModelServer], Connection]) -> None:
    with ModelServer([Reply(vector=(0.5, 1.5), usage=(9, 0))]) as server:
        response = bench.send(make(server), EMBEDDINGS)
    assert [item["embedding"] for item in response.body["data"]] == [[0.5, 1.5], [0.5, 1.5]]
    assert response.usage == Usage(calls=1, prompt_tokens=9, completion_tokens=0)


def test_client_says_where_requests_go(bench: Bench) -> None:
    async def describe(client: ModelClient) -> tuple[str, str | None, int | None]:
        return client.system, client.address, client.port

    with ModelServer() as server:
        assert bench.run(open_ai(server), describe) == ("openai", "127.0.0.1", server.port)
        assert bench.run(azure(server), describe) == ("azure.ai.openai", "127.0.0.1", server.port)


def test_connections_are_kept_and_shared(bench: Bench) -> None:
    async def work(client: ModelClient) -> None:
        for _ in range(3):
            await client.send(CHAT)
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(client.send(CHAT))

    with ModelServer() as server:
        bench.run(open_ai(server), work)
    assert len(server.requests) == 11
    assert server.n_connections <= 8


def test_as_many_requests_are_in_flight_as_are_sent(bench: Bench) -> None:
    async def work(client: ModelClient) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(130):
                group.create_task(client.send(CHAT))

    with ModelServer(delay_s=0.5) as server:
        bench.run(open_ai(server), work)
    assert server.n_connections == 130


# --- streams ------------------------------------------------------------------------------------------------


def test_stream_arrives_in_pieces(bench: Bench) -> None:
    request = ModelRequest(
        operation="chat", model="m", body={"messages": MESSAGES, "stream_options": {"include_usage": True}}
    )
    with ModelServer([answer("Paris is the capital.", usage=(5, 4))]) as server:
        chunks = bench.stream(open_ai(server), request)
    assert server.requests[0].body["stream"] is True
    assert [chunk.text for chunk in chunks if chunk.text] == ["Paris", " is", " the", " capital."]
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [
        Usage(calls=1, prompt_tokens=5, completion_tokens=4)
    ]


def test_stream_of_an_azure_deployment(bench: Bench) -> None:
    with ModelServer([answer("one two")]) as server:
        chunks = bench.stream(azure(server))
    assert server.requests[0].path == "/openai/deployments/some model/chat/completions"
    assert chunk_texts(chunks) == "one two"


def test_stream_is_retried_before_its_first_piece(bench: Bench) -> None:
    with ModelServer([error(500), error(429, retry_after_s=0.02), answer("late")]) as server:
        first, *rest = bench.stream(open_ai(server))
    assert chunk_texts([first, *rest]) == "late"
    assert bench.waits.seconds == pytest.approx([0.5])
    assert first.retries == 2
    assert first.waited_s >= 0.02


def test_stream_that_breaks_in_the_middle_is_not_sent_again(bench: Bench) -> None:
    with ModelServer([Reply(text="one two three four", fault="cut")]) as server:
        with pytest.raises(RemoteUnavailableError) as caught:
            bench.stream(open_ai(server))
        assert len(server.requests) == 1
    assert caught.value.problems[0].code == "P703"


def test_stream_with_an_error_in_the_middle(bench: Bench) -> None:
    events = b'data: {"choices":[{"delta":{"content":"be"}}]}\n\ndata: {"error":{"code":"overloaded"}}\n\n'
    reply = Reply(body=events, headers={"Content-Type": "text/event-stream"})
    pieces: list[str] = []

    async def collect(client: ModelClient) -> None:
        async for chunk in client.stream(CHAT):
            pieces.append(chunk.text)  # noqa: PERF401 - the pieces before the error count

    with ModelServer([reply]) as server, pytest.raises(RemoteUnavailableError, match="overloaded"):
        bench.run(open_ai(server), collect)
    assert pieces == ["be"]


def test_stream_that_is_no_stream(bench: Bench) -> None:
    with ModelServer([not_json()]) as server, pytest.raises(RemoteRequestError) as caught:
        bench.stream(open_ai(server))
    assert caught.value.problems[0].code == "P707"


def test_stream_with_an_event_that_is_not_json(bench: Bench) -> None:
    reply = Reply(body=b"data: {oops\n\n", headers={"Content-Type": "text/event-stream"})
    with ModelServer([reply]) as server, pytest.raises(RemoteRequestError) as caught:
        bench.stream(open_ai(server))
    assert caught.value.problems[0].code == "P707"


def test_reader_that_stops_early_closes_the_connection(bench: Bench) -> None:
    async def first(client: ModelClient) -> str:
        stream = client.stream(CHAT)
        async with contextlib.aclosing(stream) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if chunk.text:
                    return chunk.text
        return ""

    with ModelServer([Reply(text="one two three", piece_delay_s=0.02)]) as server:
        assert bench.run(open_ai(server), first) == "one"


# --- failures -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    reply: Reply
    kind: type[RemoteError]
    code: str
    what: str
    fix: str
    attempts: int = 1
    make: Callable[[ModelServer], Connection] = open_ai


RETRIES = 2
FAILURES = {
    "401": Failure(
        error(401, "invalid_api_key", message=f"Incorrect API key provided: {KEY}"),
        AccessDeniedError, "P701", "401 invalid_api_key", "connections/shop.yaml",
    ),
    "403": Failure(error(403), AccessDeniedError, "P701", "403", "SHOP_API_KEY"),
    "404 deployment": Failure(
        error(404, "DeploymentNotFound"),
        RemoteRequestError, "P705", "DeploymentNotFound", "deployment_name", make=azure,
    ),
    "404 model": Failure(error(404, "model_not_found"), RemoteRequestError, "P705", "404", "some model"),
    "400 parameter": Failure(
        error(400, "unsupported_parameter", detail={"param": "max_tokens"}),
        RemoteRequestError, "P705", "parameter max_tokens", "max_tokens",
    ),
    "400 length": Failure(
        error(400, "context_length_exceeded"), RemoteRequestError, "P705", "context_length", "Shorten"
    ),
    "400 in no form": Failure(
        Reply(status=400, body={"detail": "a sentence with the prompt"}),
        RemoteRequestError, "P705", "answered 400 for", "inputs",
    ),
    "400 filter": Failure(
        error(
            400, "content_filter",
            detail={"innererror": {"content_filter_result": {"violence": {"filtered": True},
                                                             "hate": {"filtered": False}}}},
        ),
        ContentFilteredError, "P706", "(violence)", "violence",
    ),
    "filtered answer": Failure(
        Reply(text="", finish_reason="content_filter"), ContentFilteredError, "P706", "content filter", "prompt"
    ),
    "302": Failure(
        Reply(status=302, headers={"Location": "http://127.0.0.1:9/elsewhere"}, body=b""),
        RemoteRequestError, "P705", "302", "redirects",
    ),
    "422": Failure(error(422), RemoteRequestError, "P705", "422", "inputs", attempts=3),
    "429 quota": Failure(
        error(429, "insufficient_quota"), RateLimitedError, "P702", "insufficient_quota", "billing"
    ),
    "408": Failure(error(408), RemoteTimeoutError, "P704", "408", "HEADRACE_MODEL_TIMEOUT_S", attempts=3),
    "500": Failure(error(500, "internal_error"), RemoteUnavailableError, "P703", "500", "again", attempts=3),
    "503 page": Failure(
        Reply(status=503, body=b"<html>busy</html>"), RemoteUnavailableError, "P703", "503", "again", attempts=3
    ),
    "broken": Failure(broken(), RemoteUnavailableError, "P703", "broke", "again", attempts=3),
    "cut": Failure(Reply(fault="cut"), RemoteUnavailableError, "P703", "broke", "again", attempts=3),
    "hang": Failure(
        hang(), RemoteTimeoutError, "P704", "within 1 s", "HEADRACE_MODEL_TIMEOUT_S", attempts=3
    ),
    "not json": Failure(not_json(), RemoteRequestError, "P707", "JSON object", "/v1"),
    "broken json": Failure(
        Reply(body=b'{"choices": [', headers={"Content-Type": "application/json"}),
        RemoteRequestError, "P707", "JSON object", "/v1",
    ),
    "json list": Failure(Reply(body=[1]), RemoteRequestError, "P707", "JSON object", "/v1"),
    "no choices": Failure(Reply(body={"status": "ok"}), RemoteRequestError, "P707", "no choices", "/v1"),
    "empty choices": Failure(Reply(body={"choices": []}), RemoteRequestError, "P707", "no choices", "/v1"),
    "no message": Failure(
        Reply(body={"choices": [{"index": 0}]}), RemoteRequestError, "P707", "no message", "/v1"
    ),
    "error with status 200": Failure(
        Reply(body={"error": {"code": "model_overloaded"}}),
        RemoteRequestError, "P707", "model_overloaded", "/v1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_failure_becomes_its_problem_after_its_attempts(bench: Bench, case: str) -> None:
    failure = FAILURES[case]
    timeout_s = "1" if failure.reply == hang() else "60"
    with ModelServer(default=failure.reply) as server:
        with pytest.raises(RemoteError) as caught:
            bench.send(
                failure.make(server), HEADRACE_MODEL_TIMEOUT_S=timeout_s, HEADRACE_MAX_RETRIES=str(RETRIES)
            )
        assert len(server.requests) == failure.attempts
    (problem,) = caught.value.problems
    assert (type(caught.value), problem.code) == (failure.kind, failure.code)
    assert failure.what in problem.what
    assert failure.fix in (problem.fix or "")
    assert len(bench.waits.seconds) == failure.attempts - 1
    said = json.dumps(problem.to_json())
    assert KEY not in said
    assert "sentence" not in said


def test_embeddings_answer_without_data(bench: Bench) -> None:
    with (
        ModelServer([Reply(body={"choices": []})]) as server,
        pytest.raises(RemoteRequestError, match="no data"),
    ):
        bench.send(open_ai(server), EMBEDDINGS)


def test_retries_are_counted_on_the_answer(bench: Bench) -> None:
    script = [error(500), broken(), error(429, retry_after_s=0.02), answer("at last")]
    with ModelServer(script) as server:
        response = bench.send(open_ai(server))
    assert response.retries == 3
    assert response.waited_s >= 0.02
    assert response.body["choices"][0]["message"]["content"] == "at last"
    assert bench.waits.seconds == pytest.approx([0.5, 1.0])


def test_refusals_for_the_quota_are_not_counted_as_retries(bench: Bench) -> None:
    refused = Reply(status=429, headers={"retry-after-ms": "1", "Retry-After": "9"}, body={})
    with ModelServer([refused, refused, refused, answer("x")]) as server:
        response = bench.send(open_ai(server), HEADRACE_MAX_RETRIES="0")
    assert response.retries == 3
    assert bench.waits.seconds == []


def test_refusals_for_the_quota_end_with_the_wait_for_it(bench: Bench) -> None:
    with ModelServer(default=error(429, "rate_limit_exceeded")) as server:
        with pytest.raises(RateLimitedError) as caught:
            bench.send(open_ai(server), HEADRACE_QUOTA_WAIT_S="0.05")
        assert len(server.requests) > 1
    (problem,) = caught.value.problems
    assert problem.code == "P702"
    assert "429 rate_limit_exceeded" in problem.what
    assert "HEADRACE_QUOTA_WAIT_S" in (problem.fix or "")
    assert any("attempts were made" in detail for detail in problem.detail)


def test_a_day_that_a_service_asks_for_is_not_waited_out(bench: Bench) -> None:
    with ModelServer(default=error(429, retry_after_s=86_400)) as server:
        with pytest.raises(RateLimitedError):
            bench.send(open_ai(server))
        assert len(server.requests) == 1


@pytest.mark.parametrize("is_streamed", [False, True])
def test_limits_that_an_answer_states(bench: Bench, *, is_streamed: bool) -> None:
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "89000",
    }
    bench.quota = Quota(load_settings({}))
    with ModelServer(default=Reply(text="a b", headers=headers)) as server:
        if is_streamed:
            bench.stream(azure(server))
        else:
            bench.send(azure(server))
        address = server.url.removeprefix("http://")
    (use,) = bench.quota.snapshot()
    assert (use.service, use.model, use.sent, use.refused) == (address, "some model", 1, 0)
    assert (use.requests_per_minute, use.tokens_per_minute) == (600, 90_000)


@pytest.mark.parametrize(
    "reply",
    [Reply(text="a b c"), error(400), broken(), answer("no stream")],
    ids=["served", "bad", "broken", "odd"],
)
def test_place_of_a_request_is_free_when_it_is_over(bench: Bench, reply: Reply) -> None:
    bench.quota = Quota(load_settings({}))

    async def ask(client: ModelClient) -> list[int]:
        found = []
        for is_streamed in (False, True):
            with contextlib.suppress(RemoteError):
                if not is_streamed:
                    await client.send(CHAT)
                    continue
                stream = client.stream(CHAT)
                async with contextlib.aclosing(stream) as chunks:  # type: ignore[type-var]
                    async for _ in chunks:
                        assert bench.quota is not None
                        found.append(bench.quota.snapshot()[0].in_flight)
                        break  # nobody reads it to its end
        return found

    with ModelServer(default=reply) as server:
        found = bench.run(open_ai(server), ask, HEADRACE_MAX_RETRIES="1")
    assert set(found) <= {1}
    (use,) = bench.quota.snapshot()
    assert use.in_flight == 0


def test_answer_that_stalls(bench: Bench) -> None:
    reply = Reply(text="one two three", piece_delay_s=0.4)
    with ModelServer(default=reply) as server:
        with pytest.raises(RemoteTimeoutError) as caught:
            bench.stream(open_ai(server), HEADRACE_IDLE_TIMEOUT_S="0.1")
        assert len(server.requests) == 1
    assert "stalled for 0.1 s" in caught.value.problems[0].what


def test_refused_connection(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connection = Connection(
            name="local",
            type="open_ai",
            configs={"base_url": f"http://127.0.0.1:{taken.getsockname()[1]}/v1"},
            origin="environment",
        )
        with pytest.raises(RemoteUnavailableError) as caught:
            bench.send(connection)
    (problem,) = caught.value.problems
    assert problem.code == "P708"
    assert "efused" in problem.what
    assert "local" in (problem.fix or "")
    assert len(bench.waits.seconds) == 4


def test_name_that_cannot_be_resolved(bench: Bench) -> None:
    connection = Connection(name="away", type="open_ai", configs={"base_url": "http://no-host.invalid/v1"})
    with pytest.raises(RemoteUnavailableError) as caught:
        bench.send(connection, HEADRACE_MAX_RETRIES="0")
    assert caught.value.problems[0].code == "P708"
    assert "resolved" in caught.value.problems[0].what


def test_https_at_an_address_that_does_not_speak_it(bench: Bench) -> None:
    with ModelServer() as server:
        connection = Connection(
            name="plain", type="open_ai", configs={"base_url": server.base_url.replace("http:", "https:")}
        )
        with pytest.raises(RemoteUnavailableError) as caught:
            bench.send(connection, HEADRACE_MODEL_TIMEOUT_S="2")
    (problem,) = caught.value.problems
    assert (problem.code, "HTTPS" in (problem.fix or "")) == ("P708", True)
    assert bench.waits.seconds == []


@pytest.mark.parametrize("is_trusted", [True, False])
def test_certificate_is_trusted_when_the_environment_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    path = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with ModelServer(tls=tls) as server:
        if is_trusted:
            assert bench.send(open_ai(server)).response_id == "fake-1"
            assert chunk_texts(bench.stream(open_ai(server))) == "ok"
            return
        with pytest.raises(RemoteUnavailableError) as caught:
            bench.send(open_ai(server))
    (problem,) = caught.value.problems
    assert (problem.code, "SSL_CERT_FILE" in (problem.fix or "")) == ("P708", True)
    assert "SSLCertVerificationError" in problem.what
    assert bench.waits.seconds == []


@pytest.mark.parametrize("n_bytes", [10, 10_000])
def test_connection_that_breaks_while_it_is_made_secure(bench: Bench, n_bytes: int) -> None:
    async def work() -> RemoteUnavailableError:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(n_bytes)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        connection = Connection(name="far", type="open_ai", configs={"base_url": url})
        settings = load_settings({"HEADRACE_MODEL_CLIENT": bench.adapter, "HEADRACE_MAX_RETRIES": "0"})
        client = open_client(connection, lambda *_: None, settings)
        async with server:
            with pytest.raises(RemoteUnavailableError) as caught:
                await client.send(CHAT)
        await client.close()
        return caught.value

    assert asyncio.run(work()).problems[0].code == "P703"


def test_proxy_that_refuses_to_lead_on(bench: Bench) -> None:
    connection = Connection(name="far", type="open_ai", configs={"base_url": "https://model.invalid/v1"})
    with ModelServer([Reply(status=407, body=b"who are you?")]) as proxy:
        with pytest.raises(RemoteUnavailableError) as caught:
            bench.send(connection, HTTPS_PROXY=proxy.url, HEADRACE_MAX_RETRIES="0")
        assert (proxy.requests[0].method, proxy.requests[0].headers["host"]) == (
            "CONNECT",
            "model.invalid:443",
        )
    (problem,) = caught.value.problems
    assert (problem.code, "the proxy answered 407." in problem.what) == ("P708", True)


def test_cancellation_passes_at_once(bench: Bench) -> None:
    async def cancelled(client: ModelClient) -> int:
        task = asyncio.ensure_future(client.send(CHAT))
        await asyncio.to_thread(server.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(server.requests)

    with ModelServer(default=hang()) as server:
        assert bench.run(open_ai(server), cancelled) == 1
    assert bench.waits.seconds == []


def test_key_is_asked_for_at_every_request(bench: Bench) -> None:
    keys = iter(["first", "first", "second"])  # once more at the start: whose quota it is
    settings = load_settings({"HEADRACE_MODEL_CLIENT": bench.adapter})

    async def work(connection: Connection) -> None:
        client = open_client(connection, lambda *_: next(keys), settings)
        await client.send(CHAT)
        await client.send(CHAT)
        await client.close()

    with ModelServer() as server:
        asyncio.run(work(open_ai(server)))
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]
