"""A flow behind real HTTP on loopback, as clients of prompt flow's server know it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, Reply
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.domain.span import SpanRecord
from headrace.errors import HeadraceError
from headrace.operations.prepare_flow import FlowSession, loaded_flow
from headrace.operations.serve_flow import ServeCalls, ServeRequest, serve_flow
from headrace.operations.served_sources import find_served_file
from headrace.operations.workspace import open_workspace
from headrace.serving.app import run_flow_server
from headrace.serving.served import Served, ServedFlow, ServedVersion
from headrace.serving.server import bind

FLOW = """\
type: chat
environment_variables: {REGION: eu, SET_ALREADY: file}
inputs:
  q: {type: string, description: the question, is_chat_input: true}
  n: {type: int, default: 2}
  o: {type: object, default: {}}
  history: {type: list, default: [], is_chat_history: true}
outputs:
  s: {type: string, reference: "${g.output}", is_chat_output: true}
  r: {type: list, reference: "${a.output.r}"}
  e: {type: string, reference: "${a.output.e}", evaluation_only: true}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {q: "${inputs.q}", n: "${inputs.n}", o: "${inputs.o}"}}
- {name: g, type: python, source: {type: code, path: g.py}, inputs: {q: "${inputs.q}"}}
- {name: total, type: python, source: {type: code, path: total.py}, inputs: {q: "${a.output}"}, aggregation: true}
"""
FILES = {
    "flow.dag.yaml": FLOW,
    "a.py": """\
import os
from promptflow.core import tool

@tool
def a(q: str, n: int, o: dict):
    if q.startswith("boom"):
        raise ValueError(q)
    return {"r": [q, n, o, os.environ["REGION"], os.environ["SET_ALREADY"]], "e": 1}
""",
    "g.py": """\
from promptflow.core import tool

@tool
def g(q: str):
    yield "a "
    if q == "mid":
        raise ValueError("mid")
    yield "b"
