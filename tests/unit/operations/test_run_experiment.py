"""Experiments: recorded before they run, gone on with exactly where they stood, and refused when they have changed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.racing import ARMS, answers, make_racers

from headrace.config import load_settings
from headrace.domain.race import RaceSpec
from headrace.domain.recorded_experiment import RecordedExperiment
from headrace.domain.run import CANCELED, COMPLETED, RUNNING
from headrace.engine.events import LineFinished
from headrace.errors import StateError, UsageError
from headrace.evaluation.report.as_json import comparison_to_plain
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.line_runners import Where
from headrace.operations.rerun_experiment import RerunExperiment, rerun_experiment
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment, run_experiment
from headrace.operations.show_experiment import list_experiments, show_experiment
from headrace.operations.workspace import Workspace, open_workspace

N_LINES = 20
ONE_BY_ONE = Where(max_concurrency=1)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    make_racers(tmp_path, N_LINES)
    monkeypatch.chdir(tmp_path)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


class StopAt:
    """Interrupts when so many lines have ended."""

    def __init__(self, n_lines: int) -> None:
        self.n_left = n_lines

    def __call__(self, event: Any) -> None:
        if isinstance(event, LineFinished):
            self.n_left -= 1
            if self.n_left == 0:
                signal.raise_signal(signal.SIGINT)


def interrupted(workspace: Workspace, n_lines: int, **changes: Any) -> RecordedExperiment:
    """An experiment that was interrupted after so many lines."""
    experiment = replace(load_experiment(Path("experiment.yaml")), **changes)
    with pytest.raises(KeyboardInterrupt) as caught:
        run_experiment(workspace, experiment, StopAt(n_lines), where=ONE_BY_ONE)
    record = workspace.store.list_experiments()[0]
    assert caught.value.__notes__ == [f"Go on with it: headrace experiment resume {record.id}"]
    return record


def verdict(result: ComparisonResult) -> Any:
    """What a report says that does not depend on times and ids."""
    found: Any = comparison_to_plain(result.comparison, result.context)
    numbers = found["comparison"]
    for arm in numbers["arms"]:
        for name in [key for key in arm if "latency" in key or "duration" in key or "throughput" in key]:
            arm.pop(name)
    return [numbers["metrics"], numbers["warnings"], found["context"]["matrix"]["scores"]]


def code_of(error: pytest.ExceptionInfo[Any]) -> str:
    return str(error.value.problems[0].code)


def test_an_experiment_is_recorded_before_its_first_line(workspace: Workspace) -> None:
    seen: list[RecordedExperiment] = []

    def look(event: Any) -> None:
        if isinstance(event, LineFinished) and not seen:
            seen.extend(workspace.store.list_experiments())

    result = run_experiment(workspace, load_experiment(Path("experiment.yaml")), look)
    (record,) = seen
    assert (record.id, record.status) == (result.experiment, RUNNING)
    assert [(pin.role, pin.version_name, pin.used_by) for pin in record.flows] == [
        ("flow", "flow@1", tuple(ARMS)),
        ("evaluator", "passed@1", ("passed",)),
    ]
    assert (record.data.name, record.data.number, record.data.n_lines) == ("data.jsonl", 1, N_LINES)
    assert record.texts["experiment.yaml"] == Path("experiment.yaml").read_text("utf-8")
    runs = {run.spec.name for run in workspace.store.list_runs(experiment=record.id)}
    assert runs == {planned.name for planned in record.planned}
    closed = workspace.store.read_experiment(record.id)
    assert closed is not None
    assert closed.status == COMPLETED
    assert (closed.verdict or "").startswith("Ship best. ")


@pytest.mark.parametrize("race", [None, RaceSpec(batch=10)])
@pytest.mark.parametrize("n_lines", [1, 15, 25, 45])
def test_an_interrupted_experiment_ends_as_one_that_was_not(
    workspace: Workspace, race: RaceSpec | None, n_lines: int
) -> None:
    experiment = replace(load_experiment(Path("experiment.yaml")), race=race)
    whole = run_experiment(workspace, experiment, where=ONE_BY_ONE)
    paid = answers(workspace.folder)
    (workspace.folder / "answers.txt").unlink()
    record = interrupted(workspace, n_lines, race=race)
    view = show_experiment(workspace, "race")
    assert (view.record.id, view.status) == (record.id, CANCELED)
    assert view.again == f"headrace experiment resume {record.id}"
    Path("experiment.yaml").unlink()
    again = resume_experiment(workspace, ResumeExperiment(name=record.id), where=ONE_BY_ONE)
    assert verdict(again) == verdict(whole)
    assert answers(workspace.folder) == paid
    view = show_experiment(workspace, record.id)
    assert (view.status, view.n_left) == (COMPLETED, 0)
    assert view.again == f"headrace compare --again {record.id}"


@pytest.mark.parametrize("race", [None, RaceSpec(batch=N_LINES)])
def test_an_interrupt_as_a_run_ends_is_heard(workspace: Workspace, race: RaceSpec | None) -> None:
    all_at_once = Where(max_concurrency=2 * N_LINES)
    experiment = replace(load_experiment(Path("experiment.yaml")), race=race)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(workspace, experiment, StopAt(N_LINES), where=all_at_once)
    (record,) = workspace.store.list_experiments()
    (run,) = workspace.store.list_runs(experiment=record.id)
    assert (record.status, run.n_completed + run.n_failed) == (CANCELED, N_LINES)
    again = resume_experiment(workspace, ResumeExperiment(name=record.id), where=all_at_once)
    assert len(answers(workspace.folder)) == len(ARMS) * N_LINES
    assert verdict(again) == verdict(run_experiment(workspace, experiment, where=all_at_once))


def test_an_experiment_that_has_ended_is_only_compared_again(workspace: Workspace) -> None:
    whole = run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    paid = answers(workspace.folder)
    shutil.rmtree("flow")
    again = resume_experiment(workspace, ResumeExperiment(name="race"))
    assert verdict(again) == verdict(whole)
    assert answers(workspace.folder) == paid


def test_what_has_changed_is_said_and_how_to_go_on(workspace: Workspace) -> None:
    record = interrupted(workspace, 5)
    flow = Path("flow/flow.dag.yaml")
    text = flow.read_text("utf-8")
    flow.write_text(text.replace("arm: best}", "arm: good}"), "utf-8")
    with pytest.raises(UsageError) as caught:
        resume_experiment(workspace, ResumeExperiment(name=record.id))
    (problem,) = caught.value.problems
    assert problem.code == "S819"
    assert "the flow flow has changed since flow@1: node say.best (" in problem.what
    assert problem.fix is not None
    assert problem.fix.endswith(f"headrace experiment rerun {record.id}")
    flow.write_text(text + "# a comment changes nothing\n", "utf-8")
    Path("judge.py").write_text(Path("judge.py").read_text("utf-8") + "\nX = 1\n", "utf-8")
    with pytest.raises(UsageError, match=r"evaluator 'passed' has changed since passed@1: .*judge\.py"):
        resume_experiment(workspace, ResumeExperiment(name=record.id))
    Path("data.jsonl").write_text('{"n": 1, "passed_by": []}\n', "utf-8")
    with pytest.raises(UsageError, match=r"the data data\.jsonl has changed since version 1, 1 lines for 20"):
        resume_experiment(workspace, ResumeExperiment(name=record.id))
    shutil.rmtree("flow")
    with pytest.raises(UsageError, match="the flow flow cannot be read any more") as caught:
        resume_experiment(workspace, ResumeExperiment(name=record.id))
    assert len(caught.value.problems) == 2


def test_nothing_is_needed_from_the_disk_to_repeat_an_experiment(workspace: Workspace) -> None:
    whole = run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    for name in ("flow", "data.jsonl", "judge.py", "experiment.yaml"):
        path = Path(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    again = rerun_experiment(workspace, RerunExperiment(name="race"))
    assert again.experiment != whole.experiment
    assert verdict(again) == verdict(whole)
    newest, oldest = list_experiments(workspace)
    assert newest.record.rerun_of == oldest.record.id
    assert [pin.digest for pin in newest.record.flows if pin.role == "flow"] == [
        pin.digest for pin in oldest.record.flows if pin.role == "flow"
    ]
    assert newest.record.data.digest == oldest.record.data.digest


def test_what_is_on_the_disk_as_it_was_is_used_where_it_is(workspace: Workspace) -> None:
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    rerun_experiment(workspace, RerunExperiment(name="race"))
    assert {run.spec.flow_path for run in workspace.store.list_runs() if run.spec.source_run is None} == {
        str(Path("flow").resolve())
    }


def test_a_snapshot_that_is_gone_is_said(workspace: Workspace) -> None:
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    Path("data.jsonl").unlink()
    with closing(sqlite3.connect(workspace.state_folder / "headrace.sqlite")) as database, database:
        database.execute("DELETE FROM kept_file")
    with pytest.raises(StateError) as caught:
        rerun_experiment(workspace, RerunExperiment(name="race"))
    assert code_of(caught) == "S833"
    assert "data.jsonl" in caught.value.problems[0].what


def test_an_unknown_experiment_is_said(workspace: Workspace) -> None:
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    for resume in (
        lambda: resume_experiment(workspace, ResumeExperiment(name="rece")),
        lambda: show_experiment(workspace, "rece"),
        lambda: rerun_experiment(workspace, RerunExperiment(name="rece")),
    ):
        with pytest.raises(UsageError, match="no experiment") as caught:
            resume()
        assert code_of(caught) == "S816"
        assert caught.value.problems[0].fix == 'Did you mean "race"?'


def test_values_of_environment_variables_are_not_kept(workspace: Workspace) -> None:
    record = interrupted(workspace, 5, environment_variables={"REGION": "secret-place"})
    assert record.environment_names == ("REGION",)
    assert "secret-place" not in str(workspace.store.read_experiment(record.id))
    with pytest.raises(UsageError, match="not recorded") as caught:
        resume_experiment(workspace, ResumeExperiment(name=record.id))
    assert code_of(caught) == "C507"
    request = ResumeExperiment(name=record.id, environment_variables={"REGION": "secret-place"})
    assert resume_experiment(workspace, request).experiment == record.id
