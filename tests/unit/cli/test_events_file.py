from __future__ import annotations

import json
import os
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
    with (
        pytest.raises(UsageError, match="cannot write"),
        write_events(tmp_path / "gone" / "events.jsonl", print),
    ):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_ends_the_events_and_not_the_run() -> None:
    notes: list[str] = []
    with write_events(Path("/dev/full"), notes.append) as write:
        write(RunFinished(run="first", status=COMPLETED))
        write(RunFinished(run="second", status=COMPLETED))
    assert len(notes) == 1
    assert notes[0].startswith("No more events are written into /dev/full: ")


def test_a_reader_that_goes_away_ends_the_events_and_not_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    notes: list[str] = []
    with write_events(tmp_path / "pipe", notes.append) as write:
        write(RunFinished(run="first", status=COMPLETED))
        os.close(reader)
        write(RunFinished(run="second", status=COMPLETED))
    assert len(notes) == 1


def test_standard_error_that_is_a_file_is_written_on(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with write_events(Path("/dev/stderr"), print) as write:
        write(RunFinished(run="first", status=COMPLETED))
    os.write(2, b"after\n")
    before, event, after = capfd.readouterr().err.splitlines()
    assert (before, json.loads(event)["run"], after) == ("before", "first", "after")
