"""Served requests while the collector is not there, never answers, or lies: nothing slows, nothing breaks."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.endpoint import serving
from tests.support.model_server import ModelServer, answer
from tests.support.otlp_collector import Collector

FILES = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}, pin: {type: secret, default: "1234567890"}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {model: gpt, q: "${inputs.q}"}
  connection: openai
  api: chat
- name: log
  type: python
  source: {type: code, path: log.py}
  inputs: {q: "${inputs.q}"}
""",
    "ask.jinja2": "# user:\n{{q}}",
    "log.py": """\
import logging
from promptflow.core import tool

@tool
def log(q: str):
    logging.getLogger("my.tool").warning("asked %s", q)
    return q
""",
}
N = 40


@contextmanager
def misbehaving(kind: str) -> Iterator[str]:
    if kind == "hangs":
        with Collector(is_deaf=True) as collector:
            yield collector.url
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            if kind == "closes":  # takes connections into its queue and never speaks
                yield f"http://127.0.0.1:{port}"
        if kind == "refuses":
            yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ["hangs", "closes", "refuses"])
def test_a_collector_that_misbehaves_is_not_felt_by_requests(tmp_path: Path, kind: str) -> None:
    took_s = []
    with ModelServer(default=answer("Paris")) as models, misbehaving(kind) as url:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_MAX_QUEUE_SIZE": "16",
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": models.base_url,
        }
        with serving(tmp_path, FILES, ["."], environment=environment) as endpoint:
            for _ in range(N):
                begun = time.monotonic()
                found = endpoint.ask("POST", "/score", {"q": "Which?"})
                took_s.append(time.monotonic() - begun)
                assert (found.status, found.body) == (200, {"r": "Paris"})
    assert sorted(took_s)[N // 2] < 0.5


def test_content_of_a_request_leaves_only_as_asked_and_never_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a key that no pattern knows"
    module = ModuleType("names_out")
    module.take = lambda text: text.replace("Ada", "[name]")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "names_out", module)
    with ModelServer(default=answer(f"Paris, says {key}")) as models, Collector() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "HEADRACE_TRACE_CONTENT": "redacted",
            "HEADRACE_TRACE_REDACT": "names_out:take",
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": models.base_url,
        }
        with serving(tmp_path, FILES, ["."], environment=environment) as endpoint:
            assert endpoint.ask("POST", "/score", {"q": "Ada asks a@b.org"}).status == 200
    spans = collector.spans()
    asked = json.loads(spans["chat gpt"].attributes["gen_ai.input.messages"])
    assert asked[0]["parts"][0]["content"] == "[name] asks [email]"
    answered = json.loads(spans["chat gpt"].attributes["gen_ai.output.messages"])
    assert answered[0]["parts"][0]["content"] == "Paris, says ******"
    flow = spans[f"invoke_workflow {tmp_path.name}"].attributes
    assert json.loads(flow["headrace.inputs"]) == {"q": "[name] asks [email]"}
    (log,) = collector.events
    assert (log.body, log.span_id) == ("asked [name] asks [email]", spans["log"].span_id)
    everything = str((collector.arrived, collector.events, collector.metrics))
    assert key not in everything
    assert "1234567890" not in everything
