"""The answer of a flow that streams, as server-sent events (promptflow-format: 10).

The outputs that do not stream come first, in one event; then every piece in one of its own. There is no event that says
that it was the last one.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.domain.run import LineResult
from headrace.engine.line import OnOutputs, OnPiece
from headrace.serving.flow_errors import error_body
from headrace.serving.flow_schema import is_json
from headrace.serving.running_line import RunningLine

RunLine = Callable[[OnOutputs, OnPiece], Awaitable[LineResult]]


class FlowStream(Response):
    """Runs a line and sends what it has to say as soon as it is there; the line ends with the task that sends.

    Nothing is sent before the first piece is there. A line that fails until then is answered as an error, one in which
    nothing streamed as a whole. One that fails later says so in its last event.

    Args:
        run: Runs the line.
        answered: Takes away the outputs that may not be seen.
        answer_whole: Makes the answer of a line in which nothing streamed.
        headers: Further headers of the stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        run: RunLine,
        answered: Callable[[Mapping[str, Any]], dict[str, Any]],
        answer_whole: Callable[[LineResult], Response],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._run = run
        self._answered = answered
        self._answer_whole = answer_whole
        self._own_headers = headers
        self._whole: Mapping[str, Any] = {}
        self._streams: tuple[str, ...] = ()
        self._line: RunningLine[dict[str, Any]] = RunningLine()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._line.begin(self._run(self._keep_whole, self._hear))
        try:
            first = await self._line.next()
            if isinstance(first, LineResult) and (first.problem is not None or not self._streams):
                response = self._answer_whole(first)
                await response(scope, receive, send)
            else:
                await self._send_events(first, send)
        finally:
            await self._line.end()

    def _keep_whole(self, outputs: Mapping[str, Any], streams: tuple[str, ...]) -> None:
        """Keep the outputs that do not stream for the first event."""
        self._whole, self._streams = outputs, streams

    def _hear(self, name: str, piece: Any) -> None:
        if not isinstance(piece, str) and not is_json(piece):
            piece = str(piece)  # NaN, which no client could read
        if shown := self._answered({name: piece}):
            self._line.put(shown)

    async def _send_events(self, item: dict[str, Any] | LineResult, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in self._own_headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if whole := self._answered(self._whole):
            await _send_event(whole, send)
        while isinstance(item, dict):
            await _send_event(item, send)
            item = await self._line.next()
        if item.problem is not None:
            await _send_event(error_body(item.problem), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def write_event(body: Mapping[str, Any]) -> bytes:
    """One event."""
    return f"data: {json.dumps(body)}\n\n".encode()


async def _send_event(event: Mapping[str, Any], send: Send) -> None:
    await send({"type": "http.response.body", "body": write_event(event), "more_body": True})
