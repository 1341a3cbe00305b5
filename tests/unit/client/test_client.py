"""Both clients against endpoints on loopback that answer, refuse, break off and stream as a script says."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.support.scripted_endpoint import Said, ScriptedEndpoint, scripted_endpoint

from headrace.client import Answer, AsyncClient, Call, Client
from headrace.errors import (
    AccessDeniedError,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
    UsageError,
)

Score = Callable[..., Answer]


def score_sync(url: str, inputs: Any, call: Call | None = None, **options: Any) -> Answer:
    with Client(url, **options) as client:
        return client.score(inputs, call)


def score_async(url: str, inputs: Any, call: Call | None = None, **options: Any) -> Answer:
    async def ask() -> Answer:
        async with AsyncClient(url, **options) as client:
            return await client.score(inputs, call)

    return asyncio.run(ask())


def stream_sync(url: str, **options: Any) -> tuple[list[Mapping[str, Any]], Answer]:
    with Client(url, **options) as client, client.stream({"q": "x"}) as stream:
        return list(stream), stream.answer


def stream_async(url: str, **options: Any) -> tuple[list[Mapping[str, Any]], Answer]:
    async def ask() -> tuple[list[Mapping[str, Any]], Answer]:
        async with AsyncClient(url, **options) as client, client.stream({"q": "x"}) as stream:
            return [piece async for piece in stream], stream.answer

    return asyncio.run(ask())


scoring = pytest.mark.parametrize("score", [score_sync, score_async])
streaming = pytest.mark.parametrize("stream", [stream_sync, stream_async])


def events(*pieces: Any) -> list[bytes]:
    return [b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces]


@scoring
def test_an_answer_says_which_version_made_it_and_by_which_id_it_is_known(score: Score) -> None:
    headers = {"x-headrace-flow-version": "f@12", "azureml-model-deployment": "blue", "x-request-id": "r-1"}
    with scripted_endpoint(Said(body={"a": [1, None]}, headers=headers)) as endpoint:
        answer = score(endpoint.url, {"q": "ü"}, Call(request_id="r-1"))
    assert (answer.outputs, answer.flow_version, answer.deployment) == ({"a": [1, None]}, "f@12", "blue")
    assert (answer.request_id, answer.retries) == ("r-1", 0)
    method, path, sent, body = endpoint.asked[0]
    assert (method, path, json.loads(body)) == ("POST", "/score", {"q": "ü"})
    assert (sent["x-request-id"], sent["x-ms-client-request-id"]) == ("r-1", "r-1")
    assert (sent["accept"], sent["traceparent"]) == ("application/json", answer.traceparent)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.traceparent)
    assert not {"authorization", "x-headrace-unit-id", "tracestate", "azureml-model-deployment"} & set(sent)
    assert "None" not in repr(answer.retries)
    assert "[1" not in repr(answer)


@scoring
def test_what_goes_with_a_call_is_sent(score: Score) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    call = Call(
        unit_id="u-7",
        conversation_id="c-1",
        request_id="r" * 41,
        traceparent=parent,
        tracestate="v=1",
        deployment="green",
    )
    with scripted_endpoint(Said(body=1)) as endpoint:
        score(f"{endpoint.url}/", {}, call, path="/triage/", key="s3cret", deployment="blue")
    sent = endpoint.headers()
    assert endpoint.asked[0][1] == "/triage/score"
    assert (sent["authorization"], sent["x-headrace-unit-id"]) == ("Bearer s3cret", "u-7")
    assert sent["x-headrace-conversation-id"] == "c-1"
    assert (sent["traceparent"], sent["tracestate"], sent["azureml-model-deployment"]) == (
        parent,
        "v=1",
        "green",
    )
    assert (sent["x-request-id"], sent.get("x-ms-client-request-id")) == ("r" * 41, None)


@scoring
def test_a_token_is_asked_for_before_each_attempt(score: Score) -> None:
    tokens = iter(["one", "two"])
    with scripted_endpoint(Said(503, headers={"retry-after": "0"}), Said(body=1)) as endpoint:
        answer = score(f"{endpoint.url}/score", {}, token_provider=lambda: next(tokens))
    assert [endpoint.headers(position)["authorization"] for position in (0, 1)] == [
        "Bearer one",
        "Bearer two",
    ]
    assert (answer.retries, endpoint.asked[1][1]) == (1, "/score")
    assert endpoint.headers(0)["x-request-id"] == endpoint.headers(1)["x-request-id"]


class Token:
    def __init__(self, token: str) -> None:
        self.token = token
        self.expires_on = 9_999_999_999


class Credential:
    """Gives tokens as those of azure.identity do."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> Token:
        self.scopes.extend(scopes)
        return Token(f"token{len(self.scopes)}")


