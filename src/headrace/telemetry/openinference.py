"""Spans in the names of OpenInference, which Arize Phoenix and others read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.domain.span import SpanRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.messages import as_json

_KIND = "openinference.span.kind"
_KINDS = {
    names.CHAT: "LLM",
    names.TEXT_COMPLETION: "LLM",
    names.EMBEDDINGS: "EMBEDDING",
    names.EXECUTE_TOOL: "TOOL",
    names.RETRIEVAL: "RETRIEVER",
    names.INVOKE_WORKFLOW: "CHAIN",
}
_PROVIDERS = {"azure.ai.openai": "azure", "azure.ai.inference": "azure", "openai": "openai"}
_PARAMETERS = "gen_ai.request."
_JSON = "application/json"


def openinference_attributes(span: SpanRecord, has_content: bool) -> dict[str, Any]:  # noqa: FBT001 - one place
    """The attributes that OpenInference has for a span; with its content where that may be written."""
    found = {_KIND: _kind(span), **_model_call(span), **_place(span)}
    if has_content and span.content:
        found |= _content(span.content, found[_KIND])
    return {name: value for name, value in found.items() if value is not None}


def _kind(span: SpanRecord) -> str:
    attributes = span.attributes
    if attributes.get(names.NODE_KIND) == "prompt":
        return "PROMPT"
    return _KINDS.get(attributes.get(names.OPERATION_NAME, ""), "CHAIN")


def _place(span: SpanRecord) -> dict[str, Any]:
    attributes = span.attributes
    return {
        "graph.node.id": attributes.get(names.NODE),
        "tool.name": attributes.get(names.TOOL_NAME),
        "session.id": attributes.get(names.CONVERSATION),
    }


def _model_call(span: SpanRecord) -> dict[str, Any]:
    attributes = span.attributes
    model = attributes.get(names.REQUEST_MODEL)
    if model is None:
        return {}
    parameters = as_json(
        {
            name.removeprefix(_PARAMETERS): value
            for name, value in attributes.items()
            if name.startswith(_PARAMETERS) and name != names.REQUEST_MODEL
        }
    )
    if attributes.get(names.OPERATION_NAME) == names.EMBEDDINGS:
        found = {"embedding.model_name": model, "embedding.invocation_parameters": parameters}
    else:
        found = {
            "llm.model_name": attributes.get(names.RESPONSE_MODEL, model),
            "llm.invocation_parameters": parameters,
        }
    provider = attributes.get(names.PROVIDER_NAME)
    spent = [attributes.get(names.INPUT_TOKENS), attributes.get(names.OUTPUT_TOKENS)]
    known = [number for number in spent if number is not None]
    return found | {
        "llm.provider": _PROVIDERS.get(str(provider), provider),
        "llm.system": "openai" if provider in _PROVIDERS else None,
        "llm.token_count.prompt": spent[0],
        "llm.token_count.completion": spent[1],
        "llm.token_count.total": sum(known) if known else None,
        "llm.cost.total": attributes.get(names.COST),
    }


def _content(content: Mapping[str, Any], kind: str) -> dict[str, Any]:
    into = content.get("inputs", content.get("messages", content.get("texts")))
    out_of = content.get("outputs", content.get("answers"))
    found: dict[str, Any] = {}
    for name, value in (("input", into), ("output", out_of)):
        if value is not None:
            found[f"{name}.value"] = value if isinstance(value, str) else as_json(value)
            found[f"{name}.mime_type"] = "text/plain" if isinstance(value, str) else _JSON
    if kind == "LLM":
        found |= dict(_messages("llm.input_messages", content.get("messages") or ()))
        answers = [item.get("message") for item in content.get("answers") or () if isinstance(item, Mapping)]
        found |= dict(_messages("llm.output_messages", answers))
    if kind == "EMBEDDING":
        texts = enumerate(content.get("texts") or ())
        found |= {f"embedding.embeddings.{index}.embedding.text": text for index, text in texts}
    return found


def _messages(prefix: str, messages: Any) -> Iterator[tuple[str, Any]]:
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            continue
        said = message.get("content")
        yield f"{prefix}.{index}.message.role", message.get("role", "assistant")
        if said is not None:
            yield f"{prefix}.{index}.message.content", said if isinstance(said, str) else as_json(said)
        for number, call in enumerate(message.get("tool_calls") or ()):
            where = f"{prefix}.{index}.message.tool_calls.{number}.tool_call"
            function = call.get("function") or {}
            yield f"{where}.function.name", function.get("name")
            yield f"{where}.function.arguments", function.get("arguments")
