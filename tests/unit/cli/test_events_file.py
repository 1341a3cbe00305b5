from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.cli.events_file import write_events
from headrace.cli.progress import show_progress
from headrace.cli.session import Session
from headrace.domain.run import COMPLETED, Usage
from headrace.engine.events import LineFinished, RunFinished, RunStarted, RunStopping
from headrace.errors import UsageError


def test_every_event_is_a_line_of_json_as_soon_as_it_happens(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with show_progress(Session(tmp_path, {}), path) as on_event:
        on_event(RunStarted(run="first", arm=None, n_lines=1))
        assert json.loads(path.read_text("utf-8"))["event"] == "run_started"
        usage = Usage(calls=1, prompt_tokens=10)
        on_event(LineFinished(run="first", line_number=0, status=COMPLETED, usage=usage, duration_ms=1.5))
        on_event(RunStopping(run="first", grace_s=10.0))
        on_event(RunFinished(run="first", status=COMPLETED))
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [event["event"] for event in events] == [
        "run_started",
        "line_finished",
        "run_stopping",
        "run_finished",
    ]
    assert events[1]["usage"]["prompt_tokens"] == 10
    assert all(event["run"] == "first" and event["time"].endswith("+00:00") for event in events)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"), write_events(tmp_path / "gone" / "events.jsonl"):
        pass
