"""What is taken from a service's error body, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.connection import Connection
from headrace.providers.answers import read_chunk, read_usage
from headrace.providers.base import StreamChunk
from headrace.providers.endpoint import make_endpoint
from headrace.providers.failures import ServiceError, read_service_error, status_failure

ENDPOINT = make_endpoint(Connection(name="mine", type="open_ai", origin="mine.yaml"))
FILTERS = {"hate": {"filtered": False}, "jailbreak": {"detected": True}, "violence": {"filtered": True}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": "DeploymentNotFound", "message": "secret"}}, ServiceError(code="DeploymentNotFound")),
        ({"error": {"type": "invalid_request_error", "param": "stop"}}, ServiceError(code="invalid_request_error", parameter="stop")),
        ({"error": {"code": "x", "param": "messages.[0].content"}}, ServiceError(code="x", parameter="messages.[0].content")),
        ({"code": "Unauthorized"}, ServiceError(code="Unauthorized")),
        ({"error": "model 'x' not found"}, ServiceError()),
        ({"error": {"code": "the user wrote this", "param": "and this"}}, ServiceError()),
        ({"error": {"code": 404, "type": None}}, ServiceError()),
        ({"error": {"code": "x" * 200}}, ServiceError()),
        ({"error": {"code": "f", "innererror": {"content_filter_result": FILTERS}}}, ServiceError(code="f", categories=("jailbreak", "violence"))),
        ({"error": {"code": "f", "innererror": "text"}}, ServiceError(code="f")),
        ([1], ServiceError()),
        ("text", ServiceError()),
    ],
)  # fmt: skip
def test_error_body(body: Any, expected: ServiceError) -> None:
    assert read_service_error(json.dumps(body).encode()) == expected


@given(st.integers(300, 599), st.text(min_size=8, alphabet="äöü ,!?"))
def test_message_of_the_service_is_never_shown(status: int, message: str) -> None:
    body = {"error": {"message": message, "code": message, "type": message, "param": message}}
    (problem,) = status_failure(ENDPOINT, "m", status, json.dumps(body).encode(), None).problems
    assert message not in problem.what
    assert message not in (problem.fix or "")
    assert problem.code.startswith("P70")


@given(st.integers(300, 599), st.binary())
def test_any_error_body_gives_a_problem_with_a_fix(status: int, content: bytes) -> None:
    error = status_failure(ENDPOINT, "m", status, content, 3.0)
    assert all(problem.fix for problem in error.problems)
    assert str(status) in error.problems[0].what or error.problems[0].code == "P706"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"choices": []}, None),
        ({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}, None),
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, StreamChunk(text="a")),
        ({"choices": [{"index": 1, "delta": {"content": "b"}}]}, None),
        ({"choices": [{"delta": None, "text": "c"}]}, StreamChunk(text="c")),
        ({"choices": [{"delta": {}, "finish_reason": "length"}]}, StreamChunk(finish_reason="length")),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2}}, StreamChunk(usage=read_usage({"prompt_tokens": 1, "completion_tokens": 2}))),
        ({"choices": None, "usage": None}, None),
    ],
)  # fmt: skip
def test_stream_event(event: dict[str, Any], expected: StreamChunk | None) -> None:
    assert read_chunk(event) == expected


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, "x"]
)
def test_usage_that_a_service_does_not_say_is_zero(usage: Any) -> None:
    found = read_usage(usage)
    assert (found.calls, found.prompt_tokens, found.completion_tokens) == (1, 0, 0)
