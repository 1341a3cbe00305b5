"""``headrace gate`` as a build server calls it: exit codes, files, and the summary of a workflow."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.support.gated_project import write_flow, write_project
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


@pytest.fixture
def gate(project: Path) -> Callable[..., int]:
    def call(words: str, **environment: str) -> int:
        with chdir(project), serving_names(project):
            session = Session(project, {"HOME": str(project), **environment})
            return run_command_line(["gate", *shlex.split(words)], session)

    return call


def test_exit_codes_say_what_came_of_it(gate: Callable[..., int], project: Path) -> None:
    write_flow(project, old=6, new=9)
    assert gate("experiment.yaml") == 0
    write_flow(project, old=6, new=3)
    assert gate("experiment.yaml") == 1
    write_flow(project, old=6, new=6)
    assert gate("experiment.yaml --margin 0.01") == 6
    assert gate("experiment.yaml --margin 0.01 --undecided pass") == 0


def test_a_place_that_is_not_known_is_refused_before_lines_run(
    gate: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate("experiment.yaml --on spark") == 2
    assert "--on does not know 'spark'.\n  fix: Give ray, or ray://HOST:PORT." in capsys.readouterr().err


def test_a_pull_request_is_compared_with_the_file_of_the_main_branch(
    gate: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate("experiment.yaml --test equivalence --output main.json") == 0
    write_flow(project, old=6, new=4)
    capsys.readouterr()
    code = gate(
        "experiment.yaml --arm new --against main.json --margin 0.1 -o github -o comment.md -o gate.xml",
        GITHUB_STEP_SUMMARY=str(project / "summary.md"),
    )
    assert code == 1
    annotation = capsys.readouterr().out
    assert annotation.startswith(
        "::error file=experiment.yaml,line=1,col=1,title=Gate failed%3A new on exact_match::"
    )
    assert "new is shown to be worse than new@main.json by 0.100 or more on exact_match" in annotation
    comment = (project / "comment.md").read_text(encoding="utf-8")
    assert "## Gate failed" in comment
    assert "| new | exact_match | not worse by 0.1 (against new@main.json) | **failed** |" in comment
    assert (project / "summary.md").read_text(encoding="utf-8").strip() == comment.strip()
    case = ET.parse(project / "gate.xml").find("testsuite/testcase")  # noqa: S314 - our own file
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "failed"


def test_a_recorded_experiment_is_asked_again(
    gate: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate("experiment.yaml --test equivalence -o json -q") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["gate"]["outcome"], found["gate"]["results"][0]["numbers"]["n"]) == ("passed", 100.0)
    again = next(
        word for command in found["context"]["commands"] for word in command.split() if "_20" in word
    )
    assert gate(f"--again {again} --metric exact_match --limit 0.55") == 6  # 0.6 of 100: 0.502 to 0.691
    assert gate(f"--again {again} --metric exact_match --arm new --limit 0.4") == 0
    assert gate(f"--again {again} --metric failures --arm new --limit 0.05") == 0
    assert gate(f"experiment.yaml --arm new --against {again} --margin 0.1") == 0
    assert "new is shown not to be worse" in capsys.readouterr().out


def test_what_cannot_be_answered_is_found_before_anything_runs(
    gate: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        "experiment.yaml --against nobody",
        "experiment.yaml --metric recall",
        "experiment.yaml --arm newer",
        "experiment.yaml --margin -1",
        "experiment.yaml one two",
        "",
    ):
        assert gate(words) == 2
    assert "Completed" not in "".join(capsys.readouterr())


def test_questions_of_the_file_are_all_asked_where_they_stand(
    gate: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project / "experiment.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "gates:\n- {metric: exact_match, test: superiority}\n- {metric: failures, test: budget, limit: 0.1}\n"
        )
    write_flow(project, old=4, new=8)
    assert gate("experiment.yaml -o github") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "::notice file=experiment.yaml,line=10,col=3,title=Gate passed%3A new on exact_match::"
    )
    assert second.startswith(
        "::notice file=experiment.yaml,line=11,col=3,title=Gate passed%3A new on failures::"
    )
    assert gate("experiment.yaml -o json -q --arm old --against new") == 1
    found = json.loads(capsys.readouterr().out)
    assert [item["outcome"] for item in found["gate"]["results"]] == ["failed", "passed"]
    again = next(
        word for command in found["context"]["commands"] for word in command.split() if "_20" in word
    )
    assert gate(f"--again {again}") == 0
    assert "2 questions: 2 passed" in capsys.readouterr().out
