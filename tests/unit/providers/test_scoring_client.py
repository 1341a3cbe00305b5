"""Requests to a flow that runs elsewhere: what is sent, what is read, what is sent again, and what is never sent."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.azure.messages import Request, Response, reply
from tests.support.scoring_server import Answer, ScoringServer, scoring_server

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.domain.remote import scope_of
from headrace.errors import (
    AccessDeniedError,
    DefinitionError,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)
from headrace.providers.base import ModelRequest, ModelResponse
from headrace.providers.quota import Quota
from headrace.providers.registry import open_client
from headrace.providers.scoring_client import ScoringClient

KEY = "very-secret-key"


@pytest.fixture
def server() -> Iterator[ScoringServer]:
    with scoring_server() as state:
        yield state


def ask(
    server: ScoringServer,
    *,
    n: int = 1,
    configs: Mapping[str, str] | None = None,
    secrets: Mapping[str, Secret] | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[ModelResponse]:
    connection = Connection(
        name="live",
        type="endpoint",
        configs={"url": server.url, **(configs or {})},
        secrets=secrets or {},
        origin="flow.endpoint.yaml",
    )

    def secret(found: Connection, name: str) -> str | None:
        return found.secrets[name].value if name in found.secrets else None

    async def no_sleep(_: float) -> None:
        return None

    async def send() -> list[ModelResponse]:
        settings = load_settings({"HEADRACE_MAX_RETRIES": "3", **(environment or {})})
        client = open_client(connection, secret, settings, sleep=no_sleep)
        request = ModelRequest(
            operation="score", model="", body={"text": "é"}, headers={"traceparent": "00-1-2-01"}
        )
        try:
            return [await client.send(request) for _ in range(n)]
        finally:
            await client.close()

    return asyncio.run(send())


def test_inputs_are_posted_with_the_key_and_the_answer_is_any_json(server: ScoringServer) -> None:
    server.answer = lambda inputs, _: Answer([inputs["text"], 1])
    (response,) = ask(
        server,
        configs={"header:x-tenant": "t-${env:TENANT}"},
        secrets={"api_key": Secret(value=KEY), "env:TENANT": Secret(value="7")},
    )
    assert response.body == {"answer": ["é", 1]}
    assert (response.usage.calls, response.usage.total_tokens, response.usage.knows_tokens) == (1, 0, False)
    (asked,) = server.asked
    assert asked.inputs == {"text": "é"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-tenant"] == "t-7"
    assert asked.headers["traceparent"] == "00-1-2-01"
    assert asked.headers["accept"] == "application/json"


def test_without_a_key_none_is_sent(server: ScoringServer) -> None:
    ask(server)
    assert "authorization" not in server.asked[0].headers


def test_a_stream_of_events_adds_up_to_outputs(server: ScoringServer) -> None:
    text = 'data: {"category": "billing"}\n\ndata: {"answer": "Dear"}\n\ndata: {"answer": " you"}\n\n'
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    server.answer = lambda *_: Answer(text.encode(), headers=headers)
    (response,) = ask(server)
    assert response.body["answer"] == {"category": "billing", "answer": "Dear you"}


@pytest.mark.parametrize("status", [408, 429, 503])
def test_what_may_pass_is_sent_again(server: ScoringServer, status: int) -> None:
    server.answer = lambda inputs, before: Answer(inputs, 200 if before else status, {"Retry-After": "0"})
    (response,) = ask(server)
    assert (response.retries, len(server.asked)) == (1, 2)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, RemoteRequestError, "P705"),
        (401, AccessDeniedError, "P701"),
        (403, AccessDeniedError, "P701"),
        (404, RemoteRequestError, "P705"),
        (409, RemoteRequestError, "P705"),
        (424, RemoteRequestError, "P705"),
        (500, RemoteUnavailableError, "P703"),
        (502, RemoteUnavailableError, "P703"),
        (504, RemoteTimeoutError, "P704"),
    ],
)
def test_what_will_not_pass_is_not_sent_again(
    server: ScoringServer, status: int, error: type[RemoteError], code: str
) -> None:
    body = {"error": {"code": "UserError", "message": "Required input fields ['q'] are missing\nat line 1"}}
    server.answer = lambda *_: Answer(body, status)
    with pytest.raises(error) as caught:
        ask(server)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert f"answered {status} UserError: Required input fields ['q'] are missing" in problem.what
    assert "at line 1" not in problem.what
    assert len(server.asked) == 1


def test_of_azure_s_424_the_status_of_the_container_counts(server: ScoringServer) -> None:
    headers = {"ms-azureml-model-error-statuscode": "400"}
    server.answer = lambda *_: Answer({"error": {"message": "bad"}}, 424, headers)
    with pytest.raises(RemoteRequestError, match="answered 400: bad"):
        ask(server)
    server.answer = lambda *_: Answer(b"", 424, {"ms-azureml-model-error-statuscode": "503"})
    with pytest.raises(RemoteUnavailableError) as caught:
        ask(server)
    assert caught.value.problems[0].detail == ("4 attempts were made.",)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 502, 504])
def test_a_424_is_not_sent_again_where_the_flow_may_have_run(server: ScoringServer, status: int) -> None:
    headers = {"ms-azureml-model-error-statuscode": str(status), "ms-azureml-model-error-reason": "no reason"}
    server.answer = lambda *_: Answer(b"", 424, headers)
    with pytest.raises(RemoteError, match=f"answered {status}: no reason"):
        ask(server)
    assert len(server.asked) == 1


def test_of_a_424_our_server_s_own_error_is_told(server: ScoringServer) -> None:
    said = {
        "error": {"code": "UserError", "problem": "T202", "message": "the tool failed", "detail": ["secret"]}
    }
    server.answer = lambda *_: Answer(said, 424, {"ms-azureml-model-error-statuscode": "400"})
    with pytest.raises(RemoteRequestError, match="answered 400 UserError T202: the tool failed"):
        ask(server)


def test_a_stream_that_fails_after_a_part_is_a_failure(server: ScoringServer) -> None:
    error = {"error": {"code": "SystemError", "message": "the model service went away", "problem": "P703"}}
    text = f'data: {{"answer": "Dear"}}\n\ndata: {json.dumps(error)}\n\n'
    server.answer = lambda *_: Answer(text.encode(), headers={"Content-Type": "text/event-stream"})
    with pytest.raises(
        RemoteUnavailableError, match="failed after a part of its answer: SystemError P703"
    ) as caught:
        ask(server)
    assert (caught.value.retryable, len(server.asked)) == (False, 1)


def test_a_slow_answer_is_not_asked_for_again(server: ScoringServer) -> None:
    is_over = threading.Event()

    def slow(*_: object) -> Answer:
        is_over.wait(10)
        return Answer({})

    server.answer = slow
    with pytest.raises(RemoteTimeoutError):
        ask(server, configs={"timeout_s": "0.2"})
    is_over.set()
    assert len(server.asked) == 1


class Token:
    token = "a.token.of-entra"
    expires_on = 9_999_999_999


class Directory:
    """Gives tokens, and remembers for what."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> Token:
        self.scopes.extend(scopes)
        return Token()