class AsyncCredential(Credential):
    async def get_token(self, *scopes: str) -> Token:  # type: ignore[override]
        return super().get_token(*scopes)


@pytest.mark.parametrize(
    ("score", "make"),
    [(score_sync, Credential), (score_async, Credential), (score_async, AsyncCredential)],
)
def test_the_token_of_a_credential_is_kept(score: Score, make: Callable[[], Credential]) -> None:
    credential = make()
    with scripted_endpoint(Said(503, headers={"retry-after": "0"}), Said(body=1)) as endpoint:
        score(endpoint.url, {}, credential=credential, scope="api://flows/.default")
    assert [endpoint.headers(place)["authorization"] for place in (0, 1)] == ["Bearer token1"] * 2
    assert credential.scopes == ["api://flows/.default"]


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("https://example.invalid", {}),
        ("http://example.invalid", {"scope": "api://flows/.default"}),
        ("https://a.westeurope.inference.ml.azure.com", {"key": "k"}),
    ],
)
@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_credential_needs_a_scope_and_a_private_way(
    make: Any, url: str, arguments: Mapping[str, str]
) -> None:
    with pytest.raises(UsageError) as caught:
        make(url, credential=Credential(), **arguments)
    assert caught.value.problems[0].code == "C507"


def test_an_asynchronous_token_provider_is_awaited() -> None:
    async def provide() -> str:
        return "later"

    with scripted_endpoint(Said(body=1)) as endpoint:
        score_async(endpoint.url, {}, token_provider=provide)
    assert endpoint.headers()["authorization"] == "Bearer later"


@scoring
@pytest.mark.parametrize(
    ("first", "is_sent_again"),
    [
        (Said(408), True),
        (Said(429), True),
        (Said(503), True),
        (Said(is_cut=True), True),
        (Said(424, headers={"ms-azureml-model-error-statuscode": "429"}), True),
        (Said(424, headers={"ms-azureml-model-error-statuscode": "500"}), False),
        (Said(424), False),
        (Said(400), False),
        (Said(500), False),
        (Said(502), False),
        (Said(504), False),
    ],
)
def test_only_what_was_not_answered_is_sent_again(score: Score, first: Said, is_sent_again: bool) -> None:
    quick = Said(first.status, first.body, {"retry-after": "0", **first.headers}, first.parts, first.is_cut)
    with scripted_endpoint(quick, Said(body={"a": 1})) as endpoint:
        if is_sent_again:
            assert score(endpoint.url, {}).retries == 1
        else:
            with pytest.raises(RemoteError) as raised:
                score(endpoint.url, {})
            assert not raised.value.retryable
    assert len(endpoint.asked) == 1 + is_sent_again


