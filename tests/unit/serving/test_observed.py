"""What is seen of a request: by the app alone, and through a whole endpoint with a collector and a model service."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import serving
from tests.support.model_server import ModelServer, answer
from tests.support.otlp_collector import Collector

from headrace.domain.span import EventRecord, SpanRecord, TraceScope
from headrace.errors import Problem
from headrace.serving.access_log import AccessLog
from headrace.serving.observed import note_cut, note_wait, observed
from headrace.telemetry.spans import enclosing_span

TRACE, PARENT = "ab" * 16, "cd" * 8
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1", "baggage": "user=7"}
CHAT = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {model: gpt, q: "${inputs.q}"}
  connection: openai
  api: chat
""",
    "ask.jinja2": "# user:\n{{q}}",
}


class Kept:
    """A sink that keeps what it is given."""

    takes_events = True

    def __init__(self, *, leaves: bool = True) -> None:
        self.scope = TraceScope(is_passed_on=leaves)
        self.spans: list[SpanRecord] = []
        self.events: list[EventRecord] = []
        self.changes: list[tuple[str, int]] = []

    def __call__(self, span: SpanRecord) -> None:
        self.spans.append(span)

    def take_event(self, event: EventRecord) -> None:
        self.events.append(event)

    def count(self, name: str, change: int, attributes: Mapping[str, Any]) -> None:
        self.changes.append((name, change))

    def close(self) -> tuple[Problem, ...]:
        return ()


App = Callable[..., Awaitable[None]]


def answering(status: int | None) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if status is not None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"12345"})

    return app


def ask(app: App, kept: Kept, log: AccessLog | None = None, **changes: Any) -> list[Any]:
    """What one request is sent back."""
    headers = changes.pop("headers", {})
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/score",
        "query_string": b"key=secret",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("10.0.0.1", 999),
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        "headrace.request_id": "r-1",
        "headrace.caller": "key:shop",
        **changes,
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"secret"}

    asyncio.run(observed(app, kept, {"/score"}, log)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def test_a_request_is_a_server_span_below_its_caller() -> None:
    kept = Kept()
    sent = ask(answering(200), kept, headers={**CALLER, "user-agent": "curl/8"})
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    (span,) = kept.spans
    assert (span.name, span.kind, span.status) == ("POST /score", "server", "unset")
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert span.scope.is_sampled is True
    assert (span.scope.trace_state, span.scope.baggage) == ("vendor=1", "user=7")
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/score",
        "url.path": "/score",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "client.address": "10.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "headrace.request_id": "r-1",
        "http.response.status_code": 200,
    }
    assert kept.changes == [("http.server.active_requests", 1), ("http.server.active_requests", -1)]


@pytest.mark.parametrize(
    ("status", "error"), [(404, None), (429, None), (500, "500"), (503, "503"), (None, "client-gone")]
)
def test_only_faults_of_the_server_are_errors(status: int | None, error: str | None) -> None:
    kept = Kept()
    ask(answering(status), kept)
    assert kept.spans[0].attributes.get("error.type") == error
    assert (kept.spans[0].status == "error") is (status in (500, 503))
    assert kept.spans[0].parent_id is None


def test_what_an_app_raises_passes_and_is_seen() -> None:
    async def app(*_: Any) -> None:
        raise ValueError("secret")

    kept = Kept()
    with pytest.raises(ValueError, match="secret"):
        ask(app, kept)
    assert kept.spans[0].attributes["error.type"] == "ValueError"
    assert "secret" not in str(kept.spans[0])
    assert [change for _, change in kept.changes] == [1, -1]
    assert enclosing_span.get() is None


@pytest.mark.parametrize(("method", "path"), [("BREW", "/score"), ("GET", "/wp-admin/" + "x" * 5000)])
def test_what_callers_invent_names_no_span(method: str, path: str) -> None:
    kept = Kept()
    ask(answering(404), kept, method=method, path=path)
    (span,) = kept.spans
    assert span.name in ("_OTHER /score", "GET")
    assert len(span.attributes["url.path"]) <= 256
    assert "http.route" in span.attributes or span.name == "GET"


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01",
     f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE.upper()}-{PARENT}-01"],
)  # fmt: skip
def test_a_caller_that_is_none_begins_a_trace(header: str) -> None:
    kept = Kept()
    ask(answering(200), kept, headers={"traceparent": header})
    assert kept.spans[0].trace_id != TRACE
    assert kept.spans[0].parent_id is None


