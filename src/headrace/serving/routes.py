"""How a module says which requests it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Routes = Mapping[str, Mapping[str, ASGIApp]]
"""Path to method to what answers; ``GET`` answers ``HEAD`` as well."""

HAS_STARTED = "headrace.has_started"
"""Key of the scope of a request whose answer has begun."""

Answer = Callable[[Request], Awaitable[Response]]


def answering(answer: Answer) -> ASGIApp:
    """The app that sends what ``answer`` returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    return app


async def read_body(receive: Receive) -> bytes:
    """The body of a request, without the objects that Starlette makes around one.

    Raises:
        ClientDisconnect: The client has gone.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
