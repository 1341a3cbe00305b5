"""A model client as an OpenAI-compatible HTTP endpoint: ``headrace model serve``.

Routes: ``POST /v1/chat/completions``, ``/v1/completions`` and ``/v1/embeddings``; the same three below
``/openai/v1`` and ``/openai/deployments/{deployment}`` as Azure has them; ``GET /v1/models`` and ``/health``.
Whatever model name a request asks for, the one served model answers. Errors have OpenAI's form.

Other people's web pages must not reach the endpoint through a browser: requests have to be
``application/json``, which no page may send to another site unasked, and to name an expected host.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from headrace.domain.access import LOOPBACK_NAMES, is_loopback
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.providers.base import ModelClient, ModelRequest
from headrace.serving.model_errors import error_body, error_response
from headrace.serving.model_stream import answer_events, chunk_events
from headrace.serving.server import ServerCalls, address_of, bind, run_app

MAX_BODY_BYTES = 10_000_000

_REQUIRED = {"chat": "messages", "completion": "prompt", "embeddings": "input"}


def build_model_app(
    client: ModelClient,
    model: str,
    *,
    api_key: str | None = None,
    hosts: Sequence[str] = LOOPBACK_NAMES,
) -> ASGIApp:
    """The ASGI app around one model.

    Args:
        client: Answers the requests; closed by whoever opened it.
        model: The model that ``client`` is asked for.
        api_key: Key that requests must carry, as ``Authorization: Bearer`` or ``api-key``; ``None`` asks for
            none.
        hosts: Host names that requests may use; ``("*",)`` allows any.
    """
    endpoint = _ModelEndpoint(client, model, api_key)
    routes = [
        Route(prefix + path, endpoint.answer(operation), methods=["POST"])
        for prefix in ("/v1", "/openai/v1", "/openai/deployments/{deployment}")
        for path, operation in (
            ("/chat/completions", "chat"),
            ("/completions", "completion"),
            ("/embeddings", "embeddings"),
        )
    ]
    routes += [
        Route("/v1/models", endpoint.models, methods=["GET"]),
        Route("/health", endpoint.health, methods=["GET"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={
            HTTPException: _refuse,
            HeadraceError: _fail,
            ClientDisconnect: _gone,
            Exception: _crash,
        },
    )


class _ModelEndpoint:
    """The handlers of the app."""

    def __init__(self, client: ModelClient, model: str, api_key: str | None) -> None:
        self._client = client
        self._model = model
        self._api_key = api_key

    def answer(self, operation: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of one operation."""

        async def handle(request: Request) -> Response:
            self._check_key(request)
            body = await _read_body(request, _REQUIRED[operation])
            body.pop("model", None)
            model_request = ModelRequest(operation=operation, model=self._model, body=body)
            if body.get("stream") and operation != "embeddings":
                return await self._stream(model_request)
            response = await self._client.send(model_request)
            return JSONResponse(response.body)

        return handle

    async def models(self, request: Request) -> Response:
        """The one model that is served."""
        self._check_key(request)
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": self._client.system}
        return JSONResponse({"object": "list", "data": [model]})

    async def health(self, _: Request) -> Response:
        """That the process answers; it asks no model."""
        return JSONResponse({"status": "ok"})

    async def _stream(self, request: ModelRequest) -> Response:
        """Answer as server-sent events; a failure before the first one is an ordinary error answer."""
        # Streams carry text; calls of tools and several choices are whole answers cut into one event.
        if request.body.get("tools") or request.body.get("functions") or (request.body.get("n") or 1) > 1:
            events = answer_events(request, await self._client.send(_unstreamed(request)))
        else:
            events = chunk_events(request, self._client.stream(request))
        first = await anext(events)

        async def all_events() -> AsyncIterator[bytes]:
            yield first
            try:
                async for event in events:
                    yield event
            except HeadraceError as error:
                # The status is sent already: the error can only be said within the stream.
                yield b"data: " + json.dumps(error_body(error)).encode() + b"\n\n"

        return StreamingResponse(all_events(), media_type="text/event-stream")

    def _check_key(self, request: Request) -> None:
        if self._api_key is None:
            return
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("api-key") or bearer
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise HTTPException(
                401, "The key is missing or wrong: send HEADRACE_MODEL_API_KEY as the API key."
            )


def _unstreamed(request: ModelRequest) -> ModelRequest:
    body = {name: value for name, value in request.body.items() if name not in ("stream", "stream_options")}
    return ModelRequest(operation=request.operation, model=request.model, body=body)


async def _read_body(request: Request, required: str) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "Send JSON with the header Content-Type: application/json.")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request is larger than {MAX_BODY_BYTES:,} bytes.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The request is not valid JSON.") from error
    if not isinstance(body, dict) or not body.get(required):
        raise HTTPException(400, f'The request must be a JSON object with "{required}".')
    return body


def _refuse(_: Request, error: Exception) -> Response:
    """A request that we do not take."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = error.headers if isinstance(error, HTTPException) else None
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    body = {"error": {"message": detail, "type": kind, "param": None, "code": None}}
    return JSONResponse(body, status, headers=headers)


def _fail(_: Request, error: Exception) -> Response:
    """The model did not answer, or cannot be asked."""
    return error_response(error) if isinstance(error, HeadraceError) else _crash(_, error)


def _gone(_: Request, __: Exception) -> Response:
    """Nobody waits for the answer any more."""
    return Response(status_code=400)


def _crash(_: Request, __: Exception) -> Response:
    """A bug of ours: said in the same form, without its text, which could hold values."""
    body = {
        "message": "headrace failed; its log says why.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    return JSONResponse({"error": body}, 500)


async def run_model_server(
    client: ModelClient,
    model: str,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    *,
    api_key: str | None = None,
) -> None:
    """Serve ``client`` until the process is asked to stop, then close it.

    Args:
        client: Answers the requests.
        model: The model that it is asked for.
        host: Address to listen on; beyond loopback only together with ``api_key``.
        port: Port; 0 takes a free one.
        on_ready: Called with the base URL once requests are accepted.
        api_key: Key that requests must carry.

    Raises:
        UsageError: C507 when ``host`` is open to others and there is no key.
        StateError: S809 when the address cannot be listened on.
    """
    is_local = is_loopback(host)
    if not is_local and not api_key:
        raise UsageError(
            Problem(
                code="C507",
                what=f"The address {host} is open to other machines, and no key protects the model.",
                fix="Set HEADRACE_MODEL_API_KEY to a key of your choice, or listen on 127.0.0.1.",
            )
        )
    hosts = LOOPBACK_NAMES if is_local else ("*",)
    app = build_model_app(client, model, api_key=api_key, hosts=hosts)
    try:
        listener = bind(host, port)
        address = address_of(host, listener)
        await run_app(app, listener, ServerCalls(on_ready=lambda: on_ready(f"{address}/v1")))
    finally:
        await client.close()
