"""What a process serves as an OpenAPI 3.1 document, at ``/openapi.json``; ``/swagger.json`` stays prompt flow's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from headrace.domain.flow import FlowInput, FlowOutput
from headrace.serving.chat_completions import served_models
from headrace.serving.flow_schema import is_json
from headrace.serving.plain_response import PlainResponse
from headrace.serving.routes import Routes, answering
from headrace.serving.served import Served, ServedFlow

OPENAPI_VERSION = "3.1.0"

_INPUT_TYPES: Mapping[str, Any] = {
    "string": "string",
    "int": "integer",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "object": "object",
    "image": "object",
}
_REFUSALS: Mapping[str, str] = {
    "400": "The inputs do not fit, or a tool of the flow raised.",
    "406": "The client accepts nothing that the flow can answer.",
    "408": "The body of the request did not arrive.",
    "413": "The request is too large.",
    "415": "The body of the request is compressed.",
    "429": "There is no room; Retry-After says when there probably is.",
    "503": "The server is stopping, or lacks a connection that the flow needs.",
    "504": "The flow took too long.",
}
_WHO: Mapping[str, str] = {
    "401": "No key or token that is known.",
    "403": "The caller may not ask this.",
}
_ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "enum": ["UserError", "SystemError"]},
                "message": {"type": "string"},
                "problem": {"type": "string", "description": "Code of headrace's catalogue, such as E601."},
            },
        }
    },
}
_STATUS: Mapping[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}},
}
_CHAT_REFUSALS: Mapping[str, str] = {
    **{status: what for status, what in _REFUSALS.items() if status != "406"},
    "400": "The request does not fit, or the flow is no chat flow.",
    "404": "No flow of this name or version is served.",
    "500": "A tool of the flow raised.",
    "502": "The model service failed.",
}
_CHAT_ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
    },
}
_CHAT: Mapping[str, Any] = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "description": "Name of a flow, or of one version of it."},
        "messages": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {
                    "role": {"type": "string", "enum": ["user", "assistant", "system", "developer"]},
                    "content": {"type": ["string", "array", "null"]},
                },
            },
        },
        "stream": {"type": "boolean", "default": False},
        "inputs": {"type": "object", "description": "Further inputs of the flow."},
    },
}
_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "required": ["object"],
    "properties": {"object": {"type": "string"}},
}
_SCHEMES: Mapping[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
    "xApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def routes(served: Served) -> Routes:
    """The document, made anew for each request: versions change."""

    async def answer(_: Request) -> Response:
        return PlainResponse(describe_served(served))

    return {"/openapi.json": {"GET": answering(answer)}}


def describe_served(served: Served) -> dict[str, Any]:
    """The document for all flows of a process."""
    asks_who = served.access.asks_who
    paths: dict[str, Any] = {}
    for flow in served.flows.values():
        paths |= _describe_flow(flow, asks_who=asks_who)
    paths |= _describe_chat(served_models(served.flows.values()), asks_who=asks_who)
    for path, summary in (
        ("/health", "That the process answers."),
        ("/healthz", "That the process answers."),
        ("/readyz", "Whether requests should be sent here."),
        ("/version", "Which build serves."),
    ):
        answers = {"200": _json("What it says.", "#/components/schemas/Status")}
        if path == "/readyz":
            answers["503"] = _json("Requests should not be sent here now.", "#/components/schemas/Status")
        if path == "/version" and asks_who:
            answers["401"] = _json(_WHO["401"], "#/components/schemas/Error")
        probe: dict[str, Any] = {
            "operationId": path.removeprefix("/"),
            "summary": summary,
            "responses": answers,
        }
        if path != "/version":
            probe["security"] = []
        paths[path] = {"get": probe}
    names = ", ".join(flow.version.flow.plan.flow.name for flow in served.flows.values())
    document: dict[str, Any] = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": names, "version": served.headrace_version},
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR, "ChatError": _CHAT_ERROR, "Status": _STATUS}},
    }
    if asks_who:
        document["components"]["securitySchemes"] = _SCHEMES
        document["security"] = [{name: []} for name in _SCHEMES]
    return document


def _describe_flow(served: ServedFlow, *, asks_who: bool) -> dict[str, Any]:
    """The paths of one flow."""
    version = served.version
    flow = version.flow.plan.flow
    tag = served.path.removeprefix("/")
    content: dict[str, Any] = {"application/json": {"schema": _inputs(flow.inputs)}}
    if version.example and is_json(version.example):
        content["application/json"]["example"] = dict(version.example)
    if len(flow.inputs) == 1:
        content["text/plain"] = {"schema": {"type": "string"}}
    outputs = {} if version.answers_bare else _outputs(flow.outputs, version.answered)
    answered: dict[str, Any] = {"application/json": {"schema": outputs}}
    if version.can_stream:
        answered["text/event-stream"] = {"schema": {"type": "string"}}
    refusals = {
        status: _refused(status, what) for status, what in {**_REFUSALS, **(_WHO if asks_who else {})}.items()
    }
    score = {
        "operationId": f"score_{tag}" if tag else "score",
        "summary": f"Run {flow.name} for one line of inputs.",
        "parameters": [_header("x-request-id", "Id of the request, and of its run.")],
        "requestBody": {"required": bool(flow.inputs), "content": content},
        "responses": {
            "200": {"description": "The outputs.", "headers": _answer_headers(), "content": answered},
            **refusals,
        },
    }
    flatten = {"name": "flatten", "in": "query", "schema": {"type": "string", "enum": ["true", "false"]}}
    feedback = {
        "operationId": f"feedback_{tag}" if tag else "feedback",
        "summary": "Keep what somebody thinks of an answer.",
        "parameters": [flatten, _header("traceparent", "The trace that the answer belongs to.")],
        "requestBody": {"required": False, "content": {"application/json": {"schema": {}}}},
        "responses": {"200": _json("It is kept.", "#/components/schemas/Status"), **refusals},
    }
    return {f"{served.path}/score": {"post": score}, f"{served.path}/feedback": {"post": feedback}}


def _describe_chat(names: Sequence[str], *, asks_who: bool) -> dict[str, Any]:
    """The paths of OpenAI's API, as far as it is served."""
    asked = dict(_CHAT)
    if names:
        model = {**_CHAT["properties"]["model"], "enum": list(names)}
        asked["properties"] = {**_CHAT["properties"], "model": model}
    refusals = {
        status: _refused(status, what, "ChatError")
        for status, what in {**_CHAT_REFUSALS, **(_WHO if asks_who else {})}.items()
    }
    answered = {"application/json": {"schema": _OBJECT}, "text/event-stream": {"schema": {"type": "string"}}}
    complete = {
        "operationId": "chat_completions",
        "summary": "Ask a chat flow as a model of OpenAI's API.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {"200": {"description": "The answer.", "content": answered}, **refusals},
    }
    listed = {"description": "The models.", "content": {"application/json": {"schema": _OBJECT}}}
    unknown = {"401": _json(_WHO["401"], "#/components/schemas/Error")} if asks_who else {}
    models = {
        "operationId": "models",
        "summary": "The chat flows that are served.",
        "responses": {"200": listed, **unknown},
    }
    return {"/v1/chat/completions": {"post": complete}, "/v1/models": {"get": models}}


