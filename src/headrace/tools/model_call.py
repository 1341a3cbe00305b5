"""One model call as a part of a node: traced, counted, and its answer read."""

from __future__ import annotations

import struct
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.run import Usage
from headrace.errors import HeadraceError, Problem, RemoteRequestError
from headrace.providers.base import ModelClient, ModelRequest, ModelResponse
from headrace.telemetry.attributes import (
    model_request_attributes,
    model_response_attributes,
    model_span_name,
)
from headrace.telemetry.propagation import trace_headers
from headrace.telemetry.spans import ActiveSpan
from headrace.tools.base import NodeContext
from headrace.tools.current_span import parent_span

# Keys that a message always has for code that looks for them, null where the service leaves them out.
_MESSAGE_KEYS = ("content", "refusal", "role", "annotations", "audio", "function_call", "tool_calls")
# In the order of the classes of the openai package, whose objects stock prompt flow hands on.
_CALL_KEYS = ("id", "function", "type")
_FUNCTION_KEYS = ("arguments", "name")


async def call_model(client: ModelClient, request: ModelRequest, context: NodeContext) -> ModelResponse:
    """Send one request for a node: a child span of the node's span, and its usage on the node.

    Raises:
        RemoteError: The service does not give a usable answer.
    """
    span = _begin_span(client, request, context)
    try:
        response = await client.send(traced_request(request, span))
    except HeadraceError as error:
        _fail(span, error)
        raise
    else:
        span.attributes.update(
            model_response_attributes(
                model=response.model,
                response_id=response.response_id,
                finish_reasons=response.finish_reasons,
                input_tokens=response.usage.prompt_tokens,
                output_tokens=response.usage.completion_tokens,
                retries=response.retries,
                waited_s=response.waited_s,
                cost_usd=context.cost_of(response.usage),
            )
        )
        if span.scope.has_content:
            span.take_content(answers=_answers(response))
        context.add_usage(response.usage)
        return response
    finally:
        span.end()


def stream_model(
    client: ModelClient, request: ModelRequest, context: NodeContext
) -> AsyncGenerator[str, None]:
    """Send one chat request for a node, when the first piece is asked for, and yield the answer's pieces.

    Raises:
        RemoteError: While it is read, when the service does not give a usable answer.
    """
    # Begun here, not inside: the node's span has ended by the time that the answer is read.
    return _read_stream(client, request, context, _begin_span(client, request, context))


async def _read_stream(
    client: ModelClient, request: ModelRequest, context: NodeContext, span: ActiveSpan
) -> AsyncGenerator[str, None]:
    finish_reasons: tuple[str, ...] = ()
    usage: Usage | None = None
    texts: list[str] = []
    has_content = span.scope.has_content
    has_begun = False
    try:
        async for chunk in client.stream(traced_request(request, span)):
            usage = (
                chunk.usage or usage or Usage(calls=1)
            )  # some services say it with every piece: the last one counts
            if not has_begun and chunk.text:
                has_begun = True
                first_s = (time.time_ns() - span.start_ns) / 1e9
                span.attributes.update(model_response_attributes(first_chunk_s=first_s))
            if chunk.retries or chunk.waited_s:
                waits = model_response_attributes(retries=chunk.retries, waited_s=chunk.waited_s)
                span.attributes.update(waits)
            if chunk.finish_reason:
                finish_reasons = (chunk.finish_reason,)
            if chunk.text:
                if has_content:
                    texts.append(chunk.text)
                yield chunk.text
    except HeadraceError as error:
        _fail(span, error)
        raise
    finally:
        if usage is not None:
            context.add_usage(usage)
            span.attributes.update(_streamed_attributes(usage, finish_reasons, context))
        if has_content:
            message = {"role": "assistant", "content": "".join(texts)}
            reason = finish_reasons[0] if finish_reasons else None
            span.take_content(answers=[{"message": message, "finish_reason": reason}])
        span.end()


def _streamed_attributes(
    usage: Usage, finish_reasons: tuple[str, ...], context: NodeContext
) -> dict[str, Any]:
    """What the span says of a stream; no tokens where the service says none."""
    if not usage.knows_tokens:
        return model_response_attributes(finish_reasons=finish_reasons)
    return model_response_attributes(
        finish_reasons=finish_reasons,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cost_usd=context.cost_of(usage),
    )


