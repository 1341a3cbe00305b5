"""The answer of a chat flow as OpenAI's chunks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.domain.run import LineResult
from headrace.engine.line import OnPiece
from headrace.serving.model_errors import line_status, problem_body
from headrace.serving.running_line import RunningLine

RunLine = Callable[[OnPiece], Awaitable[LineResult]]


class ChatStream(Response):
    """Runs a line and sends its answer chunk by chunk; a flow that does not stream answers in one chunk.

    Nothing is sent before the first piece is there: a line that fails until then is answered as an error.

    Args:
        run: Runs the line.
        is_answer: Whether pieces of an output are the answer.
        read_text: The text of a whole answer.
        fail: Makes the answer of a line that failed.
        envelope: What all chunks have in common.
        usage: What the last chunk says of usage; ``None`` where it says nothing.
        headers: Further headers.
    """

    def __init__(
        self,
        run: RunLine,
        *,
        is_answer: Callable[[str], bool],
        read_text: Callable[[LineResult], str],
        fail: Callable[[LineResult], Response],
        envelope: Mapping[str, Any],
        usage: Callable[[LineResult], Mapping[str, int] | None],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._run = run
        self._is_answer = is_answer
        self._read_text = read_text
        self._fail = fail
        self._envelope = envelope
        self._usage = usage
        self._own_headers = headers
        self._line: RunningLine[str] = RunningLine()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._line.begin(self._run(self._hear))
        try:
            first = await self._line.next()
            if isinstance(first, LineResult) and first.problem is not None:
                await self._fail(first)(scope, receive, send)
            else:
                await self._send_chunks(first, send)
        finally:
            await self._line.end()

    def _hear(self, name: str, piece: Any) -> None:
        if (text := str(piece)) and self._is_answer(name):
            self._line.put(text)

    async def _send_chunks(self, item: str | LineResult, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in self._own_headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send_choice({"role": "assistant", "content": ""}, None, send)
        has_streamed = False
        while isinstance(item, str):
            has_streamed = True
            await self._send_choice({"content": item}, None, send)
            item = await self._line.next()
        if item.problem is not None:
            await _send_data(problem_body(item.problem, line_status(item.problem)), send)
        else:
            if not has_streamed:
                await self._send_choice({"content": self._read_text(item)}, None, send)
            await self._send_choice({}, "stop", send)
            usage = self._usage(item)
            if usage is not None:
                await _send_data({**self._envelope, "choices": [], "usage": usage}, send)
            await _send(b"data: [DONE]\n\n", send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_choice(self, delta: Mapping[str, Any], finish_reason: str | None, send: Send) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await _send_data({**self._envelope, "choices": [choice]}, send)


async def _send_data(value: Mapping[str, Any], send: Send) -> None:
    await _send(b"data: " + json.dumps(value).encode() + b"\n\n", send)


async def _send(body: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
