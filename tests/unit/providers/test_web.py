from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificate import make_certificate
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


def test_a_redirect_is_followed_where_that_is_allowed(server: WebServer) -> None:
    server.answers = [(302, "/next?q=1"), (200, "[]")]
    assert request(server.url).json() == []
    assert server.asked[1].path == "/next?q=1"
    server.answers = [(307, f"{server.url}/other"), (200, "[]")]
    with pytest.raises(WebError, match="leads on"):
        request(server.url, may_ask=lambda address: not address.endswith("/other"))
    assert len(server.asked) == 3


def test_no_redirect_leads_from_https_to_http(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with web_server(tls=tls) as secure:
        secure.answers = [(302, f"{secure.url}/there"), (200, "[]")]
        assert request(secure.url).json() == []
        secure.answers = [(301, server.url), (200, "[]")]
        with pytest.raises(WebError, match="leads on"):
            request(secure.url)
    assert server.asked == []