""",
    "total.py": "from promptflow.core import tool\n\n@tool\ndef total(q):\n    raise SystemExit(1)\n",
    "samples.json": '[{"q": "an example"}]',
}
ONE_INPUT = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: prompt, source: {type: code, path: a.jinja2}, inputs: {q: "${inputs.q}"}}
""",
    "a.jinja2": "<{{q}}>",
}


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint, and the spans that it sent."""

    port: int
    spans: list[SpanRecord]

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, dict(headers or {}))
        response = connection.getresponse()
        raw, kind = response.read(), response.getheader("content-type", "")
        connection.close()
        return response.status, json.loads(raw) if kind.startswith("application/json") else raw.decode()

    def score(self, body: Any, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/score", body, named)

    def events(self, body: Any) -> list[Any]:
        status, text = self.score(body, accept="text/event-stream")
        assert status == 200
        pieces = [item.removeprefix("data: ") for item in text.split("\n\n") if item]
        return [json.loads(item, parse_constant=pytest.fail) for item in pieces]


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def serving(
    folder: Path,
    files: Mapping[str, str],
    *,
    environment: Mapping[str, str] | None = None,
    fields: Sequence[str] | None = None,
    source: str = ".",
) -> Iterator[Endpoint]:
    """The endpoint in a thread of its own; the flow is loaded in this one, for it changes the working directory."""
    write(folder, files)
    settings = load_settings({"HOME": str(folder), **(environment or {})})
    ready, listener = threading.Event(), bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    spans: list[SpanRecord] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        session = FlowSession(workspace, loaded, max_threads=4, attributes={})
        async with session as flow:
            flow.span_sink = spans.append
            version = ServedVersion(flow=flow, name="f@1", fields=fields, example={"q": "an example"})
            served = Served(flows={"": ServedFlow("", version)}, headrace_version="9")
            await run_flow_server(served, settings, listener, on_ready=ready.set)

    with (
        serving_names(folder),
        open_workspace(settings, folder) as workspace,
        loaded_flow(workspace, folder / source, keeps_environment=True) as loaded,
    ):
        task = loop.create_task(serve())

        def run() -> None:
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(task)

        thread = threading.Thread(target=run, name="flow-endpoint")
        thread.start()
        assert ready.wait(10)
        try:
            yield Endpoint(port, spans)
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join(10)
            loop.close()


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("SET_ALREADY", "process")
    with serving(tmp_path, FILES, environment={"SET_ALREADY": "process"}) as served:
        yield served


def test_a_request_is_one_line_without_what_is_for_evaluation(endpoint: Endpoint) -> None:
    status, body = endpoint.score({"q": "hi", "n": "5", "o": '{"a": 1}', "unknown": 1})
    assert (status, body) == (200, {"s": "a b", "r": ["hi", 5, {"a": 1}, "eu", "process"]})
    assert endpoint.score({"q": None})[1]["r"][:3] == ["None", 2, {}]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"n": 3}, "T202", "Required input fields ['q'] are missing in request data."),
        ({"q": "x", "n": "abc"}, "T201", "of type int"),
        ({"q": "x", "n": None}, "T201", "null was given"),
        ({"q": "boom"}, "E601", "ValueError: boom"),
        ({"q": "boom \ud800"}, "E601", "ValueError: boom \ud800"),
        ({"q": "mid"}, "E601", "ValueError: mid"),
        ([1], "D401", "a list, not an object"),
        (b"{bad", "D401", "not JSON, and the flow has 4 inputs"),
        (b"", "D401", "not JSON"),
    ],
)
def test_what_a_caller_did_wrong_is_said(endpoint: Endpoint, body: Any, code: str, said: str) -> None:
    status, answer = endpoint.score(body)
    assert (status, answer["error"]["code"], answer["error"]["problem"]) == (400, "UserError", code)
    assert said in answer["error"]["message"]


def test_pieces_follow_the_outputs_that_are_whole(endpoint: Endpoint) -> None:
    whole = {"r": ["hi", 2, {}, "eu", "process"]}
    assert endpoint.events({"q": "hi"}) == [whole, {"s": "a "}, {"s": "b"}]


def test_a_failure_in_the_middle_is_the_last_event_and_one_before_it_an_error(endpoint: Endpoint) -> None:
    assert endpoint.events({"q": "mid"})[1:] == [
        {"s": "a "},
        {"error": {"code": "UserError", "message": "The tool of node 'g' raised ValueError: mid.", "problem": "E601"}},
    ]  # fmt: skip
    status, body = endpoint.score({"q": "boom"}, accept="text/event-stream")
    assert (status, body["error"]["problem"]) == (400, "E601")
    assert endpoint.score({}, accept="text/event-stream")[0] == 400


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*", 200),
        ("Application/JSON", 200),
        ("text/html, application/json;q=0.9", 200),
        (",", 200),
        ("", 200),
        ("text/html", 406),
        ("image/png", 406),
    ],
)
def test_what_a_client_accepts(endpoint: Endpoint, accept: str, status: int) -> None:
    answer, body = endpoint.score({"q": "hi"}, accept=accept)
    assert answer == status
    assert status == 200 or "is not acceptable" in body["error"]["message"]


def test_media_types_may_stand_in_several_fields(endpoint: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
    connection.putrequest("POST", "/score")
    for name, value in (("accept", "text/html"), ("accept", "application/json"), ("content-length", "11")):
        connection.putheader(name, value)
    connection.endheaders(b'{"q": "hi"}')
    assert connection.getresponse().status == 200
    connection.close()


def test_media_types_mean_the_same_in_capitals(endpoint: Endpoint) -> None:
    expected = endpoint.score({"q": "hi"}, accept="text/event-stream")
    assert endpoint.score({"q": "hi"}, accept="TEXT/Event-Stream") == expected
    assert expected[0] == 200


def test_a_flow_that_does_not_stream_has_no_events_and_a_single_input_takes_any_text(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_INPUT) as endpoint:
        assert endpoint.score({"q": "a"}, accept="text/event-stream")[0] == 406
        assert endpoint.score(b"plain text") == (200, {"r": "<plain text>"})
        assert endpoint.score({"q": "é \ud83d"}) == (200, {"r": "<é \ud83d>"})
        assert endpoint.score({"q": {"a": 1}}) == (200, {"r": "<{'a': 1}>"})


def test_an_answer_of_a_model_is_passed_on_piece_by_piece(tmp_path: Path) -> None:
    flow = """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: model
  api: chat
  inputs: {model: m, q: "${inputs.q}"}
