"""``headrace experiment run|show|list|resume|rerun`` as a person types them, on a flow that asks the embedded reader."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
N_LINES = 12
Call = Callable[..., tuple[str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in a copy of flows/triage with a dozen lines; gives what it prints to both streams."""
    shutil.copytree(ROOT / "flows" / "triage", tmp_path / "triage", ignore=shutil.ignore_patterns(".*"))
    data = tmp_path / "triage" / "data" / "test.jsonl"
    data.write_text("".join(data.read_text("utf-8").splitlines(keepends=True)[:N_LINES]), "utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: ExitCode = ExitCode.OK) -> tuple[str, str]:
        capsys.readouterr()
        found = run_command_line(list(words), Session(tmp_path, {"HOME": str(tmp_path), "COLUMNS": "120"}))
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return run


def shown(call: Call, name: str = "triage") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("experiment", "show", name, "--output", "json")[0])
    return found


def test_an_experiment_is_run_shown_listed_and_repeated_after_its_flow_has_changed(
    call: Call, tmp_path: Path
) -> None:
    first, _ = call("experiment", "run", "triage/experiment.yaml", "--output", "table")
    assert "few_shot" in first
    table, _ = call("experiment", "show", "triage", "--output", "table")
    rows = [line.split() for line in table.splitlines()]
    assert [row[:5] for row in rows if "triage@1" in row] == [
        [arm, "triage@1", str(N_LINES), "0", "0"] for arm in ("zero_shot", "one_shot", "few_shot")
    ]
    prompt = tmp_path / "triage" / "few_shot.jinja2"
    prompt.write_text(prompt.read_text("utf-8").replace("billing", "money"), "utf-8")
    again, _ = call("experiment", "rerun", "triage", "--output", "table")
    assert again.splitlines()[:10] == first.splitlines()[:10]
    listed = json.loads(call("experiment", "list")[0])
    assert [item["kind"] for item in listed] == ["arms", "arms"]
    assert shown(call)["rerun_of"] == listed[1]["id"]


def test_an_experiment_that_has_spent_its_budget_goes_on_with_a_higher_one(call: Call) -> None:
    whole, _ = call("experiment", "run", "triage/experiment.yaml", "--no-cache", "--output", "json")
    _, err = call(
        *("experiment", "run", "triage/experiment.yaml", "--no-cache", "--max-tokens", "5000"),
        code=ExitCode.FAILED,
    )
    assert "E609" in err
    assert "headrace experiment resume" in err
    stopped = shown(call)
    assert stopped["status"] == "Canceled"
    assert stopped["lines_left"] > 0
    spent = stopped["usage"]["prompt_tokens"] + stopped["usage"]["completion_tokens"]
    assert spent <= 5_000 + 1_200  # it is not known before the first line of few_shot what that spends
    rest, _ = call("experiment", "resume", "triage", "--max-tokens", "1000000", "--output", "json")
    assert means(rest) == means(whole)
    assert shown(call)["status"] == "Completed"


def means(report: str) -> list[tuple[str, float, int]]:
    (metric,) = json.loads(report)["comparison"]["metrics"]
    return [(score["arm"], score["mean"]["value"], score["mean"]["n"]) for score in metric["scores"]]
