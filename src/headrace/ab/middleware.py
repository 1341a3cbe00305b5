"""ASGI middleware around a program that asks its arms itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, TypeAlias
from uuid import uuid4

from headrace.ab.choice import Choice
from headrace.ab.split import Split
from headrace.domain.evidence import ARM_FIELD, EXPOSURE_FIELD, in_header
from headrace.errors import StateError, UsageError
from headrace.planning.asked_facts import MAX_FACT_CHARS, AskedFacts, needs_body
from headrace.planning.feedback import read_feedback

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Keep: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]

CHOICE: Final = "headrace.choice"
"""Key of the request's scope under which the program finds its :class:`Choice`."""

_REQUEST_IDS = (b"x-request-id", b"x-ms-client-request-id")
_MOST_BYTES = 1_000_000
_FIRST_FAILURE = 500
_BAD_REQUEST, _TOO_LARGE, _UNAVAILABLE = 400, 413, 503


class SplitMiddleware:
    """Chooses an arm for each HTTP request, names it in the answer and records how the request ended.

    The program finds the choice in ``scope["headrace.choice"]``, asks its arm, and may :meth:`Choice.note` tokens, cost
    and what went wrong. Without that, an answer of status 500 and more is a failure of the arm, and so is an exception.
    Answers have ``x-headrace-arm`` and, where the request was recorded, ``x-headrace-exposure-id``.

    Args:
        app: The program.
        split: The test; whoever opened it closes it.
        feedback_path: Where feedback is posted, as a served flow takes it: see :mod:`headrace.planning.feedback`; empty
            for nowhere.
        is_split: Whether a request is split, by its scope; ``None`` for all of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        split: Split,
        *,
        feedback_path: str = "",
        is_split: Callable[[Scope], bool] | None = None,
    ) -> None:
        self._app = app
        self._split = split
        self._feedback_path = feedback_path
        self._is_split = is_split

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._feedback_path and scope["path"] == self._feedback_path and scope["method"] == "POST":
            await _answer(send, *await self._take_feedback(scope, receive))
        elif self._is_split is not None and not self._is_split(scope):
            await self._app(scope, receive, send)
        else:
            await self._ask(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        body = b""
        if needs_body(self._split.traffic):
            body, receive = await _read_ahead(receive)
        asked = AskedFacts(scope, body, self._split.traffic, _request_id(scope))
        choice = await self._choose(asked, began)
        async with _Exchange(choice, asked, receive, send, began, self._keep) as exchange:
            await self._app({**scope, CHOICE: choice}, exchange.receive, exchange.send)

    async def _choose(self, asked: AskedFacts, began: float) -> Choice:
        exposure_id = str(uuid4())
        if self._split.is_synced:
            return await asyncio.to_thread(self._split.choose_for, asked, exposure_id, began)
        return self._split.choose_for(asked, exposure_id, began)

    async def _keep(self, act: Callable[[], None]) -> None:
        if self._split.is_synced:
            await asyncio.to_thread(act)
        else:
            act()

    async def _take_feedback(self, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, Any]]:
        body, _ = await _read_ahead(receive)
        if len(body) > _MOST_BYTES:
            return _TOO_LARGE, {"error": "Feedback is too long."}
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            records = read_feedback(body, headers, self._split.traffic.name)
        except UsageError as error:
            return _BAD_REQUEST, {"error": error.problems[0].headline()}
        if not records:
            return _BAD_REQUEST, {"error": "Send a JSON object that says something of a request or a unit."}
        try:
            await self._keep(lambda: self._split.keep_feedback(records))
        except StateError:
            return _UNAVAILABLE, {"error": "Feedback cannot be kept at the moment."}
        return 200, {"status": "Feedback received."}


class _Exchange:
    """One request and its answer as they pass by."""

    def __init__(
        self, choice: Choice, asked: AskedFacts, receive: Receive, send: Send, began: float, keep: Keep
    ) -> None:
        self._choice = choice
        self._keep = keep
        self._receive = receive
        self._send = send
        self._began = began
        self._added = [(ARM_FIELD.encode(), in_header(choice.arm).encode())]
        if choice.exposure_id:
            self._added.append((EXPOSURE_FIELD.encode(), choice.exposure_id.encode()))
        if asked.cookie:
            self._added.append((b"set-cookie", asked.cookie.encode()))
        self._has_ended = self._is_stream = False
        self._is_gone = False

    async def __aenter__(self) -> _Exchange:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._is_gone = True
        elif error is not None:
            self._choice.note_problem(type(error).__name__)
        await self._keep(lambda: self._choice.complete(is_gone=self._is_gone))

    async def receive(self) -> Message:
        """The next piece of the request."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._has_ended:
            self._is_gone = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a piece of the answer on."""
        if message["type"] == "http.response.start":
            if message["status"] >= _FIRST_FAILURE:
                self._choice.note_problem(f"http_{message['status']}")
            message = {**message, "headers": [*message.get("headers", ()), *self._added]}
        elif message["type"] == "http.response.body":
            has_more = message.get("more_body", False)
            if has_more and not self._is_stream and message.get("body"):
                self._is_stream = True
                self._choice.note(first_token_ms=self._elapsed_ms())
            self._has_ended = not has_more
        try:
            await self._send(message)
        except OSError:
            self._is_gone = True
            raise

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000


def _request_id(scope: Scope) -> str:
    """As the request says, else a new one."""
    given = [value for name in _REQUEST_IDS for key, value in scope["headers"] if key == name]
    return given[0].decode("latin-1")[:MAX_FACT_CHARS] if given and given[0] else str(uuid4())


async def _read_ahead(receive: Receive) -> tuple[bytes, Receive]:
    """The body of a request, and what gives the same pieces to the program.

    What is longer than feedback and units ever are is passed on as it comes, and looked into as far as it was read.
    """
    pieces: list[Message] = []
    size = 0
    while size <= _MOST_BYTES:
        message = await receive()
        pieces.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    body = b"".join(piece.get("body", b"") for piece in pieces)
    waiting = iter(pieces)

    async def receive_again() -> Message:
        piece = next(waiting, None)
        return await receive() if piece is None else piece

    return body, receive_again


async def _answer(send: Send, status: int, said: Mapping[str, Any]) -> None:
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