"""
    with ModelServer(default=Reply(text="one two three")) as model:
        connection = f"type: open_ai\napi_key: k\nbase_url: {model.base_url}\n"
        files = {"flow.dag.yaml": flow, "ask.jinja2": "user:\n{{q}}"}
        with serving(tmp_path, {**files, ".headrace/connections/model.yaml": connection}) as endpoint:
            events = endpoint.events({"q": "hi"})
            assert endpoint.score({"q": "hi"}) == (200, {"r": "one two three"})
        bodies = [request.body for request in model.requests]
    assert len(events) > 1
    assert "".join(event["r"] for event in events) == "one two three"
    assert [body["stream"] for body in bodies] == [True, False]


def test_a_prompty_streams_where_it_says_so(tmp_path: Path) -> None:
    with ModelServer(default=Reply(text='{"a": "one two"}')) as model:
        connection = f'{{type: openai, model: m, api_key: k, base_url: "{model.base_url}"}}'
        for name, parameters in (
            ("pieces", "{stream: true}"),
            ("whole", "{max_tokens: 5}"),
            ("parsed", "{stream: true, response_format: {type: json_object}}"),
        ):
            front = f"model:\n  configuration: {connection}\n  parameters: {parameters}\ninputs: {{q: {{type: string}}}}\n"
            write(tmp_path, {f"{name}.prompty": f"---\n{front}---\nuser:\n{{{{q}}}}\n"})
        with serving(tmp_path, {}, source="pieces.prompty") as endpoint:
            events = endpoint.events({"q": "hi"})
            assert endpoint.score({"q": "hi"}) == (200, '{"a": "one two"}')
        assert len(events) > 1
        assert "".join(event["output"] for event in events) == '{"a": "one two"}'
        for name in ("whole", "parsed"):
            with serving(tmp_path, {}, source=f"{name}.prompty") as endpoint:
                assert endpoint.score({"q": "hi"}, accept="text/event-stream")[0] == 406


def test_what_a_generator_gives_is_passed_on_as_it_is(tmp_path: Path) -> None:
    files = {
        "flow.dag.yaml": """\
inputs: {}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {}}
""",
        "a.py": """\
from dataclasses import dataclass
from promptflow.core import tool

@dataclass
class Hit:
    score: float

@tool
def a():
    yield "text"
    yield {"hits": [Hit(0.5)]}
    yield None
    yield 3
    yield {1, 1}
    yield float("nan")
    yield {"hits": [float("inf")]}
""",
    }
    with serving(tmp_path, files) as endpoint:
        events = endpoint.events({})
        assert [event["r"] for event in events] == [
            "text", {"hits": [{"score": 0.5}]}, None, 3, "{1}", "nan", "{'hits': [inf]}",
        ]  # fmt: skip
        whole = "text{'hits': [Hit(score=0.5)]}None3{1}nan{'hits': [inf]}"
        assert endpoint.score({}) == (200, {"r": whole})


@pytest.mark.parametrize(
    ("text", "more", "answer"),
    [
        ("one", "", "one"),
        ('{"a": 1, "b": 2}', "    response_format: {type: json_object}\n", {"a": 1, "b": 2}),
    ],
)
def test_a_flow_of_one_node_answers_what_that_returned(
    tmp_path: Path, text: str, more: str, answer: Any
) -> None:
    with ModelServer(default=Reply(text=text)) as model:
        prompty = f"""\