def _inputs(inputs: Mapping[str, FlowInput]) -> dict[str, Any]:
    """Inputs with a default may be left out; unknown ones are ignored."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _input(item) for name, item in inputs.items()},
    }
    if required := [name for name, item in inputs.items() if not item.has_default]:
        schema["required"] = required
    return schema


def _input(item: FlowInput) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if item.type in _INPUT_TYPES:
        schema["type"] = _INPUT_TYPES[item.type]
    if item.description:
        schema["description"] = item.description
    if item.has_default and item.default is not None and is_json(item.default):
        schema["default"] = item.default
    return schema


def _outputs(outputs: Mapping[str, FlowOutput], answered: tuple[str, ...]) -> dict[str, Any]:
    """What a flow answers, as far as it says so; a node that is bypassed answers null, and types are not enforced."""
    if not answered:
        return {}
    described = {}
    for name in answered:
        said = outputs[name].description or ""
        described[name] = {"description": f"{said} ({outputs[name].type})".strip()}
    return {"type": "object", "properties": described}


def _refused(status: str, what: str, schema: str = "Error") -> dict[str, Any]:
    answer = _json(what, f"#/components/schemas/{schema}")
    if status == "429":
        answer["headers"] = {"retry-after": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer


def _answer_headers() -> dict[str, Any]:
    return {
        "x-request-id": {"schema": {"type": "string"}, "description": "Id of the request."},
        "x-headrace-flow-version": {
            "schema": {"type": "string"},
            "description": "The version that answered.",
        },
    }


def _header(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": what, "schema": {"type": "string"}}


def _json(what: str, schema: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": {"$ref": schema}}}}
