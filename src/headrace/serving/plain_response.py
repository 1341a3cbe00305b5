"""An answer in JSON that can hold whatever a flow says."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

_ENCODER = json.JSONEncoder(separators=(",", ":"))


class PlainResponse(JSONResponse):
    """JSON as prompt flow writes it, in ASCII: what is no number stays ``NaN``, half a character is its escape."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return _ENCODER.encode(content).encode()
