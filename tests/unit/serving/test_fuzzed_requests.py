"""Requests made at random get an answer that says what is wrong with them, and never 500; ``make fuzz`` tries more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.endpoint import Endpoint, serving
from tests.support.fuzzed_flows import FUZZED_FLOWS

FLOWS = ("every_type", "chat", "picture", "flexible")
NAMES = ("text", "count", "share", "is_loud", "items", "things", "question", "chat_history", "picture")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["data:image/png;base64", "data:image/png;path", "data:image/png;url", "true", "1e999", "NaN"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=24), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES) | VALUES
MESSAGES = st.fixed_dictionaries(
    {"model": st.sampled_from(FLOWS) | VALUES, "messages": st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]) | VALUES, "content": VALUES})
        | VALUES, max_size=4) | VALUES},
    optional={"stream": st.booleans() | VALUES, "n": VALUES, "stream_options": VALUES, "user": VALUES, "tools": VALUES},
)  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
        for name in (
            "Accept",
            "Content-Type",
            "traceparent",
            "baggage",
            "x-request-id",
            "x-ms-client-request-id",
        )
    },
)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with serving(folder, FUZZED_FLOWS, ["served"]) as running:
        yield running


def is_sound(endpoint: Endpoint, method: str, path: str, body: Any, headers: Any = None) -> None:
    answer = endpoint.ask(method, path, body, headers)
    assert answer.status < 500, (answer.status, answer.text[:500])
    if answer.status >= 400 and answer.headers["content-type"].startswith("application/json"):
        assert answer.body["error"]["message"]


@QUICK
@given(flow=st.sampled_from(FLOWS), body=BODIES, headers=HEADERS)
def test_inputs_of_any_kind(endpoint: Endpoint, flow: str, body: Any, headers: Any) -> None:
    is_sound(endpoint, "POST", f"/{flow}/score", body, headers)


@QUICK
@given(flow=st.sampled_from(FLOWS), body=st.binary(max_size=200))
def test_bodies_of_any_bytes(endpoint: Endpoint, flow: str, body: bytes) -> None:
    is_sound(endpoint, "POST", f"/{flow}/score", body)


@QUICK
@given(body=MESSAGES)
def test_chats_of_any_kind(endpoint: Endpoint, body: Any) -> None:
    is_sound(endpoint, "POST", "/v1/chat/completions", body)


@QUICK
@given(
    body=st.binary(max_size=100) | BODIES,
    flat=st.sampled_from(["", "?flatten=true", "?flatten=%00"]),
    headers=HEADERS,
)
def test_feedback_of_any_kind(endpoint: Endpoint, body: Any, flat: str, headers: Any) -> None:
    is_sound(endpoint, "POST", f"/chat/feedback{flat}", body, headers)


@QUICK
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.sampled_from(["/", "/health", "/healthz", "/readyz", "/version", "/openapi.json", "/chat/", "/chat/swagger.json"])
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(lambda text: f"/{text}"),
)  # fmt: skip
def test_any_path(endpoint: Endpoint, method: str, path: str) -> None:
    is_sound(endpoint, method, path, None)


@pytest.mark.parametrize("depth", [50, 99, 101, 5_000, 100_000])
def test_deep_values(endpoint: Endpoint, depth: int) -> None:
    is_sound(
        endpoint, "POST", "/every_type/score", b'{"text": "x", "items": ' + b"[" * depth + b"]" * depth + b"}"
    )


def test_integers_of_any_length(endpoint: Endpoint) -> None:
    is_sound(endpoint, "POST", "/every_type/score", b'{"text": "x", "count": ' + b"9" * 10_000 + b"}")
