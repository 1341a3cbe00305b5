"""Questions of a gate that cannot be answered: said where they stand, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gated_project import EXPERIMENT, write_project

from headrace.config import load_settings
from headrace.errors import HeadraceError
from headrace.formats.experiment import load_experiment
from headrace.operations.check_experiment import check_experiment
from headrace.operations.ready_gate import ready_gate
from headrace.operations.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def write(gate: str) -> Path:
    Path("experiment.yaml").write_text(f"{EXPERIMENT}gates:\n- {{{gate}}}\n", "utf-8")
    return Path("experiment.yaml")


@pytest.mark.parametrize(
    ("gate", "code", "at"),
    [
        ("metric: exact_mtach, test: superiority", "G901", "exact_mtach"),
        ("metric: exact_match, test: superiority, arm: old", "V305", "old"),
        ("metric: exact_match, test: superiority, arm: new, against: nosuch", "G961", "nosuch"),
        ("metric: exact_match, test: superiority, arm: new, against: nosuch.json", "G963", "nosuch.json"),
        ("metric: exact_match, test: superiority, arm: new, against: flow@prod", "S831", "flow@prod"),
        ("metric: exact_match, test: superiority, arm: new, against: '@prod'", "S831", "'@prod'"),
        ("metric: latency, test: superiority", "G901", "latency"),
    ],
)
def test_a_question_of_the_file_is_refused_at_its_place(
    workspace: Workspace, gate: str, code: str, at: str
) -> None:
    file = write(gate)
    with pytest.raises(HeadraceError) as caught:
        check_experiment(workspace, ready_gate(workspace, load_experiment(file), {})[0])
    (problem,) = caught.value.problems
    assert (problem.code, problem.fix is None) == (code, False)
    assert problem.span is not None
    line = file.read_text("utf-8").splitlines()[problem.span.line - 1]
    assert line[problem.span.column - 1 :].startswith(at)
    assert workspace.store.list_runs() == ()


def test_a_comparison_finds_what_its_gates_cannot_ask_as_well(workspace: Workspace) -> None:
    experiment = load_experiment(write("metric: exact_mtach, test: superiority"))
    with pytest.raises(HeadraceError) as caught:
        check_experiment(workspace, experiment)
    assert [problem.code for problem in caught.value.problems] == ["G901"]


def test_what_the_command_asks_is_not_looked_for_in_the_file(workspace: Workspace) -> None:
    experiment = load_experiment(write("metric: exact_match, test: superiority, arm: new"))
    with pytest.raises(HeadraceError) as caught:
        ready_gate(workspace, experiment, {"against": "nosuch"})
    (problem,) = caught.value.problems
    assert (problem.code, problem.span) == ("G961", None)