@scoring
@pytest.mark.parametrize(
    ("said", "kind", "code", "status"),
    [
        (Said(401), AccessDeniedError, "P701", 401),
        (Said(429, headers={"retry-after": "7"}), RateLimitedError, "P702", 429),
        (Said(504), RemoteTimeoutError, "P704", 504),
        (Said(500), RemoteUnavailableError, "P703", 500),
        (Said(404), RemoteRequestError, "P705", 404),
        (Said(302, headers={"location": "http://other/"}), RemoteRequestError, "P705", 302),
        (Said(424, headers={"ms-azureml-model-error-statuscode": "400"}), RemoteRequestError, "P705", 400),
    ],
)
def test_errors_are_of_the_house_and_hold_no_content(
    score: Score, said: Said, kind: type[RemoteError], code: str, status: int
) -> None:
    body = {"error": {"code": "UserError", "message": "SECRET text", "problem": "T202"}}
    answered = Said(said.status, body, {"x-request-id": "r-9", **said.headers})
    with scripted_endpoint(answered) as endpoint, pytest.raises(kind) as raised:
        score(endpoint.url, {"q": "SECRET"}, key="hidden-key", max_retries=0)
    error = raised.value
    assert error.problems[0].code == code
    assert "SECRET" not in str(error) + repr(error) + repr(error.refusal)
    assert "hidden-key" not in str(error)
    assert "r-9" in str(error)
    assert error.refusal is not None
    assert (error.refusal.status, error.refusal.code, error.refusal.problem) == (status, "UserError", "T202")
    assert error.refusal.message == "SECRET text"
    assert error.retry_after_s == (7 if status == 429 else None)


@scoring
@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_said_to_be_none(score: Score, body: bytes) -> None:
    with scripted_endpoint(Said(body=body)) as endpoint, pytest.raises(RemoteRequestError, match="P707"):
        score(endpoint.url, {})


@scoring
def test_silence_is_not_waited_for_and_not_asked_again(score: Score) -> None:
    with scripted_endpoint(Said(is_silent=True)) as endpoint:
        with pytest.raises(RemoteTimeoutError, match=r"said nothing for 0\.2 s"):
            score(endpoint.url, {}, timeout_s=0.2)
        assert len(endpoint.asked) == 1


@scoring
def test_an_endpoint_that_is_not_there(score: Score) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RemoteUnavailableError, match=f"P708.*127.0.0.1:{port}") as raised:
        score(f"http://127.0.0.1:{port}", {}, max_retries=1)
    assert raised.value.refusal is None


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "http://", "http://u:pw@host", "http://h/?q=1", "http://[x"]
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_what_is_no_address_is_refused(client: type[Client] | type[AsyncClient], url: str) -> None:
    with pytest.raises(UsageError, match="C507") as raised:
        client(url)
    assert "pw" not in str(raised.value)


def test_arguments_that_do_not_fit_are_refused() -> None:
    for arguments in ({"key": "k", "token_provider": lambda: "t"}, {"timeout_s": 0}, {"max_retries": -1}):
        with pytest.raises(UsageError, match="C507"):
            Client("http://host", **arguments)  # type: ignore[arg-type]
    for key in ("", "kéy", "a\nb"):
        with pytest.raises(UsageError, match="C506") as raised:
            Client("http://host", key=key)
        assert "kéy" not in str(raised.value)
    with Client("http://host") as client:
        with pytest.raises(UsageError, match="C507"):
            client.score({"q": object()})
        with pytest.raises(UsageError, match="C506"):
            client.score({}, Call(unit_id="a\r\nx: y"))


@streaming
def test_pieces_come_as_they_were_sent(stream: Any) -> None:
    sent = b"".join(events({"c": "x"}, {"a": "De"}, {"a": "ar\n\n"})) + b": a comment\n\ndata: [DONE]\n\n"
    parts = [sent[:9], sent[9:40], sent[40:].replace(b"\n", b"\r\n")]
    with scripted_endpoint(Said(parts=parts, headers={"x-headrace-flow-version": "f@1"})) as endpoint:
        pieces, answer = stream(endpoint.url)
    assert pieces == [{"c": "x"}, {"a": "De"}, {"a": "ar\n\n"}]
    assert (answer.flow_version, answer.outputs) == ("f@1", None)
    assert endpoint.headers()["accept"] == "text/event-stream, application/json"


@streaming
def test_a_flow_that_does_not_stream_answers_in_one_piece(stream: Any) -> None:
    with scripted_endpoint(
        Said(429, headers={"retry-after": "0"}), Said(body={"a": 1}), Said(body=3)
    ) as endpoint:
        pieces, answer = stream(endpoint.url)
        assert (pieces, answer.retries) == ([{"a": 1}], 1)
        assert stream(endpoint.url)[0] == [{"output": 3}]


