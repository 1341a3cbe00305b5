"""Content of model calls, tools and flows in the forms of OpenTelemetry's conventions, newer and older.

Parts of content: ``inputs`` and ``outputs`` of flows and nodes; ``messages``, ``texts`` and ``definitions`` that a
model is sent, and ``answers`` that it gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.domain.span import EventRecord, SpanRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.content import ContentPlaces

INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
RETRIEVAL_QUERY = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
INPUTS = "headrace.inputs"
OUTPUTS = "headrace.outputs"
_DETAILS = "gen_ai.client.inference.operation.details"
_OLDER_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_ABOUT = (names.OPERATION_NAME, names.PROVIDER_NAME, names.SYSTEM, names.REQUEST_MODEL, names.RESPONSE_MODEL)


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON text; what is no plain data as its text."""
    return json.dumps(value, ensure_ascii=False, default=str, indent=indent)


def written_messages(content: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Content as attributes of the latest conventions; what they have no name for under ours."""
    found: dict[str, Any] = {}
    if "messages" in content or "texts" in content:
        found[INPUT_MESSAGES] = as_json(list(_input_messages(content)))
    if content.get("answers"):
        found[OUTPUT_MESSAGES] = as_json([_output_message(answer) for answer in content["answers"]])
    if content.get("definitions"):
        found[TOOL_DEFINITIONS] = as_json(content["definitions"])
    operation = attributes.get(names.OPERATION_NAME)
    into, out_of = {
        names.EXECUTE_TOOL: (TOOL_ARGUMENTS, TOOL_RESULT),
        names.RETRIEVAL: (RETRIEVAL_QUERY, RETRIEVAL_DOCUMENTS),
    }.get(str(operation), (INPUTS, OUTPUTS))
    if operation == names.RETRIEVAL and "query" in content:
        found[into] = str(content["query"])
    elif "inputs" in content:
        found[into] = as_json(content["inputs"])
    if "outputs" in content:
        found[out_of] = as_json(content["outputs"])
    return found


def operation_details(span: SpanRecord, places: ContentPlaces) -> tuple[EventRecord, ...]:
    """The event of the newer conventions that holds what a model was sent and answered."""
    content = span.content or {}
    if not places.in_events or not ("messages" in content or "texts" in content):
        return ()
    about = {name: span.attributes[name] for name in _ABOUT if name in span.attributes}
    return (_event(span, _DETAILS, span.end_ns, about | written_messages(content, span.attributes)),)


def older_events(span: SpanRecord, _: ContentPlaces) -> tuple[EventRecord, ...]:
    """The events of 1.36: one for each message, and one for each choice. That version has no other place for them."""
    content = span.content or {}
    about = {names.SYSTEM: span.attributes.get(names.SYSTEM) or span.attributes.get(names.PROVIDER_NAME)}
    found = []
    for message in content.get("messages") or ():
        role = _OLDER_ROLES.get(str(message.get("role")), "user") if isinstance(message, Mapping) else "user"
        found.append(_event(span, f"gen_ai.{role}.message", span.start_ns, about, message))
    for index, answer in enumerate(content.get("answers") or ()):
        body = {"index": index, **(answer if isinstance(answer, Mapping) else {"message": answer})}
        found.append(_event(span, "gen_ai.choice", span.end_ns, about, body))
    return tuple(found)


def _event(
    span: SpanRecord, name: str, time_ns: int, attributes: Mapping[str, Any], body: Any = None
) -> EventRecord:
    return EventRecord(
        name=name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        time_ns=time_ns,
        attributes=attributes,
        body=body,
    )


def _input_messages(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for message in content.get("messages") or ():
        if isinstance(message, Mapping):
            yield {"role": message.get("role", "user"), "parts": list(_parts(message))}
    for text in content.get("texts") or ():
        yield {"role": "user", "parts": [{"type": "text", "content": text}]}


def _output_message(answer: Any) -> dict[str, Any]:
    """One choice: of a chat its message, of a completion its text."""
    choice = answer if isinstance(answer, Mapping) else {"text": str(answer)}
    message = choice.get("message")
    parts = (
        list(_parts(message))
        if isinstance(message, Mapping)
        else [{"type": "text", "content": choice.get("text")}]
    )
    found: dict[str, Any] = {"role": "assistant", "parts": parts}
    if choice.get("finish_reason"):
        found["finish_reason"] = choice["finish_reason"]
    return found


def _parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    said = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": said}
        return
    for piece in said if isinstance(said, Sequence) and not isinstance(said, str) else [said]:
        if isinstance(piece, Mapping):
            yield {"type": "text", "content": piece["text"]} if "text" in piece else dict(piece)
        elif piece is not None:
            yield {"type": "text", "content": piece}
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {
            "type": "tool_call",
            "id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments"),
        }
