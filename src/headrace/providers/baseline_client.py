"""The embedded `baseline` model behind the protocol that every model service has. In process, no network."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from headrace.domain.run import Usage
from headrace.errors import Problem, RemoteRequestError
from headrace.providers.answers import make_response
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk
from headrace.providers.baseline import Reading, count_tokens, embed, read_chat

DIMENSIONS = 256
"""Length of an embedding where the request does not say."""

_PIECE = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+$")


class BaselineClient:
    """Answers chat, completion and embedding requests with the reader of :mod:`headrace.providers.baseline`.

    It takes the parameters ``max_tokens``, ``response_format``, ``n`` and ``dimensions``; sampling parameters
    have no meaning for a deterministic reader and are ignored, and it never calls a tool.
    """

    system = "headrace.baseline"
    address: str | None = None
    port: int | None = None

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Answer at once; see the protocol."""
        if request.operation == "embeddings":
            return make_response(_embeddings(request))
        reading = _read(request)
        if request.operation == "chat":
            answer: Mapping[str, Any] = {"message": {"role": "assistant", "content": reading.text}}
        else:
            answer = {"text": reading.text}
        count = _whole(request, "n", 1)
        choices = [
            {"index": index, **answer, "logprobs": None, "finish_reason": reading.finish_reason}
            for index in range(count)
        ]
        kind = "chat.completion" if request.operation == "chat" else "text_completion"
        completion_tokens = reading.completion_tokens * count
        usage = {
            "prompt_tokens": reading.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": reading.prompt_tokens + completion_tokens,
        }
        return make_response({**_envelope(request, kind), "choices": choices, "usage": usage})

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Yield the answer word by word, then how it ended with its tokens."""
        reading = _read(request)
        for piece in _PIECE.findall(reading.text):
            yield StreamChunk(text=piece)
        usage = Usage(
            calls=1, prompt_tokens=reading.prompt_tokens, completion_tokens=reading.completion_tokens
        )
        yield StreamChunk(usage=usage, finish_reason=reading.finish_reason)

    async def close(self) -> None:
        """Nothing is held."""


def _read(request: ModelRequest) -> Reading:
    body = request.body
    messages = body.get("messages")
    if request.operation == "completion":
        messages = [{"role": "user", "content": _prompt(request)}]
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise _refused(request, "messages", "a list of at least one message")
    if not all(isinstance(message, Mapping) for message in messages):
        raise _refused(request, "messages", "a list of objects with role and content")
    response_format = body.get("response_format")
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    limit = "max_tokens" if body.get("max_tokens") is not None else "max_completion_tokens"
    return read_chat(
        messages,
        json_object=kind in ("json_object", "json_schema"),
        max_tokens=None if body.get(limit) is None else _whole(request, limit, 1),
    )


def _prompt(request: ModelRequest) -> str:
    prompt = request.body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    raise _refused(request, "prompt", "one text")


def _embeddings(request: ModelRequest) -> Mapping[str, Any]:
    given = request.body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise _refused(request, "input", "a text or a list of texts")
    vectors = embed(texts, _whole(request, "dimensions", DIMENSIONS))
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "model": request.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": list(vector)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _whole(request: ModelRequest, name: str, default: int) -> int:
    value = request.body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refused(request, name, "a whole number of at least 1")
    return value


def _envelope(request: ModelRequest, kind: str) -> dict[str, Any]:
    # The same request always gives the same answer, so its id is made from the request and there is no clock.
    digest = sha256(repr((request.operation, request.model, request.body)).encode()).hexdigest()
    return {"id": f"baseline-{digest[:24]}", "object": kind, "created": 0, "model": request.model}


def _refused(request: ModelRequest, name: str, expected: str) -> RemoteRequestError:
    return RemoteRequestError(
        Problem(
            code="P705",
            what=f"The baseline model takes as {name} of a {request.operation} request only {expected}.",
            fix=f"Change {name} in the request.",
        )
    )
