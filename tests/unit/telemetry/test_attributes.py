from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import (
    client_attributes,
    code_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)

from headrace.telemetry import attributes
from headrace.telemetry.attributes import (
    endpoint_answer_attributes,
    endpoint_request_attributes,
    evaluation_attributes,
    flow_attributes,
    model_request_attributes,
    model_response_attributes,
    model_span_name,
    node_attributes,
    run_attributes,
)

EVERY_PARAMETER = {
    "temperature": 0.5,
    "top_p": 1,
    "max_tokens": 10,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "seed": 7,
    "n": 2,
    "stream": True,
    "dimensions": 64,
    "stop": ["a"],
    "encoding_format": "float",
}


ON_SERVER_SPANS = (
    attributes.HTTP_METHOD,
    attributes.HTTP_ROUTE,
    attributes.HTTP_STATUS,
    attributes.URL_PATH,
    attributes.URL_SCHEME,
    attributes.PROTOCOL_VERSION,
    attributes.CLIENT_ADDRESS,
    attributes.USER_AGENT,
    attributes.QUEUE_WAIT,
    attributes.REQUEST_ID,
    attributes.TEST,
    attributes.REVISION,
    attributes.ROLE,
    attributes.PROPENSITY,
    attributes.LOGGER,
)
IN_EXPORTS = (
    attributes.TOKEN_TYPE,
    attributes.CONVERSATION,
    attributes.FLOW_KIND,
    attributes.TREE_INPUT_TOKENS,
    attributes.TREE_OUTPUT_TOKENS,
)


def published_names() -> set[str]:
    modules = (gen_ai_attributes, server_attributes, error_attributes, code_attributes, http_attributes,
               url_attributes, network_attributes, client_attributes, user_agent_attributes)  # fmt: skip
    return {value for module in modules for value in vars(module).values() if isinstance(value, str)}


def test_every_name_is_published_or_ours() -> None:
    built = {
        **flow_attributes("hello", 3),
        **run_attributes("r", "a", flow_version="f@1", flow_digest="d", data_version=1, data_digest="e"),
        **node_attributes("ask", "python", is_aggregation=True),
        **model_request_attributes("chat", "openai", "gpt", EVERY_PARAMETER, "host", 443),
        **model_response_attributes(
            model="gpt-1",
            response_id="x",
            finish_reasons=["stop"],
            input_tokens=1,
            output_tokens=2,
            retries=1,
            waited_s=1.5,
            cost_usd=0.1,
            first_chunk_s=0.2,
        ),
        **evaluation_attributes("f1", value=0.5, label="good", explanation="why", error_type="tool-failed"),
        **endpoint_request_attributes("live", "host", 443),
        **endpoint_answer_attributes("7", 1, 1.5),
        attributes.COLLECTION: "nightly",
        attributes.FUNCTION_NAME: "clean",
        attributes.CACHED_FROM: "first",
        **dict.fromkeys(ON_SERVER_SPANS, "x"),
        **dict.fromkeys(IN_EXPORTS, "x"),
    }
    theirs = {name for name in built if not name.startswith("headrace.")}
    assert len(built) - len(theirs) >= 7
    assert theirs <= published_names()
    public = {
        value for name, value in vars(attributes).items() if name.isupper() and not name.startswith("_")
    }
    assert {name for name in public if "." in name} - set(built) == {
        attributes.SCHEMA_URL,
        attributes.EVALUATION_RESULT,  # the name of an event
    }


def test_operations_are_published() -> None:
    published = {item.value for item in gen_ai_attributes.GenAiOperationNameValues}
    ours = (attributes.CHAT, attributes.TEXT_COMPLETION, attributes.EMBEDDINGS, attributes.RETRIEVAL)
    assert set(ours) | {attributes.EXECUTE_TOOL, attributes.INVOKE_WORKFLOW} <= published


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {}),
        ({"line_number": 0}, {"headrace.line_number": 0}),
    ],
)
def test_a_flow_is_a_workflow(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flow_attributes("hello", **arguments) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "hello",
        "headrace.flow": "hello",
        **expected,
    }


def test_the_lines_of_a_run_carry_its_name_and_its_arm() -> None:
    assert run_attributes("r", "a") == {"headrace.run": "r", "headrace.arm": "a"}
    assert run_attributes("r", None) == {"headrace.run": "r"}
    assert run_attributes("r", None, flow_version="f@7", flow_digest="ab") == {
        "headrace.run": "r",
        "headrace.flow.version": "f@7",
        "headrace.flow.digest": "ab",
    }


@pytest.mark.parametrize(
    ("kind", "is_tool"), [("python", True), ("custom_llm", True), ("llm", False), ("prompt", False)]
)
def test_a_python_node_executes_a_tool(kind: str, is_tool: bool) -> None:
    found = node_attributes("ask", kind)
    assert found["headrace.node"] == "ask"
    assert found["headrace.node.kind"] == kind
    assert (found.get("gen_ai.operation.name") == "execute_tool") is is_tool
    assert ("gen_ai.tool.name" in found) is is_tool


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"temperature": 0, "max_tokens": 5},
            {"gen_ai.request.temperature": 0, "gen_ai.request.max_tokens": 5},
        ),
        ({"max_completion_tokens": 9}, {"gen_ai.request.max_tokens": 9}),
        ({"temperature": None, "seed": "7", "n": [1]}, {}),
        ({"stop": "END"}, {"gen_ai.request.stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"gen_ai.request.stop_sequences": ["a", "b"]}),
        ({"stop": ""}, {}),
        ({"stop": None, "stream": False}, {"gen_ai.request.stream": False}),
    ],
)
def test_parameters_of_a_request_become_attributes(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert model_request_attributes("chat", "azure.ai.openai", "gpt", body) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.system": "azure.ai.openai",
        "gen_ai.request.model": "gpt",
        **expected,
    }


def test_an_address_comes_with_its_port() -> None:
    found = model_request_attributes("embeddings", "openai", "e", {}, "host", 8080)
    assert (found["server.address"], found["server.port"]) == ("host", 8080)
    assert "server.port" not in model_request_attributes("embeddings", "openai", "e", {}, None, 8080)


def test_what_users_write_is_never_in_an_attribute() -> None:
    body = {
        "messages": [{"role": "user", "content": "secret"}],
        "prompt": "secret",
        "input": ["secret"],
        "tools": [{"name": "secret"}],
        "user": "secret",
        "response_format": {"secret": 1},
    }
    assert "secret" not in json.dumps(model_request_attributes("chat", "openai", "gpt", body))


def test_a_completion_is_a_text_completion() -> None:
    assert (
        model_request_attributes("completion", "openai", "m", {})["gen_ai.operation.name"]
        == "text_completion"
    )
    assert model_span_name("completion", "m") == "text_completion m"
    assert model_span_name("chat", "gpt") == "chat gpt"


def test_an_answer_adds_what_it_says() -> None:
    assert model_response_attributes() == {}
    assert model_response_attributes(
        model="gpt-1", response_id="x", finish_reasons=("stop",), input_tokens=0, output_tokens=2, retries=3
    ) == {
        "gen_ai.response.model": "gpt-1",
        "gen_ai.response.id": "x",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 2,
        "headrace.retries": 3,
    }