def test_what_a_caller_without_a_key_says_of_a_trace_does_not_count() -> None:
    kept = Kept()
    asgi = {"headers": CALLER}

    async def refused(scope: Any, receive: Any, send: Any) -> None:
        scope.pop("headrace.caller")
        await answering(401)(scope, receive, send)

    ask(refused, kept, **asgi)
    (span,) = kept.spans
    assert span.trace_id != TRACE
    assert span.parent_id is None
    assert (span.scope.is_sampled, span.scope.trace_state, span.scope.baggage) == (None, "", "")


def test_without_anybody_who_looks_nothing_is_made() -> None:
    seen = []

    async def app(*_: Any) -> None:
        seen.append(enclosing_span.get())

    kept = Kept(leaves=False)
    ask(app, kept)
    ask(app, kept, headers=CALLER)  # its trace is passed on all the same
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].trace_id == TRACE


def test_probes_are_not_seen() -> None:
    kept, lines = Kept(), list[str]()
    log = AccessLog(lines.append, kept)
    ask(answering(200), kept, log, path="/readyz", method="GET")
    log.close()
    assert (kept.spans, kept.events, lines) == ([], [], [])


def test_the_wait_for_a_turn_is_on_the_span() -> None:
    async def app(*_: Any) -> None:
        note_wait(1.0, 1.25)

    kept = Kept()
    ask(app, kept)
    assert kept.spans[0].attributes["headrace.queue_wait_s"] == 0.25


def test_an_answer_that_was_cut_after_it_had_begun_is_an_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answering(200)(scope, receive, send)
        note_cut("server-stopping")

    kept = Kept()
    ask(app, kept)
    (span,) = kept.spans
    assert (span.status, span.status_text) == ("error", "server-stopping")
    assert span.attributes["error.type"] == "server-stopping"
    assert span.attributes["http.response.status_code"] == 200


PIECES = {
    "flow.flex.yaml": "entry: say:say\n",
    "say.py": "import asyncio\n\nasync def say(q: str):\n    yield 'begun'\n    await asyncio.sleep(60)\n",
}
SSE = {"accept": "text/event-stream"}


def test_a_stream_that_says_nothing_more_is_an_error_of_its_span(tmp_path: Path) -> None:
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HEADRACE_SERVE_IDLE_S": "0.3"}
        with serving(tmp_path, PIECES, ["."], environment=environment) as endpoint:
            assert endpoint.ask("POST", "/score", {"q": "x"}, SSE).status == 200
    server = collector.spans()["POST /score"]
    assert (server.status, server.attributes["error.type"]) == ("error", "stuck")
    assert server.attributes["http.response.status_code"] == 200


def test_content_is_what_a_tool_was_given_whatever_it_makes_of_it(tmp_path: Path) -> None:
    files = {
        "flow.flex.yaml": "entry: change:change\n",
        "change.py": "def change(q: list):\n    q.append('of the tool')\n    return {'n': len(q)}\n",
    }
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HEADRACE_TRACE_CONTENT": "full"}
        with serving(tmp_path, files, ["."], environment=environment) as endpoint:
            assert endpoint.ask("POST", "/score", {"q": ["given"]}).body == {"n": 2}
    spans = collector.spans()
    for name in ("change", f"invoke_workflow {tmp_path.name}"):
        said = str(spans[name].attributes)
        assert "given" in said
        assert "of the tool" not in said


def test_the_access_log_has_a_line_without_content() -> None:
    kept, lines = Kept(leaves=False), list[str]()
    log = AccessLog(lines.append, kept)
    ask(answering(200), kept, log, headers=CALLER)
    ask(answering(503), kept, log)
    log.close()
    first, second = (json.loads(line) for line in lines)
    assert first["trace_id"] == TRACE
    assert {
        "method": "POST",
        "path": "/score",
        "status": 200,
        "bytes": 5,
        "request_id": "r-1",
    }.items() <= first.items()
    assert first["span_id"] == kept.spans[0].span_id
    assert second["status"] == 503
    assert "secret" not in "".join(lines)
    assert [event.severity for event in kept.events] == ["info", "error"]
    assert kept.events[0].trace_id == TRACE
    assert str(kept.events[0].body).startswith("POST /score 200 ")


