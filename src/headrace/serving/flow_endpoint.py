"""A flow as an HTTP endpoint: ``headrace flow serve`` (promptflow-format: 10).

Routes: ``POST /score`` and ``/feedback``, ``GET /health``, ``/version``, ``/swagger.json`` and ``/``. One request is
one line: aggregation nodes do not run, and outputs that are for evaluation only are left out. A client that accepts
``text/event-stream`` gets the outputs of a flow that streams piece by piece.

On loopback, web pages of other sites must not reach the flow through a browser: requests have to name this machine,
and to come from no page or from one of this machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from headrace.domain.flow import DAG, FLEX
from headrace.domain.multimedia import MediaForm, inline_media
from headrace.domain.run import LineResult
from headrace.engine.line import run_line
from headrace.engine.outputs import bare_result
from headrace.engine.runtime import PreparedFlow
from headrace.errors import HeadraceError
from headrace.serving.flow_errors import error_body, failure_status, refusal
from headrace.serving.flow_inputs import read_inputs
from headrace.serving.flow_schema import describe_flow
from headrace.serving.flow_stream import FlowStream
from headrace.serving.server import LOOPBACK_NAMES, is_loopback, run_app
from headrace.telemetry.spans import ActiveSpan, new_trace_id

MAX_BODY_BYTES = 64_000_000
_JSON_TYPES = ("*/*", "application/json", "application/*")
_EVENTS = "text/event-stream"
_LOCAL_PAGE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served, and what the endpoint says about itself.

    Attributes:
        flow: The flow, ready to run.
        version: Version of headrace.
        build_info: What the builder of an image wants known, as it was given.
        fields: Names of the outputs that are answered; ``None`` for all but those for evaluation only.
        example: An example of the inputs.
    """

    flow: PreparedFlow
    version: str
    build_info: str = ""
    fields: Sequence[str] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    def answered(self) -> tuple[str, ...]:
        """Names of the declared outputs that are answered."""
        outputs = self.flow.plan.flow.outputs.values()
        if self.fields is not None:
            return tuple(output.name for output in outputs if output.name in self.fields)
        return tuple(output.name for output in outputs if not output.is_evaluation_only)


def build_flow_app(served: Served, *, is_local: bool = True) -> ASGIApp:
    """The ASGI app around one flow.

    Args:
        served: The flow.
        is_local: Only programs and pages of this machine may ask.
    """
    endpoint = _FlowEndpoint(served, is_local=is_local)
    routes = [
        Route("/score", endpoint.score, methods=["POST"]),
        Route("/feedback", endpoint.feedback, methods=["POST"]),
        Route("/health", endpoint.health, methods=["GET"]),
        Route("/version", endpoint.version, methods=["GET"]),
        Route("/swagger.json", endpoint.schema, methods=["GET"]),
        Route("/", endpoint.home, methods=["GET"]),
    ]
    pages: dict[str, Any] = {"allow_origin_regex": _LOCAL_PAGE} if is_local else {"allow_origins": ["*"]}
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES) if is_local else ["*"]),
            Middleware(CORSMiddleware, allow_methods=["*"], allow_headers=["*"], **pages),
        ],
        exception_handlers={
            HTTPException: _refuse,
            HeadraceError: _fail,
            ClientDisconnect: _gone,
            Exception: _crash,
        },
    )