def ask_with_token(server: ScoringServer, directory: Directory, n: int = 1) -> None:
    configs = {"url": server.url, "auth": "entra", "scope": "api://flows/.default"}
    connection = Connection(name="live", type="endpoint", configs=configs, origin="flow.endpoint.yaml")

    async def send() -> None:
        settings = load_settings({"HEADRACE_MAX_RETRIES": "0"})
        client = ScoringClient(
            connection, lambda *_: None, settings, quota=Quota(settings), open_credential=lambda: directory
        )
        try:
            for _ in range(n):
                await client.send(ModelRequest(operation="score", model="", body={}))
        finally:
            await client.close()

    asyncio.run(send())


def test_a_token_is_fetched_once_for_all_requests(server: ScoringServer) -> None:
    directory = Directory()
    ask_with_token(server, directory, n=3)
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {Token.token}"}
    assert directory.scopes == ["api://flows/.default"]


def test_a_token_that_is_refused_is_no_matter_of_keys(server: ScoringServer) -> None:
    server.answer = lambda *_: Answer(b"", 403)
    with pytest.raises(AccessDeniedError) as caught:
        ask_with_token(server, Directory())
    (problem,) = caught.value.problems
    assert problem.fix == "Let whoever is signed in call it; the token was for api://flows/.default."


