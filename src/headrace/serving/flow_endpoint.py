"""A flow as an HTTP endpoint: ``headrace flow serve`` (promptflow-format: 10).

Routes: ``POST /score`` and ``/feedback``, ``GET /swagger.json``, below the path of the flow. One request is
one line: aggregation nodes do not run, and outputs that are for evaluation only are left out. A client that accepts
``text/event-stream`` gets the outputs of a flow that streams piece by piece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from headrace.domain.multimedia import MediaForm, inline_media
from headrace.domain.run import LineResult
from headrace.domain.span import NO_SCOPE
from headrace.engine.outputs import bare_result
from headrace.errors import HeadraceError, Problem, StateError
from headrace.serving.conversation import conversation_attributes
from headrace.serving.flow_errors import error_body, failure_status, refusal
from headrace.serving.flow_inputs import read_inputs
from headrace.serving.flow_schema import describe_flow
from headrace.serving.flow_stream import FlowStream
from headrace.serving.plain_response import PlainResponse
from headrace.serving.routes import Routes, answering, read_body
from headrace.serving.served import FlowCall, ServedFlow
from headrace.telemetry.propagation import read_caller
from headrace.telemetry.redaction import LONGEST_TEXT
from headrace.telemetry.spans import ActiveSpan, enclosing_span, new_trace_id

MAX_FEEDBACK_FIELDS = 64
"""Fields of a flat feedback that become attributes of their own."""

_JSON_TYPES = ("*/*", "application/json", "application/*")
_EVENTS = "text/event-stream"
_FIELD_NAME = re.compile(r"[^.\x00-\x1f\ud800-\udfff]{1,128}")


def routes(flow: ServedFlow) -> Routes:
    """What one flow answers."""
    endpoint = _FlowEndpoint(flow)
    return {
        f"{flow.path}/score": {"POST": endpoint.score},
        f"{flow.path}/feedback": {"POST": answering(endpoint.feedback)},
        f"{flow.path}/swagger.json": {"GET": answering(endpoint.schema)},
    }


class _FlowEndpoint:
    """What answers the routes."""

    def __init__(self, flow: ServedFlow) -> None:
        self._flow = flow

    async def score(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one line, with the version that is served as it begins."""
        body = await read_body(receive)
        with self._flow.call(scope, body) as call:
            call.attributes = conversation_attributes(scope)
            response = await _Scoring(call, scope).answer(body)
            await response(scope, receive, send)

    async def feedback(self, request: Request) -> Response:
        """Keep what somebody thinks of an answer as a span, below the trace that the request names."""
        body = await request.body()
        try:
            await self._flow.hear(body, request.headers)
        except StateError:
            what = "The feedback could not be kept; send it again, with the same id."
            return JSONResponse(refusal(503, what), 503, {"retry-after": "5"})
        text = self._flow.shown_feedback(body).decode(errors="replace")
        caller, above = read_caller(request.headers), enclosing_span.get()
        with self._flow.use() as version:
            span = ActiveSpan(
                "promptflow-feedback",
                trace_id=caller.trace_id if caller else new_trace_id(),
                parent_id=caller.span_id if caller else None,
                sink=version.flow.span_sink,
                attributes=_feedback_attributes(text, request.query_params.get("flatten") == "true"),
                scope=above.scope if above else NO_SCOPE,
            )
            span.end()
        return JSONResponse({"status": "Feedback received."})

    async def schema(self, _: Request) -> Response:
        """The OpenAPI description."""
        version = self._flow.version
        flow, shown = version.flow.plan.flow, version.answered
        if version.answers_bare:  # prompt flow shows only what the file declares then
            shown = tuple(name for name in shown if ("outputs", name) in flow.source_map.keys)
        return PlainResponse(describe_flow(flow, shown, version.example))


class _Scoring:
    """One request to score, on its way through the flow."""

    __slots__ = ("_accepted", "_call")

    def __init__(self, call: FlowCall, scope: Scope) -> None:
        self._call = call
        accepted = [value for name, value in scope["headers"] if name == b"accept"]
        self._accepted = _accepted_types(b",".join(accepted))

    async def answer(self, body: bytes) -> Response:
        """Run the line, or get ready to run it while its answer is sent."""
        wants_events = self._wants_events()
        call = self._call
        try:
            call.take(lambda flow: read_inputs(flow, body))
        except HeadraceError as error:
            return self._fail(*error.problems)
        if wants_events:
            return FlowStream(
                lambda on_outputs, on_piece: call.run(on_outputs=on_outputs, on_piece=on_piece),
                self._answered,
                self._answer_whole,
                call.headers,
            )
        return self._answer_whole(await call.run())

    def _answered(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that may be seen, images in base64."""
        return {name: self._inline(value) for name, value in self._call.version.choose(outputs).items()}

    def _inline(self, value: Any) -> Any:
        return inline_media(value, self._call.version.flow.plan.flow.message_format)

    def _answer_whole(self, line: LineResult) -> Response:
        """The answer in one piece."""
        if line.problem is not None:
            return self._fail(line.problem)
        if not any(item in _JSON_TYPES for item in self._accepted):
            what = _unacceptable(self._accepted, ["application/json"])
            return JSONResponse(refusal(406, what), 406, self._call.headers)
        return PlainResponse(self._answer(line), headers=self._call.headers)

    def _fail(self, *problems: Problem) -> Response:
        return PlainResponse(error_body(*problems), failure_status(problems[0]), self._call.headers)

    def _answer(self, line: LineResult) -> Any:
        """What a whole answer holds; of a flow of one node, what that returned."""
        value = bare_result(self._call.version.flow.plan.flow, line)
        is_image = isinstance(value, MediaForm)
        return self._answered(value) if isinstance(value, Mapping) and not is_image else self._inline(value)

    def _wants_events(self) -> bool:
        """Whether the answer goes piece by piece, where the flow has pieces.

        Raises:
            HTTPException: 406 when the client accepts nothing that the flow can answer.
        """
        can_stream, accepted = self._call.version.can_stream, self._accepted
        if can_stream and _EVENTS in accepted:
            return True
        if any(item in _JSON_TYPES for item in accepted):
            return False
        offered = ["application/json", *([_EVENTS] if can_stream else [])]
        raise HTTPException(406, _unacceptable(accepted, offered))


@lru_cache(maxsize=64)
def _accepted_types(header: bytes) -> tuple[str, ...]:
    """The media types that a client names, without their parameters, in lower case: RFC 9110, 8.3.1."""
    named = (item.partition(";")[0].strip().lower() for item in header.decode("latin-1").split(","))
    return tuple(item for item in named if item) or ("*/*",)  # an empty one accepts everything


def _unacceptable(accepted: Sequence[str], offered: Sequence[str]) -> str:
    what = f"Media type {', '.join(accepted)} in Accept header is not acceptable."
    return f"{what} Supported media type(s) - {', '.join(offered)}"


def _feedback_attributes(text: str, is_flat: bool) -> dict[str, Any]:  # noqa: FBT001 - one place
    """What the span says: the body, and where that is asked for the fields of its object by their names.

    Only names without a dot, so that nobody sends what counts as a token, a cost or a version; and only so many, and so
    much of each.
    """
    attributes: dict[str, Any] = {"feedback": text[:LONGEST_TEXT]}
    if is_flat:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return attributes
        if isinstance(data, dict):
            named = [item for item in data.items() if _FIELD_NAME.fullmatch(item[0])]
            attributes |= {name: _feedback_value(value) for name, value in named[:MAX_FEEDBACK_FIELDS]}
    return attributes


def _feedback_value(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        text = "nested too deep"
    return text[:LONGEST_TEXT]
