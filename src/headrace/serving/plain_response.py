"""An answer in JSON that can hold whatever a flow says."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

_ENCODER = json.JSONEncoder(separators=(",", ":"))


class PlainResponse(JSONResponse):
    """JSON as prompt flow writes it, in ASCII: what is no number stays ``NaN``, half a character is its escape."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return _ENCODER.encode(content).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; it is no answer to a connection of another kind, and nothing follows it."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
