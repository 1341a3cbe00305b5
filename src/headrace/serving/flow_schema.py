"""The OpenAPI description of a served flow, in the form that prompt flow's server has (promptflow-format: 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.domain.flow import Flow, FlowInput, FlowOutput

_FREE = {"type": "object", "additionalProperties": {}}
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "int": {"type": "integer"},
    "double": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": _FREE},
    "object": _FREE,
    "image": {"type": "object"},
}
_RESPONSES = {"400": {"description": "Invalid input"}, "default": {"description": "unexpected error"}}


def describe_flow(flow: Flow, outputs: Sequence[str], example: Mapping[str, Any]) -> dict[str, Any]:
    """The document of ``/swagger.json``.

    Args:
        flow: What is served.
        outputs: Names of the outputs that are answered.
        example: An example of the inputs.
    """
    inputs: dict[str, Any] = {"type": "object"}
    if flow.inputs:
        inputs["properties"] = {name: _describe(item) for name, item in flow.inputs.items()}
        inputs["required"] = list(flow.inputs)
    answered: dict[str, Any] = {"type": "object"}
    if outputs:
        answered["properties"] = {name: _describe(flow.outputs[name]) for name in outputs}
    score = _operation(
        f"run promptflow: {flow.name} with an given input",
        "promptflow input data",
        inputs,
        answered,
        {"example": dict(example) if is_json(example) else {}},
        is_required=bool(flow.inputs),
    )
    feedback = _operation("collect promptflow feedback", "promptflow feedback data", _FREE, _FREE, {})
    flatten = {
        "name": "flatten",
        "in": "query",
        "description": "flatten the feedback data into traced data",
        "required": False,
        "schema": {"type": "boolean"},
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": f"Promptflow[{flow.name}] API", "version": "1.0.0", **_chat_fields(flow)},
        "components": {"securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearerAuth": []}],
        "paths": {"/score": {"post": score}, "/feedback": {"parameters": [flatten], "post": feedback}},
    }


def is_json(value: Any) -> bool:
    """Whether a document can show a value: what code has as a default, or a file as a number, need not be JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _operation(
    summary: str,
    body: str,
    schema: Mapping[str, Any],
    answer: Mapping[str, Any],
    more: Mapping[str, Any],
    *,
    is_required: bool = True,
) -> dict[str, Any]:
    done = {"description": "successful operation", "content": {"application/json": {"schema": answer}}}
    return {
        "summary": summary,
        "requestBody": {
            "description": body,
            "required": is_required,
            "content": {"application/json": {"schema": schema, **more}},
        },
        "responses": {"200": done, **_RESPONSES},
    }


def _describe(item: FlowInput | FlowOutput) -> dict[str, Any]:
    shown_type = (isinstance(item, FlowInput) and item.shown_type) or item.type
    schema = dict(_SCHEMAS.get(shown_type, {"type": "string"}))
    if item.description:
        schema["description"] = item.description
    if isinstance(item, FlowInput) and item.has_default and item.default and is_json(item.default):
        schema["default"] = item.default
    return schema


def _chat_fields(flow: Flow) -> dict[str, str]:
    named = {
        "x-chat-input": [name for name, item in flow.inputs.items() if item.is_chat_input],
        "x-chat-history": [name for name, item in flow.inputs.items() if item.is_chat_history],
        "x-chat-output": [name for name, item in flow.outputs.items() if item.is_chat_output],
    }
    fields = {"x-flow-name": flow.name}
    if named["x-chat-input"]:
        fields["x-flow-type"] = "chat"
    return fields | {field: names[0] for field, names in named.items() if names}
