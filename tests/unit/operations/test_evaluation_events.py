"""Against a collector that speaks OTLP over HTTP, and the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.otlp_collector import Collector

from headrace.config import load_settings
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {text: "${inputs.text}"}}
"""
JUDGE = """\
def judge(answer: str) -> dict:
    if answer == "c":
        raise ValueError("cannot be judged")
    good = answer == "a"
    return {
        "quality": 0.75 if good else float("nan"),
        "quality_label": "good" if good else None,
        "quality_reason": "It says a.",
        "is_short": True,
        "comment": "no score",
    }
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def judged(folder: Path, **environment: str) -> Iterator[Workspace]:
    """A workspace in which the run ``judged`` has evaluated the run ``answers``."""
    (folder / "flow").mkdir()
    (folder / "flow" / "flow.dag.yaml").write_text(FLOW, "utf-8")
    (folder / "flow" / "say.jinja2").write_text("{{text}}", "utf-8")
    (folder / "judge").mkdir()
    (folder / "judge" / "judge.py").write_text(JUDGE, "utf-8")
    (folder / "judge" / "flow.flex.yaml").write_text("entry: judge:judge\n", "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in "abc"), "utf-8")
    settings = load_settings({"HOME": str(folder), "HEADRACE_STORE": "memory:", **environment})
    with open_workspace(settings, folder) as workspace:
        create_run(workspace, RunRequest(flow=folder / "flow", data=data, name="answers"))
        mapping = {"answer": "${run.outputs.answer}"}
        create_run(
            workspace,
            RunRequest(flow=folder / "judge", source_run="answers", column_mapping=mapping, name="judged"),
        )
        yield workspace


def stored(workspace: Workspace, line: int) -> list[tuple[str, dict[str, Any]]]:
    (root,) = [span for span in workspace.store.read_spans("judged", line) if span.parent_id is None]
    return [(name, dict(attributes)) for name, _, attributes in root.events]


def test_scores_and_failures_are_kept_as_events_of_the_evaluation(tmp_path: Path) -> None:
    with judged(tmp_path) as workspace:
        name = "gen_ai.evaluation.result"
        assert stored(workspace, 0) == [
            (
                name,
                {
                    "gen_ai.evaluation.name": "quality",
                    "gen_ai.evaluation.score.value": 0.75,
                    "gen_ai.evaluation.score.label": "good",
                },
            ),
            (name, {"gen_ai.evaluation.name": "is_short", "gen_ai.evaluation.score.value": 1.0}),
        ]
        assert stored(workspace, 1)[0] == (name, {"gen_ai.evaluation.name": "quality"})
        failed = workspace.store.read_line("judged", 2)
        assert failed is not None
        assert failed.problem is not None
        assert stored(workspace, 2) == [
            (name, {"gen_ai.evaluation.name": "judge", "error.type": failed.problem.name})
        ]
        answers = workspace.store.read_spans("answers", 0)
        assert [span.events for span in answers] == [()] * len(answers)


def test_events_are_sent_with_the_span_of_the_line_that_was_evaluated(tmp_path: Path) -> None:
    with Collector() as collector:
        with judged(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as workspace:
            roots = [
                next(span for span in workspace.store.read_spans("answers", line) if span.parent_id is None)
                for line in range(3)
            ]
        assert workspace.warnings == ()
    assert {path for path, _ in collector.requests} == {"/v1/traces", "/v1/logs"}
    assert len(collector.events) == 5
    for event in collector.events:
        root = roots[event.attributes["headrace.line_number"]]
        assert (event.name, event.trace_id, event.span_id) == (
            "gen_ai.evaluation.result",
            root.trace_id,
            root.span_id,
        )
        assert event.attributes["headrace.run"] == "answers"
        assert "gen_ai.evaluation.explanation" not in event.attributes
        assert event.time_ns > root.end_ns
        assert event.scope[0] == "headrace"
        assert event.resource["service.name"] == "headrace"
    assert all(span.events == [] for span in collector.arrived)


@pytest.mark.parametrize("word", ["true", "EVENT_ONLY", "span_and_event"])
def test_explanations_are_content_that_has_to_be_asked_for(tmp_path: Path, word: str) -> None:
    variable = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": word}
    with judged(tmp_path, **variable) as workspace:
        assert stored(workspace, 0)[0][1]["gen_ai.evaluation.explanation"] == "It says a."


def test_events_can_be_left_out(tmp_path: Path) -> None:
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_LOGS_EXPORTER": "none"}
        with judged(tmp_path, **environment) as workspace:
            assert stored(workspace, 0)
        assert workspace.warnings == ()
    assert collector.events == []
    assert collector.arrived != []


def test_a_collector_without_logs_is_said_once(tmp_path: Path) -> None:
    with Collector() as traces, Collector([404] * 9) as logs:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{logs.url}/v1/logs",
        }
        with judged(tmp_path, **environment) as workspace:
            pass
    (warning,) = workspace.warnings
    assert (warning.code, warning.severity) == ("S807", "warning")
    assert "5 of 5 events and logs" in warning.what
    assert "OTEL_LOGS_EXPORTER" in (warning.fix or "")