class _PlainResponse(JSONResponse):
    """JSON as prompt flow writes it: what is no number stays ``NaN``."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, separators=(",", ":")).encode()


class _FlowEndpoint:
    """What answers the routes."""

    def __init__(self, served: Served, *, is_local: bool) -> None:
        self._served = served
        self._flow = served.flow
        self._is_local = is_local
        self._n_requests = 0

    async def score(self, request: Request) -> Response:
        """Run one line."""
        self._check_page(request)
        accepted = _accepted_types(request)
        wants_events = self._wants_events(accepted)
        inputs = read_inputs(self._flow.plan.flow, await _read_body(request))
        self._n_requests += 1
        number = self._n_requests
        if wants_events:
            return FlowStream(
                lambda on_outputs, on_text: run_line(
                    self._flow, inputs, line_number=number, on_outputs=on_outputs, on_text=on_text
                ),
                self._answered,
                lambda line: self._answer_whole(line, accepted),
            )
        return self._answer_whole(await run_line(self._flow, inputs, line_number=number), accepted)

    async def feedback(self, request: Request) -> Response:
        """Keep what somebody thinks of an answer as a span, below the trace that the request names."""
        self._check_page(request)
        text = (await _read_body(request)).decode(errors="replace")
        parent = _TRACE_PARENT.fullmatch(request.headers.get("traceparent", ""))
        span = ActiveSpan(
            "promptflow-feedback",
            trace_id=parent[1] if parent else new_trace_id(),
            parent_id=parent[2] if parent else None,
            sink=self._flow.span_sink,
            attributes=_feedback_attributes(text, request.query_params.get("flatten") == "true"),
        )
        span.end()
        return JSONResponse({"status": "Feedback received."})

    async def health(self, _: Request) -> Response:
        """That the process answers; it runs nothing."""
        return JSONResponse({"status": "Healthy", "version": self._served.version})

    async def version(self, _: Request) -> Response:
        """Which build serves; the version of headrace where none is known."""
        build_info = self._served.build_info
        version = _build_number(build_info) or self._served.version
        return JSONResponse({"build_info": build_info, "status": "Healthy", "version": version})

    async def schema(self, _: Request) -> Response:
        """The OpenAPI description."""
        flow = self._flow.plan.flow
        return JSONResponse(describe_flow(flow, self._served.answered(), self._served.example))

    async def home(self, _: Request) -> Response:
        """A page for a person who opens the address."""
        name = escape(self._flow.plan.flow.name)
        return HTMLResponse(
            f"<!doctype html><title>{name}</title><h1>{name}</h1><p>POST a JSON object of inputs to /score. "
            '<a href="swagger.json">The inputs and outputs</a>.</p>'
        )

    def _answered(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that may be seen, images in base64."""
        shown = outputs
        if self._flow.plan.flow.kind == DAG or self._served.fields is not None:
            names = self._served.answered() if self._served.fields is None else self._served.fields
            shown = {name: value for name, value in outputs.items() if name in names}
        return {name: self._inline(value) for name, value in shown.items()}

    def _inline(self, value: Any) -> Any:
        return inline_media(value, self._flow.plan.flow.message_format)

    def _answer_whole(self, line: LineResult, accepted: Sequence[str]) -> Response:
        """The answer in one piece."""
        if line.problem is not None:
            return JSONResponse(error_body(line.problem), failure_status(line.problem))
        if not any(item in _JSON_TYPES for item in accepted):
            return JSONResponse(refusal(406, _unacceptable(accepted, ["application/json"])), 406)
        return _PlainResponse(self._answer(line))

    def _answer(self, line: LineResult) -> Any:
        """What a whole answer holds; of a flow of one node, what that returned."""
        value = bare_result(self._flow.plan.flow, line)
        is_image = isinstance(value, MediaForm)
        return self._answered(value) if isinstance(value, Mapping) and not is_image else self._inline(value)

    def _check_page(self, request: Request) -> None:
        """Refuse what a page of another site sends: its browser would hide the answer, but the flow would run."""
        origin = request.headers.get("origin")
        if self._is_local and origin and not re.fullmatch(_LOCAL_PAGE, origin):
            raise HTTPException(
                403, "Pages of other sites may not call a flow that is served on this machine."
            )

    def _wants_events(self, accepted: Sequence[str]) -> bool:
        """Whether the answer goes piece by piece, where the flow has pieces; a flex flow shows that by what it returns.

        Raises:
            HTTPException: 406 when the client accepts nothing that the flow can answer.
        """
        can_stream = self._flow.plan.flow.kind == FLEX or any(
            getattr(self._flow.tools[name], "can_stream", False) for name in self._flow.streamed_nodes
        )
        if can_stream and _EVENTS in accepted:
            return True
        if any(item in _JSON_TYPES for item in accepted):
            return False
        offered = ["application/json", *([_EVENTS] if can_stream else [])]
        raise HTTPException(406, _unacceptable(accepted, offered))


def _build_number(build_info: str) -> Any:
    """``build_number`` of a JSON object; ``None`` where it is none, or has none."""
    try:
        build = json.loads(build_info)
    except ValueError:
        return None
    return build.get("build_number") if isinstance(build, dict) else None


def _accepted_types(request: Request) -> tuple[str, ...]:
    """The media types that a client names, without their parameters."""
    named = request.headers.get("accept", "*/*").split(",")
    return tuple(item.partition(";")[0].strip() for item in named)


def _unacceptable(accepted: Sequence[str], offered: Sequence[str]) -> str:
    what = f"Media type {', '.join(accepted)} in Accept header is not acceptable."
    return f"{what} Supported media type(s) - {', '.join(offered)}"


def _feedback_attributes(text: str, is_flat: bool) -> dict[str, Any]:  # noqa: FBT001 - one place
    attributes: dict[str, Any] = {"feedback": text}
    if is_flat:
        try:
            data = json.loads(text)
        except ValueError:
            return attributes
        if isinstance(data, dict):
            attributes |= {
                str(name): value if isinstance(value, (str, int, float)) else json.dumps(value)
                for name, value in data.items()
            }
    return attributes


async def _read_body(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request is larger than {MAX_BODY_BYTES:,} bytes.")
    return bytes(content)


def _refuse(request: Request, error: Exception) -> Response:
    """A request that is not taken."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    if status in (404, 405):
        path = request.url.path.removeprefix("/")
        return PlainTextResponse(
            f"The requested api '{path}' with {request.method} is not supported by current app, if you entered the "
            "URL manually please check your spelling and try again.",
            404,
        )
    detail = error.detail if isinstance(error, HTTPException) else ""
    return JSONResponse(refusal(status, detail), status)


def _fail(_: Request, error: Exception) -> Response:
    """Inputs that do not fit."""
    if not isinstance(error, HeadraceError):
        return _crash(_, error)
    return JSONResponse(error_body(*error.problems), failure_status(error.problems[0]))


def _gone(_: Request, __: Exception) -> Response:
    """Nobody waits for the answer any more."""
    return Response(status_code=400)


def _crash(_: Request, __: Exception) -> Response:
    """A bug of ours: said in the same form, without its text, which could hold values."""
    return JSONResponse(refusal(500, "headrace failed; its log says why."), 500)


async def run_flow_server(served: Served, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve a flow until the process is asked to stop.

    Args:
        served: The flow; closed by whoever opened it.
        host: Address to listen on; on loopback, pages of other sites are kept out.
        port: Port; 0 takes a free one.
        on_ready: Called with the base URL once requests are accepted.

    Raises:
        StateError: S809 when the address cannot be listened on.
    """
    await run_app(build_flow_app(served, is_local=is_loopback(host)), host, port, on_ready)
