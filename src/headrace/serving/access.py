"""Who may ask: hosts, pages, keys and tokens, and how often; and what browsers are told about every answer.

Plain ASGI around any app. A request passes, in this order: its host, its page, its key or token, its caller's limits.
What is refused costs the app nothing.

Pages of other sites are kept out: a browser that sends a request with an ``Origin`` that is neither ours nor named is
answered 403, because it would hide the answer but the flow would run. On loopback a request also has to name this
machine, so that a name which is pointed at it later is no way in.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.domain.access import LOOPBACK_NAMES, AccessRules
from headrace.serving.callers import Callers, RefusedError
from headrace.serving.flow_errors import refusal
from headrace.serving.rates import Rates
from headrace.serving.routes import HAS_STARTED

CALLER = "headrace.caller"
"""Key of the request's scope: who asks, see :class:`headrace.serving.callers.Caller`."""

READY_PATH = "/readyz"
OPEN_PATHS = frozenset({"/health", "/healthz", READY_PATH})
"""What a platform asks, which has no key."""

_LOCAL_PAGE = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_PORT = re.compile(r":\d+$")
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9, _-]{0,1000}")
_READING = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_ALWAYS_WITH_POLICY = (*_ALWAYS, _POLICY)
_OURS = frozenset(name for name, _ in _ALWAYS)
_EXPOSED = (
    b"retry-after, ratelimit, ratelimit-policy, x-request-id, x-ms-client-request-id, x-headrace-flow-version, "
    b"x-headrace-arm, x-headrace-exposure-id"
)
_Fields = tuple[tuple[bytes, bytes], ...]


def guard(app: ASGIApp, rules: AccessRules, *, open_paths: Iterable[str] = ()) -> ASGIApp:
    """An app that lets only those through who may ask.

    Args:
        app: What is guarded.
        rules: Who may ask, and how often.
        open_paths: Paths, beside those of probes, that are read without a key: pages that hold no answer.

    Raises:
        DefinitionError: The file of keys is wrong.
        UsageError: C505 for tokens without the extra ``entra``.
    """
    return _Access(app, rules, Callers(rules), OPEN_PATHS | frozenset(open_paths))


