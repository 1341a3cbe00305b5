"""An answer in JSON that can hold whatever a flow says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_ENCODER = json.JSONEncoder(separators=(",", ":"))


class PlainResponse(Response):
    """JSON as prompt flow writes it, in ASCII: what is no number stays ``NaN``, half a character is its escape."""

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Without what starlette does for answers of any kind, and looks for in each."""
        self.status_code = status_code
        self.background = None
        self.body = _ENCODER.encode(content).encode()
        length = str(len(self.body)).encode()
        self.raw_headers = [(b"content-length", length), (b"content-type", b"application/json")]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; it is no answer to a connection of another kind, and nothing follows it."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