def test_a_log_that_nobody_reads_holds_up_no_request() -> None:
    may_go = threading.Event()
    log = AccessLog(lambda _: may_go.wait(20), None)  # type: ignore[arg-type,return-value]
    kept = Kept(leaves=False)
    begun = time.monotonic()
    for _ in range(50):
        ask(answering(200), kept, log)
    assert time.monotonic() - begun < 2
    may_go.set()
    log.close()


def test_a_line_that_was_cut_is_a_whole_trace_all_the_same(tmp_path: Path) -> None:
    files = {
        "flow.flex.yaml": "entry: wait:wait\n",
        "wait.py": "import asyncio\n\nasync def wait(q: str):\n    await asyncio.sleep(30)\n",
    }
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HEADRACE_SERVE_TIMEOUT_S": "0.2"}
        with serving(tmp_path, files, ["."], environment=environment) as endpoint:
            assert endpoint.ask("POST", "/score", {"q": "x"}).status == 504
    spans = collector.spans()
    server, flow, node = spans["POST /score"], spans[f"invoke_workflow {tmp_path.name}"], spans["wait"]
    assert (flow.parent_id, node.parent_id) == (server.span_id, flow.span_id)
    assert flow.attributes["error.type"] == "cancelled"
    assert server.status == "error"


def test_a_request_is_one_trace_from_its_caller_to_the_model(tmp_path: Path) -> None:
    with ModelServer(default=answer("Paris")) as models, Collector() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OPENAI_API_KEY": "key-of-the-test",
            "OPENAI_BASE_URL": models.base_url,
        }
        with serving(tmp_path, CHAT, ["."], environment=environment) as endpoint:
            found = endpoint.ask("POST", "/score", {"q": "Which?"}, CALLER)
            assert (found.status, found.body) == (200, {"r": "Paris"})
    spans = collector.spans()
    server, flow = spans["POST /score"], spans[f"invoke_workflow {tmp_path.name}"]
    node, call = spans["ask"], spans["chat gpt"]
    assert {span.trace_id for span in spans.values()} == {TRACE}
    assert [span.parent_id for span in (server, flow, node, call)] == [
        PARENT,
        server.span_id,
        flow.span_id,
        node.span_id,
    ]
    sent = models.requests[-1].headers
    assert sent["traceparent"] == f"00-{TRACE}-{call.span_id}-01"
    assert sent["tracestate"] == "vendor=1"
    assert "baggage" not in sent
    assert flow.attributes["headrace.flow.digest"]
    assert "Which?" not in str(collector.arrived)
    assert collector.metrics["http.server.request.duration"][0][0]["http.route"] == "/score"
    assert collector.metrics["http.server.active_requests"][0][1] == 0


TALK = {
    "flow.dag.yaml": """\
inputs: {q: {type: string, is_chat_input: true}, past: {type: list, is_chat_history: true, default: []}}
outputs: {r: {type: string, is_chat_output: true, reference: "${say.output}"}}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {q: "${inputs.q}"}}
""",
    "say.jinja2": "{{q}}",
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("talk-7:a", "talk-7:a"), ("a b", None), ("<script>", None), ("x" * 129, None), (None, None)],
)
def test_the_span_of_a_flow_says_which_conversation_it_belongs_to(
    tmp_path: Path, given: str | None, expected: str | None
) -> None:
    headers = {} if given is None else {"X-Headrace-Conversation-Id": given}
    for path, body in (
        ("/score", {"q": "hi"}),
        ("/v1/chat/completions", {"model": tmp_path.name, "messages": [{"role": "user", "content": "hi"}]}),
    ):
        with Collector() as collector:
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
            with serving(tmp_path, TALK, ["."], environment=environment) as endpoint:
                assert endpoint.ask("POST", path, body, headers).status == 200
        flow = collector.spans()[f"invoke_workflow {tmp_path.name}"]
        assert flow.attributes.get("gen_ai.conversation.id") == expected
