"""How a module says which requests it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Routes = Mapping[str, Mapping[str, ASGIApp]]
"""Path to method to what answers; ``GET`` answers ``HEAD`` as well."""

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
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
