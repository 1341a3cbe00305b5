"""What is seen of a request: a server span below the caller's, metrics, and a line of the access log.

None of it holds what was asked or answered. Where nothing is to be seen, a request passes through as it is.

What a caller says of a trace counts when the guard knows who asks. The span of any other request begins a trace, so
that nobody without a key chooses what is sampled, or adds to the trace of somebody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.serving.access import CALLER
from headrace.serving.access_log import AccessLog
from headrace.serving.request_id import REQUEST_ID
from headrace.telemetry import attributes as names
from headrace.telemetry.propagation import Caller, read_caller
from headrace.telemetry.setup import SpanSink
from headrace.telemetry.spans import ActiveSpan, enclosing_span, new_trace_id

_IN_FLIGHT = "http.server.active_requests"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"})
_OTHER = "_OTHER"
_PROBES = frozenset({"/health", "/healthz", "/readyz"})
"""What watches the process asks these every few seconds; nobody wants to see that."""

_READ = (b"traceparent", b"tracestate", b"baggage", b"user-agent")
_LONGEST = 256
_FIRST_FAILURE = 500
_GONE = "client-gone"


def observed(
    app: ASGIApp, sink: SpanSink, paths: Collection[str], access_log: AccessLog | None = None
) -> ASGIApp:
    """An app whose requests are seen.

    Args:
        app: Answers them.
        sink: Where spans and counts go.
        paths: The paths that mean something, which alone name spans and metrics: a caller may ask for any other.
        access_log: Where lines go; ``None`` writes none.
    """
    return _Observed(app, sink, frozenset(paths), access_log)


class _Observed:
    def __init__(
        self, app: ASGIApp, sink: SpanSink, paths: frozenset[str], access_log: AccessLog | None
    ) -> None:
        self._app = app
        self._sink = sink
        self._paths = paths
        self._access_log = access_log
        self._is_needed = sink.scope.is_passed_on or access_log is not None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            return self._app(scope, receive, send)
        if not self._is_needed and b"traceparent" not in dict(scope["headers"]):
            return self._app(scope, receive, send)
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _READ
        }
        caller = read_caller(headers) if "traceparent" in headers else None
        if not self._is_needed and caller is None:
            return self._app(scope, receive, send)
        return self._answer_seen(scope, receive, send, self._begin(scope, headers, caller))

    async def _answer_seen(self, scope: Scope, receive: Receive, send: Send, span: ActiveSpan) -> None:
        attributes = span.attributes
        counted = {names.HTTP_METHOD: attributes[names.HTTP_METHOD], names.URL_SCHEME: scope["scheme"]}
        n_bytes = 0

        def send_seen(message: Message) -> Awaitable[None]:
            nonlocal n_bytes
            if message["type"] == "http.response.start":
                attributes[names.HTTP_STATUS] = message["status"]
            else:
                n_bytes += len(message.get("body", b""))
            return send(message)

        token = enclosing_span.set(span)
        self._sink.count(_IN_FLIGHT, 1, counted)
        try:
            await self._app(scope, receive, send_seen)
        except BaseException as error:
            span.fail(type(error).__name__, type(error).__name__)
            raise
        finally:
            enclosing_span.reset(token)
            self._sink.count(_IN_FLIGHT, -1, counted)
            self._end(span, scope, n_bytes)

    def _begin(self, scope: Scope, headers: Mapping[str, str], caller: Caller | None) -> ActiveSpan:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        path = scope["path"]
        route = path if path in self._paths else None
        whole = replace(
            self._sink.scope,
            is_passed_on=self._sink.scope.is_passed_on or caller is not None,
            is_sampled=caller.is_sampled if caller is not None else None,
            trace_state=caller.trace_state if caller is not None else "",
            baggage=caller.baggage if caller is not None else "",
        )
        return ActiveSpan(
            f"{method} {route}" if route is not None else method,
            trace_id=caller.trace_id if caller is not None else new_trace_id(),
            parent_id=caller.span_id if caller is not None else None,
            sink=self._sink,
            kind="server",
            attributes=_request_attributes(scope, headers, method, route),
            scope=whole,
        )

    def _end(self, span: ActiveSpan, scope: Scope, n_bytes: int) -> None:
        if CALLER not in scope:
            span.trace_id, span.parent_id, span.scope = new_trace_id(), None, self._sink.scope
        status = span.attributes.get(names.HTTP_STATUS)
        if names.ERROR_TYPE not in span.attributes:
            if status is None:
                span.attributes[names.ERROR_TYPE] = _GONE
            elif status >= _FIRST_FAILURE:
                span.fail(str(status), str(status))
        span.end()
        if self._access_log is not None:
            took_s = (span.end_ns - span.start_ns) / 1e9
            self._access_log.write(span, str(scope.get(REQUEST_ID, "")), took_s, n_bytes)


def _request_attributes(
    scope: Scope, headers: Mapping[str, str], method: str, route: str | None
) -> dict[str, Any]:
    """The attributes of a server span; the query is none of them, because it may hold anything."""
    address, port = scope.get("server") or (None, None)
    client = scope.get("client")
    found = {
        names.HTTP_METHOD: method,
        names.HTTP_ROUTE: route,
        names.URL_PATH: scope["path"][:_LONGEST],
        names.URL_SCHEME: scope["scheme"],
        names.SERVER_ADDRESS: address,
        names.SERVER_PORT: port,
        names.CLIENT_ADDRESS: client[0] if client else None,
        names.PROTOCOL_VERSION: scope.get("http_version"),
        names.USER_AGENT: headers.get("user-agent", "")[:_LONGEST] or None,
        names.REQUEST_ID: scope.get(REQUEST_ID),
    }
    return {name: value for name, value in found.items() if value is not None}


def note_wait(began_s: float, now_s: float) -> None:
    """Say on the server span of this request how long it has waited for its turn; times of one clock, seconds."""
    span = enclosing_span.get()
    if span is not None:
        span.attributes[names.QUEUE_WAIT] = round(now_s - began_s, 6)


def note_cut(why: str) -> None:
    """Say on the server span of this request that its answer, which had begun, was ended, and why."""
    span = enclosing_span.get()
    if span is not None:
        span.fail(why, why)
