"""The id of a request: the caller's own where it has one, and in the answer again.

It is the id of the run of the line, as under prompt flow's server; ``scope["headrace.request_id"]`` holds it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from random import Random

from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "headrace.request_id"
"""Key of the request's scope."""

ID_HEADERS = (b"x-request-id", b"x-ms-client-request-id")
"""Headers in which a caller may send its own id; the first is that of every answer."""

# Not uuid4, which asks the system each time; ids have to be unique, not secret.
_ids = Random()  # noqa: S311

_FIXED_BITS = 0x4000 << 64 | 0x8000 << 48
_RANDOM_BITS = ~(0xF000 << 64 | 0xC000 << 48)
"""RFC 9562, 5.4: the version and the variant."""

_FORM = re.compile(rb"[A-Za-z0-9_.:/+=@-]{1,128}")


class RequestIds:
    """Gives every request an id. What a caller sends is taken only in a form that logs can bear."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = {
            name: value for name, value in scope["headers"] if name in ID_HEADERS and _FORM.fullmatch(value)
        }
        chosen = given.get(ID_HEADERS[0]) or given.get(ID_HEADERS[1])
        scope[REQUEST_ID] = new_id() if chosen is None else chosen.decode("ascii")
        answered = [(ID_HEADERS[0], chosen or scope[REQUEST_ID].encode())]
        if ID_HEADERS[1] in given:
            answered.append((ID_HEADERS[1], given[ID_HEADERS[1]]))

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *answered]
            return send(message)

        await self._app(scope, receive, send_with_id)


def new_id() -> str:
    """A UUID of version 4, written without the class, whose objects cost more than all the rest."""
    bits = "%032x" % (_ids.getrandbits(128) & _RANDOM_BITS | _FIXED_BITS)
    return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"
