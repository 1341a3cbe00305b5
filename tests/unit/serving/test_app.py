"""The whole app when something of ours is broken: 500 where nothing was said yet, once, without a word of the exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from headrace.config import ServingLimits
from headrace.domain.access import AccessRules
from headrace.serving import probes
from headrace.serving.app import build_app
from headrace.serving.served import Served

SECRET = "word-of-a-caller"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
PIECE = {"type": "http.response.body", "body": b"piece", "more_body": True}


class BrokenAnswerError(HTTPException):
    """A refusal that cannot be written."""

    def __init__(self) -> None:
        super().__init__(400, f"{SECRET} \ud800")


def ask(patch: pytest.MonkeyPatch, app: Callable[..., Awaitable[None]], method: str) -> list[dict[str, Any]]:
    """What one request to a broken part of the app is sent; what was raised goes to the server."""
    patch.setattr(probes, "routes", lambda _: {"/broken": {"GET": app, "POST": app}})
    served = Served(flows={}, headrace_version="1", access=AccessRules(is_local=False))
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": method, "path": "/broken", "headers": [], "query_string": b""}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    with pytest.raises((ValueError, TypeError)):
        asyncio.run(build_app(served, ServingLimits())(scope, receive, send))  # type: ignore[arg-type]
    assert served.load.n_running == 0
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("error", [ValueError, TypeError, BrokenAnswerError])
def test_a_bug_is_answered_without_a_word_of_it(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], method: str
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error() if error is BrokenAnswerError else error(SECRET)

    start, body = ask(monkeypatch, broken, method)
    assert start["status"] == 500
    assert body["body"] == b'{"error":{"code":"SystemError","message":"headrace failed; its log says why."}}'
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-request-id"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("said", [[START], [START, PIECE]], ids=["start", "piece"])
def test_a_bug_behind_the_start_of_an_answer_begins_no_other(
    monkeypatch: pytest.MonkeyPatch, said: list[dict[str, Any]], method: str
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        for message in said:
            await send(dict(message))
        raise ValueError(SECRET)

    sent = ask(monkeypatch, broken, method)
    assert [message["type"] for message in sent] == [message["type"] for message in said]
    assert sent[0]["status"] == 200
