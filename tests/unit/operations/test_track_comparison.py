"""With the real packages where they are installed, and what records their calls elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.trackers import FakeMlflow, FakeWandb, is_installed, mlflow_runs

import headrace
from headrace.errors import RemoteError, UsageError
from headrace.operations.track_comparison import make_tracked
from headrace.sdk.compared import ComparedArms


@pytest.fixture
def arms() -> ComparedArms:
    rows = [
        {
            "arm": arm,
            "line": line,
            "correct": line % 3 > 0 or arm == "new",
            "words?": 5 + line % 4,
            "model": "m",
        }
        for arm in ("old", "new")
        for line in range(60)
    ]
    return headrace.compare(rows, metrics=["correct", "words?:lower"])


def test_arms_become_runs_with_what_they_are_and_scored(arms: ComparedArms) -> None:
    tracked = make_tracked(arms.result)
    assert (tracked.words["ship"], tracked.params["baseline"]) == ("new", "old")
    old, new = tracked.arms
    assert (old.params["is_baseline"], new.params["is_baseline"], new.params["model"]) == (True, False, "m")
    assert (old.metrics["correct"], new.metrics["correct"]) == (pytest.approx(2 / 3), 1.0)
    assert new.metrics["correct/difference"] == pytest.approx(1 / 3)
    assert new.metrics["correct/difference/low"] < 1 / 3 < new.metrics["correct/difference/high"]
    assert "correct/difference" not in old.metrics
    assert new.words == {"correct": "better", "words_": "inconclusive"}
    assert [len(arm.scores) for arm in tracked.arms] == [120, 120]
    assert json.loads(tracked.files["comparison.json"])["recommendation"]["arm"] == "new"
    assert len(tracked.files["scores.csv"].splitlines()) == 241
    assert "<html" in tracked.files["report.html"]


def test_levels_of_factors_are_params(arms: ComparedArms) -> None:
    designed = tuple(replace(arm, factors={"top_k": "5", "seed": "1"}) for arm in arms.result.arms)
    (old, _) = make_tracked(replace(arms.result, arms=designed)).arms
    assert (old.params["factor/top_k"], old.params["factor/seed"], old.params["seed"]) == ("5", "1", 0)


def test_mlflow_has_a_run_with_the_report_and_one_below_it_for_each_arm(
    arms: ComparedArms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = None if is_installed("mlflow") else FakeMlflow()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    if fake is not None:
        fake.install(monkeypatch)
    place = arms.log_to("mlflow")
    arms.log_to("mlflow")  # the experiment is there now
    runs = mlflow_runs(fake)
    (parent,) = [run for run in runs.values() if run["id"] in place] or [runs[max(runs)]]
    assert parent["files"] == ["comparison.json", "report.html", "scores.csv"]
    assert parent["tags"]["headrace.ship"] == "new"
    assert "beats" in parent["tags"]["mlflow.note.content"]
    new = runs["new"]
    assert new["tags"]["mlflow.parentRunId"]
    assert new["tags"]["headrace.verdict.correct"] == "better"
    assert new["params"]["model"] == "m"
    assert new["metrics"]["correct"] == 1.0
    assert {run["status"] for run in runs.values()} == {"FINISHED"}


@pytest.mark.skipif(is_installed("wandb"), reason="offline runs of the real package are read by hand")
def test_wandb_has_a_run_for_each_arm_and_one_with_the_report(
    arms: ComparedArms, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    fake.install(monkeypatch)
    place = arms.log_to("wandb")
    old, new, comparison = fake.runs
    assert [run.job_type for run in fake.runs] == ["arm", "arm", "comparison"]
    assert all(run.is_finished for run in fake.runs)
    assert len({run.group for run in fake.runs}) == 1
    assert comparison.group in place
    assert (new.name, new.config["baseline"], new.summary["correct"]) == ("new", "old", 1.0)
    assert new.summary["correct/verdict"] == "better"
    assert (len(old.logged["scores"].data), old.logged["scores"].columns[:2]) == (120, ["arm", "line"])
    assert len(comparison.logged["arms"].data) == 4
    assert comparison.summary["ship"] == "new"
    (artifact,) = comparison.artifacts
    assert sorted(artifact.files) == ["comparison.json", "report.html", "scores.csv"]


@pytest.mark.parametrize(("tracker", "fake"), [("mlflow", FakeMlflow), ("wandb", FakeWandb)])
def test_what_a_tracker_refuses_is_a_problem(
    arms: ComparedArms, monkeypatch: pytest.MonkeyPatch, tracker: str, fake: Callable[[], Any]
) -> None:
    made = fake()
    made.install(monkeypatch)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no one there")

    if tracker == "mlflow":
        monkeypatch.setattr(made, "create_run", refuse)
    else:
        monkeypatch.setattr("wandb.init", refuse)
    with pytest.raises(RemoteError, match="P710") as caught:
        arms.log_to(tracker)
    (problem,) = caught.value.problems
    assert problem.detail == ("no one there",)
    assert re.search("MLFLOW_TRACKING_URI|WANDB_MODE", problem.fix or "")


def test_a_tracker_that_is_not_there_is_refused(arms: ComparedArms) -> None:
    with pytest.raises(UsageError, match="C507") as caught:
        arms.log_to("wandbs")
    assert "wandb" in (caught.value.problems[0].fix or "")


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_says_how_to_install_it(arms: ComparedArms, tracker: str) -> None:
    if is_installed(tracker):
        pytest.skip(f"{tracker} is installed")
    with pytest.raises(UsageError, match="C505") as caught:
        arms.log_to(tracker)
    assert f"headrace[{tracker}]" in (caught.value.problems[0].fix or "")
