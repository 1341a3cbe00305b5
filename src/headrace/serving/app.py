"""The ASGI app around what is served: routes, and the middleware around them, each of which has one job.

Outermost first: request ids, observed, access, admission, the app. Whoever wants a layer of their own puts it around
:func:`build_app`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from socket import socket

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.config import ServingLimits, Settings
from headrace.errors import HeadraceError
from headrace.serving import chat_completions, chat_page, flow_endpoint, openapi, probes
from headrace.serving.access import guard
from headrace.serving.admission import Admission
from headrace.serving.flow_errors import error_body, failure_status, refusal
from headrace.serving.observed import observed
from headrace.serving.plain_response import PlainResponse
from headrace.serving.request_id import RequestIds
from headrace.serving.routes import HAS_STARTED, Routes
from headrace.serving.served import Served
from headrace.serving.server import ServerCalls, ServerTimes, run_app


def build_app(served: Served, limits: ServingLimits) -> ASGIApp:
    """The ASGI app around what is served.

    Args:
        served: The flows, and who may ask them.
        limits: How much is taken on at once.

    Raises:
        DefinitionError: The file of keys is wrong.
    """
    routes = {
        **probes.routes(served),
        **openapi.routes(served),
        **chat_completions.routes(served),
        **chat_page.routes(served),
    }
    for flow in served.flows.values():
        routes |= flow_endpoint.routes(flow)
    app: ASGIApp = Admission(_Dispatch(routes), limits, served.load)
    app = guard(app, served.access, open_paths=chat_page.open_paths(served))
    return RequestIds(_with_one_slash(observed(app, served.span_sink, routes, served.access_log)))


def _with_one_slash(app: ASGIApp) -> ASGIApp:
    """Let clients that put an address with a slash at its end before ``/score`` reach what they mean."""

    def call(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["path"].startswith("//"):
            scope["path"] = f"/{scope['path'].lstrip('/')}"
        return app(scope, receive, send)

    return call


class _Dispatch:
    """Finds who answers, and says what was refused as prompt flow's server does."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        methods: Mapping[str, ASGIApp] = self._routes.get(scope["path"], {})
        method = scope["method"]
        app = methods.get("GET" if method == "HEAD" else method)
        try:
            try:
                if app is None:
                    await _not_here(scope)(scope, receive, send)
                else:
                    await app(scope, receive, send)
            except ClientDisconnect:
                await Response(status_code=400)(scope, receive, send)  # nobody waits for it any more
            except HTTPException as error:
                body, status = refusal(error.status_code, error.detail), error.status_code
                await JSONResponse(body, status)(scope, receive, send)
            except HeadraceError as error:
                body, status = error_body(*error.problems), failure_status(error.problems[0])
                await PlainResponse(body, status)(scope, receive, send)
        except Exception:
            # A bug of ours: said in the same form, without its text, which could hold values. The server logs it.
            # A second block, because what says that a request was refused may have a bug as well.
            if HAS_STARTED not in scope:
                what = "headrace failed; its log says why."
                await JSONResponse(refusal(500, what), 500)(scope, receive, send)
            raise


def _not_here(scope: Scope) -> Response:
    path = scope["path"].removeprefix("/")
    return PlainTextResponse(
        f"The requested api '{path}' with {scope['method']} is not supported by current app, if you entered the "
        "URL manually please check your spelling and try again.",
        404,
    )


async def run_flow_server(
    served: Served,
    settings: Settings,
    listener: socket,
    *,
    on_ready: Callable[[], None],
    on_reload: Callable[[], None] | None = None,
) -> None:
    """Serve flows until the process is asked to stop.

    Args:
        served: The flows; closed by whoever opened them.
        settings: How much is taken on at once, and how long requests in flight may go on at the end.
        listener: Closed at the end.
        on_ready: Called once requests are accepted.
        on_reload: Called at ``SIGHUP``.
    """
    limits = settings.serving

    def stop() -> None:
        served.is_draining = True

    await run_app(
        build_app(served, limits),
        listener,
        ServerCalls(on_ready=on_ready, on_stop=stop, on_reload=on_reload),
        ServerTimes(idle_s=limits.idle_s, grace_s=settings.grace_s, stop_delay_s=limits.stop_delay_s),
    )
