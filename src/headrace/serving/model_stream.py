"""Answers as OpenAI's server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from headrace.domain.run import Usage
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk

_DONE = b"data: [DONE]\n\n"


async def chunk_events(request: ModelRequest, chunks: AsyncIterator[StreamChunk]) -> AsyncIterator[bytes]:
    """Events of an answer that arrives in pieces.

    The first event comes with the first piece, so that the status can tell of a model that fails at once.
    """
    is_begun = False
    usage: Usage | None = None
    async for chunk in chunks:
        if not is_begun and request.operation == "chat":
            yield _event(request, [_choice(request, {"role": "assistant", "content": ""}, None)])
        is_begun = True
        usage = chunk.usage or usage
        if chunk.text or chunk.finish_reason:
            delta = {"content": chunk.text} if chunk.text else {}
            yield _event(request, [_choice(request, delta, chunk.finish_reason)])
    if _wants_usage(request):
        yield _event(request, [], _usage_json(usage or Usage()))
    yield _DONE


async def answer_events(request: ModelRequest, response: ModelResponse) -> AsyncIterator[bytes]:
    """Events of a whole answer: one with the messages, one for how each choice ended."""
    choices = response.body["choices"]
    yield _event(request, [_whole_choice(request, choice) for choice in choices])
    ended = [
        {**_choice(request, {}, choice.get("finish_reason")), "index": choice.get("index", 0)}
        for choice in choices
    ]
    yield _event(request, ended)
    if _wants_usage(request):
        yield _event(request, [], _usage_json(response.usage))
    yield _DONE


def _event(
    request: ModelRequest, choices: list[dict[str, Any]], usage: Mapping[str, Any] | None = None
) -> bytes:
    kind = "chat.completion.chunk" if request.operation == "chat" else "text_completion"
    body = {"id": "stream", "object": kind, "created": 0, "model": request.model, "choices": choices}
    if usage is not None:
        body["usage"] = usage
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def _choice(request: ModelRequest, delta: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
    if request.operation == "chat":
        return {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
    return {"index": 0, "text": delta.get("content", ""), "finish_reason": finish_reason}


def _whole_choice(request: ModelRequest, choice: Mapping[str, Any]) -> dict[str, Any]:
    index = choice.get("index", 0)
    if request.operation != "chat":
        return {"index": index, "text": choice.get("text", ""), "finish_reason": None}
    message = dict(choice["message"])
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [{"index": position, **call} for position, call in enumerate(calls)]
    return {"index": index, "delta": message, "finish_reason": None}


def _wants_usage(request: ModelRequest) -> bool:
    options = request.body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def _usage_json(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