@streaming
def test_an_error_in_the_middle_of_a_stream_is_raised_and_not_asked_again(stream: Any) -> None:
    failed = {"error": {"code": "UserError", "message": "SECRET", "problem": "E601"}}
    late = {"error": {"code": "SystemError", "message": "SECRET", "problem": "E603"}}
    output = {"error": {"code": 7}}
    with scripted_endpoint(
        Said(parts=events({"a": "x"}, failed)),
        Said(parts=events({"a": "x"}, late)),
        Said(parts=events({"a": "x"}), is_cut=True),
        Said(parts=[b'data: {"a": ']),
        Said(parts=[b"data: 1\n\n"]),
        Said(parts=events(output)),
    ) as endpoint:
        with pytest.raises(RemoteRequestError, match="P705") as raised:
            stream(endpoint.url)
        assert "SECRET" not in str(raised.value)
        assert raised.value.refusal is not None
        assert (raised.value.refusal.problem, raised.value.refusal.message) == ("E601", "SECRET")
        with pytest.raises(RemoteTimeoutError, match="P704"):
            stream(endpoint.url)
        with pytest.raises(RemoteUnavailableError, match="in the middle of its answer"):
            stream(endpoint.url)
        for _ in range(2):
            with pytest.raises(RemoteRequestError, match="P707"):
                stream(endpoint.url)
        assert stream(endpoint.url)[0] == [output]
        assert len(endpoint.asked) == 6


def test_an_error_before_a_stream_begins_is_that_of_an_answer() -> None:
    with scripted_endpoint(Said(400, {"error": {"code": "UserError", "message": "m"}})) as endpoint:
        with pytest.raises(RemoteRequestError, match="answered 400 UserError"):
            stream_sync(endpoint.url)
        with pytest.raises(RemoteRequestError, match="answered 400 UserError"):
            stream_async(endpoint.url)


def feedback_of(endpoint: ScriptedEndpoint) -> list[tuple[str, bytes, str]]:
    return [(path, body, headers["content-type"]) for _, path, headers, body in endpoint.asked if body]


def test_feedback_health_and_description() -> None:
    answer = Answer(outputs=1, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")

    async def ask(url: str) -> None:
        async with AsyncClient(url, path="t") as client:
            await client.feedback({"stars": 5}, answer, is_flat=True)
            await client.feedback("schön \ud800")
            assert await client.health() == {"status": "Healthy"}
            assert await client.openapi() == {"status": "Healthy"}

    with scripted_endpoint(Said(body={"status": "Healthy"})) as endpoint:
        asyncio.run(ask(endpoint.url))
        with Client(endpoint.url, path="t") as client:
            client.feedback({"stars": 5}, answer, is_flat=True)
            client.feedback("schön \ud800")
            assert client.health() == {"status": "Healthy"}
            assert client.openapi() == {"status": "Healthy"}
    flat = ("/t/feedback?flatten=true", b'{"stars": 5}', "application/json")
    plain = ("/t/feedback", "schön ?".encode(), "text/plain; charset=utf-8")
    assert feedback_of(endpoint) == [flat, plain, flat, plain]
    assert [asked[1] for asked in endpoint.asked if not asked[3]] == ["/health", "/openapi.json"] * 2
    assert endpoint.headers(0)["traceparent"] == answer.traceparent
    with scripted_endpoint(Said(404, {}), Said(body={"openapi": "3.0.0"})) as endpoint:
        with Client(f"{endpoint.url}/score") as client:
            assert client.openapi() == {"openapi": "3.0.0"}
        assert [asked[1] for asked in endpoint.asked] == ["/openapi.json", "/swagger.json"]


def test_the_client_brings_neither_engine_nor_server_nor_openai_along() -> None:
    program = """
import sys, headrace.client
parts = {name.split('.')[1] for name in sys.modules if name.startswith('headrace.')}
assert not parts & {'engine', 'serving', 'operations', 'tools', 'evaluation', 'planning', 'store', 'formats'}, parts
assert not {'openai', 'starlette', 'jinja2', 'yaml'} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