---
model:
  configuration: {{type: openai, model: m, api_key: k, base_url: "{model.base_url}"}}
  parameters:
    max_tokens: 5
{more}inputs: {{q: {{type: string}}}}
---
user:
{{{{q}}}}
"""
        with serving(tmp_path, {"a.prompty": prompty}, source="a.prompty") as endpoint:
            assert endpoint.score({"q": "hi"}) == (200, answer)
            _, schema = endpoint.ask("GET", "/swagger.json")
    answered = schema["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]
    assert answered == {"schema": {"type": "object"}}


def test_the_schema_is_that_of_prompt_flow(endpoint: Endpoint) -> None:
    status, schema = endpoint.ask("GET", "/swagger.json")
    assert status == 200
    name = schema["info"].pop("x-flow-name")
    assert schema["info"] == {
        "title": f"Promptflow[{name}] API",
        "version": "1.0.0",
        "x-flow-type": "chat",
        "x-chat-input": "q",
        "x-chat-history": "history",
        "x-chat-output": "s",
    }
    content = schema["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    assert content == {
        "example": {"q": "an example"},
        "schema": {
            "type": "object",
            "properties": {
                "q": {"type": "string", "description": "the question"},
                "n": {"type": "integer", "default": 2},
                "o": {"type": "object", "additionalProperties": {}},
                "history": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
            },
            "required": ["q", "n", "o", "history"],
        },
    }
    answer = schema["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(answer["properties"]) == ["s", "r"]


def test_health_version_home_and_paths_that_do_not_exist(endpoint: Endpoint) -> None:
    assert endpoint.ask("GET", "/health") == (200, {"status": "Healthy", "version": "9"})
    assert endpoint.ask("GET", "/version") == (
        200,
        {"build_info": "", "status": "Healthy", "version": "9"},
    )
    assert "<code>score</code>" in endpoint.ask("GET", "/")[1]
    status, text = endpoint.ask("GET", "/score")
    assert (status, text.startswith("The requested api 'score' with GET is not supported")) == (404, True)
    assert endpoint.ask("POST", "/nope", {})[0] == 404


def test_feedback_is_a_span_below_the_trace_that_it_is_about(endpoint: Endpoint) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    received = (200, {"status": "Feedback received."})
    assert endpoint.ask("POST", "/feedback", {"good": True}, {"traceparent": trace}) == received
    assert endpoint.ask("POST", "/feedback?flatten=true", {"good": 1, "why": ["x"]}) == received
    assert endpoint.ask("POST", "/feedback?flatten=true", b"fine") == received
    first, second, third = endpoint.spans
    assert (first.name, first.trace_id, first.parent_id) == ("promptflow-feedback", "a" * 32, "b" * 16)
    assert first.attributes == {"feedback": '{"good": true}'}
    assert (second.parent_id, second.attributes["good"], second.attributes["why"]) == (None, 1, '["x"]')
    assert third.attributes == {"feedback": "fine"}
    assert (
        endpoint.ask("POST", "/feedback", b"x", {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"}) == received
    )
    assert int(endpoint.spans[3].trace_id, 16) > 0


def test_feedback_becomes_only_so_many_attributes_with_names_that_mean_nothing_else(
    endpoint: Endpoint,
) -> None:
    data = {
        "gen_ai.usage.input_tokens": 10**9,
        "": "no name",
        "\ud800": 1,
        "long" * 64: 1,
        "text": "x" * 20_000,
        "deep": [[{"a": 1}]],
        **{f"n{number}": number for number in range(100)},
    }
    for body in (data, b"[" * 200_000, b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}"):
        assert endpoint.ask("POST", "/feedback?flatten=true", body)[0] == 200
    flat, deep, _ = (span.attributes for span in endpoint.spans)
    assert set(flat) == {"feedback", "text", "deep", *(f"n{number}" for number in range(62))}
    assert max(len(str(value)) for value in flat.values()) == 16_384
    assert deep == {"feedback": "[" * 16_384}


def test_pages_of_other_sites_and_other_names_are_kept_out_on_loopback(endpoint: Endpoint) -> None:
    assert endpoint.score({"q": "hi"}, origin="https://elsewhere.example")[0] == 403
    assert endpoint.score({"q": "hi"}, host="rebound.example")[0] == 400
    assert endpoint.score({"q": "hi"}, origin="http://localhost:3000")[0] == 200


@pytest.mark.parametrize(
    ("version", "host", "status"), [("1.0", "", 200), ("1.0", "host: a.example", 400), ("1.1", "", 400)]
)
def test_a_probe_of_http_1_0_need_not_name_a_host(
    endpoint: Endpoint, version: str, host: str, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as connection:
        connection.sendall(f"GET /healthz HTTP/{version}\r\nconnection: close\r\n{host}\r\n\r\n".encode())
        assert int(connection.makefile("rb").readline().split()[1]) == status


def test_the_answered_outputs_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_ALREADY", "process")
    with serving(tmp_path, FILES, fields=["e", "nope"]) as endpoint:
        assert endpoint.score({"q": "hi"}) == (200, {"e": 1})


@pytest.mark.parametrize(
    ("name", "value"), [("PF_FLOW_INIT_CONFIG", "[1]"), ("PROMPTFLOW_RESPONSE_INCLUDED_FIELDS", "{")]
)
def test_a_variable_that_cannot_be_read_is_said(tmp_path: Path, name: str, value: str) -> None:
    write(tmp_path, ONE_INPUT)
    request = ServeRequest(sources=[tmp_path], host="127.0.0.1", port=0)
    settings = load_settings({"HOME": str(tmp_path), name: value})
    with open_workspace(settings, tmp_path) as workspace, pytest.raises(HeadraceError, match=name):
        serve_flow(workspace, request, ServeCalls(on_ready=lambda *_: None, tell=lambda *_: None))


def test_a_folder_may_hold_a_single_prompty(tmp_path: Path) -> None:
    (tmp_path / "a.prompty").write_text("")
    assert find_served_file(tmp_path) == tmp_path / "a.prompty"
    (tmp_path / "b.prompty").write_text("")
    with pytest.raises(HeadraceError, match="F004"):
        find_served_file(tmp_path)