def test_a_redirect_is_not_followed_and_the_key_stays(server: ScoringServer) -> None:
    with scoring_server() as other:
        location = {"Location": f"{other.url}?code=abc"}
        server.answer = lambda *_: Answer(b"", 307, location)
        with pytest.raises(RemoteRequestError) as caught:
            ask(server, secrets={"api_key": Secret(value=KEY)})
        assert other.asked == []
        assert other.url in (caught.value.problems[0].fix or "")
        assert "abc" not in str(caught.value.problems[0])


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a": '])
def test_what_is_no_json_is_refused(server: ScoringServer, body: bytes) -> None:
    server.answer = lambda *_: Answer(body, headers={"Content-Type": "text/html"})
    with pytest.raises(RemoteRequestError, match=r"not JSON \(text/html\)"):
        ask(server)


def test_a_stream_without_an_event_is_refused(server: ScoringServer) -> None:
    server.answer = lambda *_: Answer(b": nothing\n\n", headers={"Content-Type": "text/event-stream"})
    with pytest.raises(RemoteRequestError, match="not JSON"):
        ask(server)


def test_an_answer_without_end_is_cut_off(server: ScoringServer) -> None:
    server.answer = lambda *_: Answer(b'"' + b"a" * (33 * 2**20) + b'"')
    with pytest.raises(RemoteRequestError, match="more than 32 MB"):
        ask(server)


def test_a_slow_answer_is_given_up(server: ScoringServer) -> None:
    is_over = threading.Event()

    def slow(*_: object) -> Answer:
        is_over.wait(10)
        return Answer({})

    server.answer = slow
    with pytest.raises(RemoteTimeoutError, match=r"within 0\.05 s"):
        ask(server, configs={"timeout_s": "0.05"}, environment={"HEADRACE_MAX_RETRIES": "0"})
    is_over.set()


def test_a_quota_that_is_used_up_is_told_after_the_wait(server: ScoringServer) -> None:
    server.answer = lambda *_: Answer(b"", 429, {"Retry-After": "30"})
    with pytest.raises(RateLimitedError, match="answered 429"):
        ask(server, environment={"HEADRACE_QUOTA_WAIT_S": "0"})


def test_nobody_at_the_address(server: ScoringServer) -> None:
    server.url = "http://127.0.0.1:1/score"
    with pytest.raises(RemoteUnavailableError, match=r"The endpoint at 127\.0\.0\.1:1 cannot be reached"):
        ask(server, environment={"HEADRACE_MAX_RETRIES": "0"})


def test_a_value_that_no_header_can_hold(server: ScoringServer) -> None:
    with pytest.raises(DefinitionError) as caught:
        ask(server, secrets={"api_key": Secret(value="a\nb: c")})
    (problem,) = caught.value.problems
    assert problem.code == "C502"
    assert "a\nb" not in json.dumps(problem.to_json())
    assert server.asked == []


def test_what_the_endpoint_says_of_itself_comes_with_each_answer(server: ScoringServer) -> None:
    server.version = "17"
    assert [response.model for response in ask(server, n=2)] == ["17", "17"]
    assert server.n_versions == 1
    server.answer = lambda inputs, _: Answer(inputs, headers={"azureml-model-deployment": "blue"})
    assert [response.model for response in ask(server)] == ["blue"]


def test_an_endpoint_that_says_nothing_of_itself_is_asked_once(server: ScoringServer) -> None:
    assert [response.model for response in ask(server, n=3)] == [None, None, None]
    assert server.n_versions == 1


def test_a_managed_endpoint_gets_a_token_of_whoever_is_signed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    url = "https://live.westeurope.inference.ml.azure.com/score"
    configs = {"url": url, "auth": "entra", "scope": scope_of(url) or ""}
    connection = Connection(name="live", type="endpoint", configs=configs, origin="flow.endpoint.yaml")
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)

        def answer(request: Request) -> Response:
            token = azure.directory.read_token(request.headers["authorization"].removeprefix("Bearer "))
            asked.append(token["aud"])
            return reply({"answer": token["appid"]}, headers={"azureml-model-deployment": "blue"})

        azure.add_host("live.westeurope.inference.ml.azure.com", answer)

        async def send() -> ModelResponse:
            client = open_client(connection, lambda *_: None, load_settings(dict(os.environ)))
            try:
                return await client.send(ModelRequest(operation="score", model="", body={}))
            finally:
                await client.close()

        response = asyncio.run(send())
        assert response.body == {"answer": {"answer": azure.client.client_id}}
    assert response.model == "blue"
    assert [audience.rstrip("/") for audience in asked] == ["https://ml.azure.com"]
