from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.web_server import WebServer, web_server

from headrace.providers.web import WebError, request


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def test_a_get_has_its_query_and_a_post_its_body(server: WebServer) -> None:
    server.answers = [(200, '{"a": "é"}'), (201, "[]")]
    answer = request(server.url + "/x", query={"q": "a b", "none": None, "n": 1})
    assert (answer.status, answer.json()) == (200, {"a": "é"})
    assert request(server.url, headers={"Key": "k"}, body={"t": "é"}).status == 201
    first, second = server.asked
    assert (first.method, first.path) == ("GET", "/x?q=a+b&n=1")
    assert (second.method, second.headers["key"], second.headers["content-type"]) == (
        "POST",
        "k",
        "application/json",
    )
    assert json.loads(second.body) == {"t": "é"}


def test_every_status_is_an_answer(server: WebServer) -> None:
    server.answers = [(404, "nothing here")]
    answer = request(server.url)
    assert (answer.status, answer.text) == (404, "nothing here")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "does not begin with http"),
        ("http://127.0.0.1:9/?api_key=secret", "refused"),
    ],
)
def test_why_no_answer_came_is_said_without_the_address(url: str, reason: str) -> None:
    with pytest.raises(WebError, match=reason) as caught:
        request(url, timeout_s=2)
    assert "secret" not in str(caught.value)
