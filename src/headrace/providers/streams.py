"""What streams of all clients have in common: retries before the first piece, places in flight, pieces that stall."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.run import Usage
from headrace.errors import ContentFilteredError
from headrace.providers.answers import read_chunk
from headrace.providers.base import ModelRequest, StreamChunk
from headrace.providers.endpoint import Endpoint
from headrace.providers.failures import bad_answer, filtered, stalled
from headrace.providers.limits import Jitter, RetryPolicy, Sleep, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget

_END = object()
_DONE = "[DONE]"


@dataclass(slots=True, kw_only=True)
class OpenStream:
    """A stream whose first piece has arrived."""

    first: StreamChunk
    rest: AsyncGenerator[StreamChunk]


async def begin_stream(endpoint: Endpoint, chunks: AsyncGenerator[StreamChunk]) -> OpenStream:
    """Wait for the first piece: until it is there, the request may be sent again.

    Raises:
        RemoteError: There is none, or a filter let nothing through.
    """
    first = await anext(chunks, None)
    if first is None:
        raise bad_answer(endpoint, "something that is not a stream of completions")
    if first.finish_reason == "content_filter" and not first.text:
        raise ContentFilteredError(filtered(endpoint, ()))
    return OpenStream(first=first, rest=chunks)


async def send_stream(
    begin: Callable[[Ticket], Coroutine[Any, Any, OpenStream]],
    request: ModelRequest,
    budget: Budget,
    policy: RetryPolicy,
    sleep: Sleep,
    jitter: Jitter,
) -> AsyncGenerator[StreamChunk]:
    """The pieces of an answer; its place in flight is kept until the last one, or until nobody reads on."""
    sent = await send_with_retries(begin, request, budget, policy, sleep, jitter, keeps_place=True)
    chunk: StreamChunk | None = replace(sent.result.first, retries=sent.retries, waited_s=sent.waited_s)
    usage: Usage | None = None
    try:
        async with aclosing(sent.result.rest) as rest:
            while chunk is not None:
                usage = chunk.usage or usage
                yield chunk
                chunk = await anext(rest, None)
    finally:
        if usage is not None:
            budget.settle(sent.ticket, usage)
        budget.leave(sent.ticket, is_served=chunk is None)


async def in_time(
    events: AsyncIterator[Any], endpoint: Endpoint, model: str, idle_s: float, first_s: float | None = None
) -> AsyncIterator[Any]:
    """The events of a stream, until it stalls.

    A model that thinks may be silent for long before its first piece of text, but not afterwards.

    Args:
        events: Each the content of an event, as data.
        endpoint: Where they come from.
        model: Which model was asked.
        idle_s: Limit for the wait after the first piece, seconds.
        first_s: Limit for each wait before it; ``None`` where something else limits it.

    Raises:
        RemoteTimeoutError: P704, nothing came for ``idle_s``.
        TimeoutError: Nothing came for ``first_s``.
    """
    limit_s, has_begun = first_s, False
    while True:
        try:
            async with asyncio.timeout(limit_s):
                event = await anext(events, _END)
        except TimeoutError as error:
            if not has_begun:
                raise
            raise stalled(endpoint, model, idle_s) from error
        if event is _END:
            return
        yield event
        if not has_begun and isinstance(event, dict) and read_chunk(event) is not None:
            limit_s, has_begun = idle_s, True


async def read_events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """The data of server-sent events, parsed as JSON, up to ``[DONE]``.

    Source: HTML Living Standard, section 9.2.6; fields other than ``data`` mean nothing here.

    Raises:
        ValueError: The data of an event are no JSON.
    """
    buffer, data = b"", list[str]()
    async for piece in pieces:
        buffer += piece
        # The last line may go on in the next piece, and a return at the very end may be half of a line end.
        *lines, buffer = buffer.replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").decode())
            elif not line.rstrip(b"\r") and data:
                text, data = "\n".join(data), []
                if text.startswith(_DONE):
                    return
                yield json.loads(text)