def traced_request(request: ModelRequest, span: ActiveSpan) -> ModelRequest:
    """The request with the headers that name its span, where the ids of the trace are passed on."""
    if not span.scope.is_passed_on:
        return request
    return replace(request, headers={**request.headers, **trace_headers(span)})


def answer_message(response: ModelResponse) -> dict[str, Any]:
    """The message of the first choice, with every key that code may look for.

    Raises:
        RemoteRequestError: P707 when the answer has none.
    """
    message = _first_choice(response).get("message")
    if not isinstance(message, Mapping):
        raise RemoteRequestError(_bad_answer("no message"))
    given = {**dict.fromkeys(_MESSAGE_KEYS), **message}
    calls = message.get("tool_calls")
    if isinstance(message.get("function_call"), Mapping):
        given["function_call"] = _ordered(message["function_call"], _FUNCTION_KEYS)
    if isinstance(calls, list):
        given["tool_calls"] = [_ordered_call(call) for call in calls]
    return given


def _ordered_call(call: Any) -> Any:
    if not isinstance(call, Mapping):
        return call
    function = call.get("function")
    ordered = _ordered(call, _CALL_KEYS)
    return (
        ordered | {"function": _ordered(function, _FUNCTION_KEYS)}
        if isinstance(function, Mapping)
        else ordered
    )


def _ordered(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The same values, ``keys`` first: code and templates see their order as soon as they print them."""
    return {key: values[key] for key in (*(key for key in keys if key in values), *values)}


def answer_text(response: ModelResponse) -> str:
    """The text of the first choice of a completion.

    Raises:
        RemoteRequestError: P707 when the answer has none.
    """
    text = _first_choice(response).get("text")
    if not isinstance(text, str):
        raise RemoteRequestError(_bad_answer("no text"))
    return text


def answer_vector(response: ModelResponse) -> list[float]:
    """The first embedding: a list of numbers, or their 32-bit floats, little endian, in base64.

    Raises:
        RemoteRequestError: P707 when the answer has none.
    """
    data = response.body.get("data")
    vector = data[0].get("embedding") if isinstance(data, list) and data else None
    if isinstance(vector, str):
        return _decoded(vector)
    if not isinstance(vector, list):
        raise RemoteRequestError(_bad_answer("no embedding"))
    return vector


def _decoded(text: str) -> list[float]:
    try:
        content = b64decode(text, validate=True)
        return [number for (number,) in struct.iter_unpack("<f", content)]
    except (ValueError, struct.error) as error:
        raise RemoteRequestError(_bad_answer("an embedding that cannot be decoded")) from error


def _first_choice(response: ModelResponse) -> Mapping[str, Any]:
    choices = response.body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, Mapping):
        raise RemoteRequestError(_bad_answer("no choices"))
    return first


def _bad_answer(what: str) -> Problem:
    return Problem(
        code="P707",
        what=f"The model service's answer has {what}.",
        fix="Check that the address leads to an OpenAI-compatible service.",
    )


def _begin_span(client: ModelClient, request: ModelRequest, context: NodeContext) -> ActiveSpan:
    span = parent_span(context).child(
        model_span_name(request.operation, request.model).rstrip(),
        kind="client",
        attributes=model_request_attributes(
            operation=request.operation,
            system=client.system,
            model=request.model,
            body=request.body,
            address=client.address,
            port=client.port,
        ),
    )
    if span.scope.has_content:
        span.take_content(**_sent(request))
    return span


def _sent(request: ModelRequest) -> dict[str, Any]:
    """What a model is sent, as spans take it down."""
    body = request.body
    found: dict[str, Any] = {}
    if "messages" in body:
        found["messages"] = list(body["messages"])
    texts = body.get("prompt", body.get("input"))
    if texts is not None:
        found["texts"] = [texts] if isinstance(texts, str) else list(texts)
    if body.get("tools"):
        found["definitions"] = list(body["tools"])
    return found


def _answers(response: ModelResponse) -> list[Any]:
    choices = response.body.get("choices")
    return list(choices) if isinstance(choices, list) else []


def _fail(span: ActiveSpan, error: HeadraceError) -> None:
    problem = error.problems[0]
    span.fail(problem.name, f"{problem.code} {problem.name}")
