"""What leaves under each convention: names that it has published, and content only where it may stand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from tests.support.published_names import OPENINFERENCE, VERSION_1_36, VERSION_1_41
from tests.support.runs import a_span

from headrace.domain.span import SpanRecord, TraceScope
from headrace.errors import UsageError
from headrace.telemetry import attributes as names
from headrace.telemetry.attributes import (
    flow_attributes,
    model_request_attributes,
    model_response_attributes,
    node_attributes,
)
from headrace.telemetry.content import ContentPlaces
from headrace.telemetry.conventions import CONVENTIONS, choose_conventions, map_attributes, map_span

LATEST_NAMES = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
NOWHERE, ON_SPANS = ContentPlaces(), ContentPlaces(on_spans=True)
IN_EVENTS = ContentPlaces(in_events=True)
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "4"},
]
ANSWERS = [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]


def chat() -> SpanRecord:
    body = {"temperature": 0.5, "seed": 7, "stream": True, "n": 1, "dimensions": 4}
    return a_span(
        3,
        name="chat gpt",
        kind="client",
        attributes={
            **model_request_attributes("chat", "azure.ai.openai", "gpt", body, "host", 443),
            **model_response_attributes(
                model="gpt-1",
                response_id="x",
                finish_reasons=["stop"],
                input_tokens=5,
                output_tokens=2,
                cost_usd=0.25,
                first_chunk_s=0.1,
            ),
        },
        content={"messages": MESSAGES, "answers": ANSWERS, "definitions": [{"type": "function"}]},
    )


def node(kind: str = "python") -> SpanRecord:
    return a_span(
        2, name="ask", attributes=node_attributes("ask", kind), content={"inputs": {"q": "Hi"}, "outputs": 4}
    )


def flow() -> SpanRecord:
    return a_span(
        1,
        name="invoke_workflow hello",
        attributes={**flow_attributes("hello", 3), names.ARM: "a"},
        content={"inputs": {"q": "Hi"}, "outputs": {"a": "Hello"}},
        scope=TraceScope(common={names.FLOW_KIND: "dag"}),
    )


def leave(span: SpanRecord, *conventions: str, places: ContentPlaces = NOWHERE) -> SpanRecord:
    return map_span(span, [CONVENTIONS[name] for name in conventions], places)[0]


@pytest.mark.parametrize("span", [chat(), node(), flow()], ids=["chat", "node", "flow"])
@pytest.mark.parametrize("places", [NOWHERE, ON_SPANS], ids=["without", "with"])
@pytest.mark.parametrize(
    ("convention", "published"),
    [("latest", LATEST_NAMES), ("1.41", VERSION_1_41), ("1.36", VERSION_1_36)],
)
def test_every_name_that_leaves_is_published_by_that_version(
    convention: str, published: set[str], places: ContentPlaces, span: SpanRecord
) -> None:
    found = {name for name in leave(span, convention, places=places).attributes if name.startswith("gen_ai.")}
    allowed = {names.SYSTEM} if convention != "1.36" else set()
    assert found <= published | allowed
    assert names.OPERATION_NAME in found


@pytest.mark.parametrize(
    "span", [chat(), node(), node("prompt"), flow()], ids=["chat", "node", "prompt", "flow"]
)
def test_openinference_has_published_what_leaves(span: SpanRecord) -> None:
    found = leave(span, "openinference", places=ON_SPANS).attributes
    theirs = {name for name in found if not name.startswith("headrace.")}
    assert len(theirs) > 1
    for name in theirs:
        parts = re.split(r"\.\d+\.", name)
        assert all(part in OPENINFERENCE for part in parts), name


def test_the_latest_names_the_provider_twice_and_the_flow_as_an_agent() -> None:
    found = leave(chat(), "latest").attributes
    assert found["gen_ai.provider.name"] == found["gen_ai.system"] == "azure.ai.openai"
    root = leave(flow(), "latest")
    assert root.name == "invoke_workflow hello"
    assert (root.attributes["gen_ai.workflow.name"], root.attributes["gen_ai.agent.name"]) == (
        "hello",
        "hello",
    )


@pytest.mark.parametrize("convention", ["1.41", "1.36"])
def test_a_version_without_workflows_gets_an_agent(convention: str) -> None:
    root = leave(flow(), convention)
    assert root.name == "invoke_agent hello"
    assert root.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert root.attributes["headrace.arm"] == "a"


def test_several_are_the_union_and_the_first_wins() -> None:
    both = leave(flow(), "latest", "1.36", "openinference", "promptflow")
    assert both.name == "invoke_workflow hello"
    assert both.attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert both.attributes["openinference.span.kind"] == "CHAIN"
    assert both.attributes["span_type"] == "Flow"
    assert leave(flow(), "1.36", "latest").attributes["gen_ai.operation.name"] == "invoke_agent"


@pytest.mark.parametrize("convention", list(CONVENTIONS))
@pytest.mark.parametrize("span", [chat(), node(), flow()], ids=["chat", "node", "flow"])
def test_content_stays_here_unless_it_may_leave(convention: str, span: SpanRecord) -> None:
    mapped, events = map_span(span, [CONVENTIONS[convention]], NOWHERE)
    assert mapped.content is None
    assert "Hi" not in json.dumps([dict(mapped.attributes), [dict(event[2]) for event in mapped.events]])
    if convention != "1.36":
        assert events == ()


def test_messages_have_the_form_of_the_conventions() -> None:
    found = leave(chat(), "latest", places=ON_SPANS).attributes
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "4"}]},
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}
    ]
    tool = leave(node(), "latest", places=ON_SPANS).attributes
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"q": "Hi"}
    assert tool["gen_ai.tool.call.result"] == "4"
    assert json.loads(leave(flow(), "latest", places=ON_SPANS).attributes["headrace.outputs"]) == {
        "a": "Hello"
    }


def test_content_in_events_is_not_on_spans() -> None:
    mapped, (event,) = map_span(chat(), [CONVENTIONS["latest"]], IN_EVENTS)
    assert "Hello" not in json.dumps(dict(mapped.attributes))
    assert event.name == "gen_ai.client.inference.operation.details"
    assert (event.trace_id, event.span_id) == (mapped.trace_id, mapped.span_id)
    assert "Hello" in event.attributes["gen_ai.output.messages"]


def test_the_older_version_has_an_event_for_each_message() -> None:
    _, events = map_span(chat(), [CONVENTIONS["1.36"]], IN_EVENTS)
    assert [event.name for event in events] == [
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
    ]
    assert events[-1].body == {"index": 0, **ANSWERS[0]}


def test_openinference_counts_tokens_and_shows_messages() -> None:
    found = leave(chat(), "openinference", places=ON_SPANS).attributes
    assert found["openinference.span.kind"] == "LLM"
    assert found["llm.token_count.total"] == 7
    assert (found["llm.provider"], found["llm.system"]) == ("azure", "openai")
    assert found["llm.cost.total"] == 0.25
    assert found["llm.input_messages.0.message.content"] == "Be brief."
    assert found["llm.output_messages.0.message.content"] == "Hello"
    assert leave(node(), "openinference").attributes["openinference.span.kind"] == "TOOL"


def test_prompt_flow_sees_its_own_spans() -> None:
    root = leave(flow(), "promptflow", places=ON_SPANS)
    assert root.name == "hello"
    assert root.attributes["framework"] == "promptflow"
    assert root.attributes["execution_target"] == "dag"
    assert root.attributes["line_run_id"]
    assert json.loads(root.attributes["output"]) == {"a": "Hello"}
    assert [event[0] for event in root.events] == ["promptflow.function.inputs", "promptflow.function.output"]
    call = leave(chat(), "promptflow")
    assert (call.name, call.attributes["span_type"]) == ("openai_chat", "LLM")
    assert call.attributes["llm.usage.total_tokens"] == 7
    step = leave(node(), "promptflow")
    assert (step.attributes["span_type"], step.attributes["node_name"]) == ("Function", "ask")
    of_run = replace(flow(), attributes={**flow().attributes, names.RUN: "r"})
    line = leave(of_run, "promptflow").attributes
    assert (line["batch_run_id"], line["line_number"], "line_run_id" in line) == ("r", 3, False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["latest"]),
        ({"HEADRACE_TRACE_CONVENTIONS": "1.36, promptflow"}, ["1.36", "promptflow"]),
        ({"HEADRACE_TRACE_CONVENTIONS": "1.36,1.36"}, ["1.36"]),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental"}, ["latest"]),
        (
            {
                "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
                "HEADRACE_TRACE_CONVENTIONS": "openinference",
            },
            ["latest", "openinference"],
        ),
    ],
)
def test_conventions_are_chosen_by_name(environment: dict[str, str], expected: list[str]) -> None:
    assert [item.name for item in choose_conventions(environment)] == expected


def test_conventions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError) as raised:
        choose_conventions({"HEADRACE_TRACE_CONVENTIONS": "1.99"})
    assert raised.value.problems[0].code == "C506"


def test_schemas_are_those_of_the_versions() -> None:
    found: dict[str, Any] = {name: item.schema_url for name, item in CONVENTIONS.items()}
    assert found == {
        "latest": "https://opentelemetry.io/schemas/1.43.0",
        "1.41": "https://opentelemetry.io/schemas/1.41.0",
        "1.36": "https://opentelemetry.io/schemas/1.36.0",
        "openinference": None,
        "promptflow": None,
    }


def test_metrics_use_the_names_of_the_version() -> None:
    about = {names.PROVIDER_NAME: "openai", names.OPERATION_NAME: "chat"}
    assert map_attributes(about, [CONVENTIONS["1.36"]]) == {
        "gen_ai.system": "openai",
        "gen_ai.operation.name": "chat",
    }
    assert map_attributes(about, [CONVENTIONS["promptflow"]]) == about


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_a_request_and_feedback_say_leaves_under_every_convention(convention: str) -> None:
    said = {names.HTTP_METHOD: "POST", names.HTTP_STATUS: 200, names.ERROR_TYPE: "client-gone"}
    request = a_span(4, name="POST /score", kind="server", attributes={**said, names.REQUEST_ID: "r1"})
    assert leave(request, convention).attributes.items() >= {**said, names.REQUEST_ID: "r1"}.items()
    given = {"feedback": '{"rating": 5}', "rating": 5}
    feedback = leave(a_span(5, name="promptflow-feedback", attributes=given), convention).attributes
    assert feedback.items() >= given.items()


def test_feedback_cannot_pass_for_what_a_convention_says() -> None:
    given = {"feedback": "{}", "framework": "mine", "span_type": "LLM"}
    found = leave(a_span(5, name="promptflow-feedback", attributes=given), "promptflow").attributes
    assert (found["framework"], found["span_type"]) == ("promptflow", "Function")
