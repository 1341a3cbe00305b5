"""Reading a service's JSON answer, and the pieces of a streamed one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headrace.domain.run import Usage
from headrace.errors import ContentFilteredError
from headrace.providers.base import ModelResponse, StreamChunk
from headrace.providers.endpoint import Endpoint
from headrace.providers.failures import bad_answer, filtered, service_error

NOT_AN_OBJECT = "something that is not a JSON object"


def parse_answer(endpoint: Endpoint, operation: str, content: bytes) -> ModelResponse:
    """Read an answer as it came over the wire.

    Raises:
        RemoteRequestError: P707 when it is not JSON or not an answer to ``operation``.
        ContentFilteredError: P706 when a filter left no answer.
    """
    try:
        body = json.loads(content)
    except ValueError as error:
        raise bad_answer(endpoint, NOT_AN_OBJECT) from error
    return read_answer(endpoint, operation, body)


def read_answer(endpoint: Endpoint, operation: str, body: Any) -> ModelResponse:
    """Read a parsed answer; raises as :func:`parse_answer` does."""
    if not isinstance(body, dict):
        raise bad_answer(endpoint, NOT_AN_OBJECT)
    if operation == "embeddings":
        _check_embeddings(endpoint, body)
        return make_response(body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        code = service_error(body).code if body.get("error") else None
        raise bad_answer(endpoint, f"the error {code}" if code else "JSON that has no choices")
    for choice in choices:
        _check_choice(endpoint, operation, choice)
    return make_response(body)


def _check_embeddings(endpoint: Endpoint, body: Mapping[str, Any]) -> None:
    data = body.get("data")
    if not isinstance(data, list) or not data:
        raise bad_answer(endpoint, "JSON that has no data")
    if not all(isinstance(item, dict) and "embedding" in item for item in data):
        raise bad_answer(endpoint, "data that are not embeddings")


def _check_choice(endpoint: Endpoint, operation: str, choice: Any) -> None:
    name = "message" if operation == "chat" else "text"
    if not isinstance(choice, dict):
        raise bad_answer(endpoint, "choices that are not objects")
    part = choice.get(name)
    content = part.get("content") if isinstance(part, dict) else part
    # A part of an answer that the filter let through is still an answer; prompt flow returns it as well.
    if choice.get("finish_reason") == "content_filter" and not content:
        results = {"innererror": {"content_filter_result": choice.get("content_filter_results")}}
        raise ContentFilteredError(filtered(endpoint, service_error(results).categories))
    if not isinstance(part, dict if operation == "chat" else str):
        raise bad_answer(endpoint, f"a choice that has no {name}")


def make_response(body: Mapping[str, Any]) -> ModelResponse:
    """The response for a body that has been checked, or that we made ourselves."""
    reasons = [choice.get("finish_reason") for choice in body.get("choices", ())]
    return ModelResponse(
        body=body,
        usage=read_usage(body.get("usage")),
        model=_text(body.get("model")),
        response_id=_text(body.get("id")),
        finish_reasons=tuple(reason for reason in reasons if isinstance(reason, str)),
    )


def read_usage(usage: Any) -> Usage:
    """Tokens of one call; zero where the service does not say."""
    if not isinstance(usage, dict):
        return Usage(calls=1)
    return Usage(
        calls=1,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def read_chunk(body: Mapping[str, Any]) -> StreamChunk | None:
    """One event of a stream, or ``None`` when it says nothing: only a role, an empty piece, a filter note."""
    usage = body.get("usage")
    text, finish_reason = "", None
    for choice in body.get("choices") or ():
        if choice.get("index"):
            continue  # a stream shows one answer, whatever ``n`` says
        delta = choice.get("delta") or {}
        text += _text(delta.get("content")) or _text(choice.get("text")) or ""
        finish_reason = _text(choice.get("finish_reason")) or finish_reason
    if not text and finish_reason is None and not isinstance(usage, dict):
        return None
    return StreamChunk(
        text=text,
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        finish_reason=finish_reason,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
