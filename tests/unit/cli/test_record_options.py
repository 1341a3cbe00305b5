from __future__ import annotations

import csv
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.reference_docs import copy_project
from tests.support.tool_nodes import serving_names
from tests.support.trackers import FakeMlflow

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

EXPERIMENT = "flows/triage/experiment.yaml"


def run(folder: Path, *arguments: str) -> int:
    with chdir(folder), serving_names(folder):
        return run_command_line(["compare", *arguments], Session(folder, {"HOME": str(folder)}))


def test_scores_are_written_beside_the_board_and_again_without_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_project(tmp_path)
    tracker = FakeMlflow()
    tracker.install(monkeypatch)
    code = run(tmp_path, EXPERIMENT, "--scores", str(tmp_path / "out" / "scores.csv"), "--to", "mlflow")
    out, err = capsys.readouterr()
    assert code == ExitCode.OK
    assert "out/scores.csv" in err
    assert "MLflow experiment" in err
    again = next(line for line in out.splitlines() if line.startswith("again: ")).split()[-1]
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    counts = Counter((row["arm"], row["metric"]) for row in rows)
    assert len(set(counts.values())) == 1
    assert {row["evaluator"] for row in rows} - {""}
    assert all(row["run"] and row["evaluation_run"] for row in rows)
    assert len(tracker.runs) == 1 + len({row["arm"] for row in rows})
    assert run(tmp_path, "--again", again, "--scores", str(tmp_path / "again.csv")) == ExitCode.OK
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "out" / "scores.csv").read_bytes()


@pytest.mark.parametrize(
    "arguments", [("--scores", "scores.xlsx"), ("--to", "excel")], ids=["form", "tracker"]
)
def test_what_cannot_be_written_is_said_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str]
) -> None:
    copy_project(tmp_path)
    assert run(tmp_path, EXPERIMENT, *arguments) == ExitCode.USAGE
    assert "C507" in capsys.readouterr().err
    assert not list(tmp_path.glob(".headrace/*.sqlite*"))
