"""A scripted model client for tests of flows: no network, no key, every behaviour of a service on demand.

    client = FakeModelClient([FakeReply(text="Paris"), FakeReply(failure=RateLimitedError(...))])

Replies are used up in order; after that every request gets ``default``. Requests are recorded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.run import Usage
from headrace.errors import RemoteError
from headrace.providers.answers import make_response
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk
from headrace.providers.limits import Sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeReply:
    """What the client does with one request.

    Attributes:
        text: The answer of a chat or completion.
        pieces: How a stream cuts it; ``None`` cuts after every word.
        message: Further fields of the chat message, e.g. ``tool_calls``.
        vector: The embedding of every input.
        usage: ``(prompt tokens, completion tokens)``.
        finish_reason: Of the only choice.
        delay_s: Wait before the answer, and before each piece of a stream; seconds.
        failure: Raised instead of an answer; a stream raises it after its pieces.
    """

    text: str = ""
    pieces: tuple[str, ...] | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    vector: tuple[float, ...] = (0.0, 1.0)
    usage: tuple[int, int] = (1, 1)
    finish_reason: str = "stop"
    delay_s: float = 0.0
    failure: RemoteError | None = None


class FakeModelClient:
    """A :class:`~headrace.providers.base.ModelClient` that follows a script.

    Args:
        script: Replies to the first requests, in order.
        default: Reply to every further request, or a function that makes it.
        sleep: Waits for ``delay_s``; tests pass one that does not.

    Attributes:
        requests: What was asked so far, in order.
        is_closed: Whether :meth:`close` was called.
    """

    system = "headrace.fake"
    address: str | None = None
    port: int | None = None

    def __init__(
        self,
        script: Iterable[FakeReply] = (),
        *,
        default: FakeReply | Callable[[ModelRequest], FakeReply] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._script = deque(script)
        self._default = default or FakeReply()
        self._sleep = sleep
        self.requests: list[ModelRequest] = []
        self.is_closed = False

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Answer with the next reply; see the protocol."""
        reply = self._next(request)
        if reply.delay_s:
            await self._sleep(reply.delay_s)
        if reply.failure is not None:
            raise reply.failure
        return make_response(_body(request, reply))

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Yield the next reply piece by piece; see the protocol."""
        reply = self._next(request)
        pieces = _words(reply.text) if reply.pieces is None else reply.pieces
        for piece in pieces:
            if reply.delay_s:
                await self._sleep(reply.delay_s)
            yield StreamChunk(text=piece)
        if reply.failure is not None:
            raise reply.failure
        prompt_tokens, completion_tokens = reply.usage
        usage = Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        yield StreamChunk(usage=usage, finish_reason=reply.finish_reason)

    async def close(self) -> None:
        """Remember that the client was given back."""
        self.is_closed = True

    def _next(self, request: ModelRequest) -> FakeReply:
        self.requests.append(request)
        if self._script:
            return self._script.popleft()
        return self._default(request) if callable(self._default) else self._default


def _words(text: str) -> tuple[str, ...]:
    words = text.split(" ") if text else []
    return tuple(word if position == 0 else f" {word}" for position, word in enumerate(words))


def _body(request: ModelRequest, reply: FakeReply) -> Mapping[str, Any]:
    prompt_tokens, completion_tokens = reply.usage
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    envelope = {"id": "fake", "created": 0, "model": request.model, "usage": usage}
    if request.operation == "embeddings":
        given = request.body.get("input", "")
        count = 1 if isinstance(given, str) else len(given)
        data = [{"object": "embedding", "index": i, "embedding": list(reply.vector)} for i in range(count)]
        return {**envelope, "object": "list", "data": data}
    choice: dict[str, Any] = {"index": 0, "finish_reason": reply.finish_reason}
    if request.operation == "completion":
        return {**envelope, "object": "text_completion", "choices": [{**choice, "text": reply.text}]}
    message = {"role": "assistant", "content": reply.text, **reply.message}
    return {**envelope, "object": "chat.completion", "choices": [{**choice, "message": message}]}
