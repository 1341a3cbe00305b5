"""The ASGI app around what is served: routes, and the middleware around them, each of which has one job.

Outermost first: request ids, observed, access, admission, the app. Whoever wants a layer of their own puts it around
:func:`build_app`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.config import ServingLimits
from headrace.errors import HeadraceError
from headrace.serving import flow_endpoint, probes
from headrace.serving.access import guard
from headrace.serving.admission import Admission
from headrace.serving.flow_errors import error_body, failure_status, refusal
from headrace.serving.observed import observed
from headrace.serving.request_id import RequestIds
from headrace.serving.routes import Routes
from headrace.serving.served import Served
from headrace.serving.server import run_app


def build_app(served: Served, limits: ServingLimits) -> ASGIApp:
    """The ASGI app around what is served.

    Args:
        served: The flows, and who may ask them.
        limits: How much is taken on at once.

    Raises:
        DefinitionError: The file of keys is wrong.
    """
    routes = {**probes.routes(served)}
    for flow in served.flows.values():
        routes |= flow_endpoint.routes(flow)
    app: ASGIApp = ServerErrorMiddleware(_Dispatch(routes), handler=_crash)
    app = guard(Admission(app, limits, served.load), served.access)
    return RequestIds(observed(app, served.span_sink, routes, served.access_log))


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
            if app is None:
                await _not_here(scope)(scope, receive, send)
            else:
                await app(scope, receive, send)
        except ClientDisconnect:
            await Response(status_code=400)(scope, receive, send)  # nobody waits for it any more
        except HTTPException as error:
            await JSONResponse(refusal(error.status_code, error.detail), error.status_code)(
                scope, receive, send
            )
        except HeadraceError as error:
            body, status = error_body(*error.problems), failure_status(error.problems[0])
            await JSONResponse(body, status)(scope, receive, send)


def _not_here(scope: Scope) -> Response:
    path = scope["path"].removeprefix("/")
    return PlainTextResponse(
        f"The requested api '{path}' with {scope['method']} is not supported by current app, if you entered the "
        "URL manually please check your spelling and try again.",
        404,
    )


def _crash(_: Request, __: Exception) -> Response:
    """A bug of ours: said in the same form, without its text, which could hold values."""
    return JSONResponse(refusal(500, "headrace failed; its log says why."), 500)


async def run_flow_server(
    served: Served, limits: ServingLimits, host: str, port: int, on_ready: Callable[[str], None]
) -> None:
    """Serve flows until the process is asked to stop.

    Args:
        served: The flows; closed by whoever opened them.
        limits: How much is taken on at once.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        on_ready: Called with the base URL once requests are accepted.

    Raises:
        StateError: S809 when the address cannot be listened on.
    """
    await run_app(build_app(served, limits), host, port, on_ready)