class _Access:
    """The guard."""

    def __init__(
        self, app: ASGIApp, rules: AccessRules, callers: Callers, open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._rules = rules
        self._callers = callers
        anybody = callers.anybody
        self._free = None if anybody is None or anybody.rate.is_limit else anybody
        self._open_paths = open_paths
        self._rates = Rates()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        if scope["type"] != "http":
            return self._answer_other(scope, receive, send)
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        is_welcome = not origin or self._is_welcome(origin, headers)
        send = _Headed(send, _sharing(origin) if origin and is_welcome else (), scope).send
        refused = self._refuse_place(scope, headers, is_welcome=is_welcome)
        if refused is not None:
            return refused(scope, receive, send)
        if origin and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            return _preflight(headers)(scope, receive, send)
        if scope["path"] in self._open_paths and scope["method"] in _READING:
            return self._answer_anybody(scope, receive, send)
        if self._free is None:
            return self._answer_caller(scope, receive, send)
        scope[CALLER] = self._free.name
        return self._app(scope, receive, send)

    async def _answer_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The start and the end of the app pass; a connection that is no request is closed."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer_anybody(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through; one that tells more to callers is told who asks."""
        if scope["path"] == READY_PATH:
            with suppress(RefusedError):
                scope[CALLER] = (await self._callers.find(scope["headers"])).name
        await self._app(scope, receive, send)

    async def _answer_caller(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, if its caller may ask now."""
        try:
            caller = self._callers.anybody or await self._callers.find(scope["headers"])
        except RefusedError as error:
            await _refuse_caller(error)(scope, receive, send)
            return
        scope[CALLER] = caller.name
        turn = self._rates.enter(caller.name, caller.rate)
        if turn.retry_after_s is not None:
            response = JSONResponse(
                refusal(429, "This caller has used up what it may ask; try again later."), 429
            )
            response.headers["retry-after"] = str(turn.retry_after_s)
            response.raw_headers.extend(turn.fields)
            await response(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _Headed(send, turn.fields, scope).add if turn.fields else send)
        finally:
            if caller.rate.is_limit:
                self._rates.leave(caller.name)

    def _is_welcome(self, origin: str, headers: dict[bytes, bytes]) -> bool:
        """Whether a page may ask: one of ours, one of this machine, or one that is named."""
        if origin in self._rules.origins or (self._rules.is_local and _LOCAL_PAGE.fullmatch(origin)):
            return True
        if self._rules.is_local:
            return False
        # No page can set this header; a proxy may have changed the host.
        return headers.get(b"sec-fetch-site") == b"same-origin" or _is_own(origin, headers.get(b"host", b""))

    def _refuse_place(
        self, scope: Scope, headers: dict[bytes, bytes], *, is_welcome: bool
    ) -> Response | None:
        """The answer to a request from or to the wrong place; ``None`` for any other."""
        # HTTP/1.0 needs no host, and probes of proxies send none; browsers, whom this is about, always do.
        names_host = b"host" in headers or scope.get("http_version") != "1.0"
        if self._rules.is_local and names_host and not _is_loopback_name(headers.get(b"host", b"")):
            return PlainTextResponse("Invalid host header", 400)
        if is_welcome:
            return None
        if scope["method"] not in _READING or b"access-control-request-method" in headers:
            where = "on this machine" if self._rules.is_local else "here"
            return JSONResponse(
                refusal(403, f"Pages of other sites may not call a flow that is served {where}."), 403
            )
        return None


class _Headed:
    """Adds header fields to the start of an answer."""

    __slots__ = ("_fields", "_scope", "_send")

    def __init__(self, send: Send, fields: _Fields, scope: Scope) -> None:
        self._send = send
        self._fields = fields
        self._scope = scope

    def add(self, message: Message) -> Awaitable[None]:
        """Pass a message on, with the fields."""
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *self._fields]
        return self._send(message)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, with the fields and with what browsers are told always."""
        if message["type"] == "http.response.start":
            self._scope[HAS_STARTED] = True
            headers = message.get("headers", ())
            given = {name.lower() for name, _ in headers}
            if not given.isdisjoint(_OURS):
                headers = [item for item in headers if item[0].lower() not in _OURS]
            always = _ALWAYS if _POLICY[0] in given else _ALWAYS_WITH_POLICY
            message["headers"] = [*headers, *always, *self._fields]
        return self._send(message)


@lru_cache(maxsize=64)
def _is_loopback_name(host: bytes) -> bool:
    return _PORT.sub("", host.decode("latin-1").lower()) in LOOPBACK_NAMES


def _is_own(origin: str, host: bytes) -> bool:
    """Whether a page was sent by the host that the request names."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower().encode("latin-1") == host.lower() != b""


def _sharing(origin: str) -> _Fields:
    """What lets the browser show the answer to the page."""
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    )


def _preflight(headers: dict[bytes, bytes]) -> Response:
    """What a page may send, which is what it asks to send."""
    wanted = headers.get(b"access-control-request-headers", b"")
    response = Response(status_code=204)
    response.headers["access-control-allow-methods"] = "GET, POST"
    response.headers["access-control-max-age"] = "600"
    if wanted and _HEADER_NAMES.fullmatch(wanted):
        response.headers["access-control-allow-headers"] = wanted.decode("ascii")
    return response


def _refuse_caller(error: RefusedError) -> Response:
    response = JSONResponse(refusal(error.status, str(error)), error.status)
    if error.status == 503:
        response.headers["retry-after"] = "30"
    else:
        challenge = f'Bearer error="{error.error}"' if error.error else "Bearer"
        response.headers["www-authenticate"] = challenge
    return response
