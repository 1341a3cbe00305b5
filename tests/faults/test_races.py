"""Races whose process is killed at random moments: same order, same drops, same verdict, and no answer paid twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.racing import ANSWERS, ARMS, answers, make_race, make_racers

from headrace.config import load_settings
from headrace.domain.race import RaceSpec
from headrace.domain.run import COMPLETED
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("HEADRACE_TEST_SEED", "20260102"))
N_DEATHS = 8
N_LINES = 120
RACE = RaceSpec(batch=10)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    make_racers(tmp_path, N_LINES)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


def n_recorded(workspace: Workspace, experiment: str) -> int:
    """Answers of arms and evaluators that are recorded."""
    runs = workspace.store.list_runs(experiment=experiment)
    return sum(run.n_completed + run.n_failed for run in runs)


def begin(folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT / "src"), "RACE_SLEEP_S": "0.02"}
    race = ("--race", "winner", "--batch", "10", "--max-concurrency", "1", "--workers", "0")
    return subprocess.Popen(
        [sys.executable, "-m", "headrace", "compare", "experiment.yaml", *race, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_more(process: subprocess.Popen[bytes], folder: Path, n_answers: int) -> None:
    """Until the race has answered something that it had not before."""
    end = time.monotonic() + 60
    notes = folder / ANSWERS
    while not notes.exists() or len(notes.read_text("utf-8").splitlines()) <= n_answers:
        assert process.poll() is None, f"it came to its end (seed {SEED})"
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_race_is_killed_at_random_moments(workspace: Workspace, tmp_path: Path) -> None:
    whole = run_experiment(workspace, make_race(tmp_path, RACE)).context.race
    assert whole is not None
    paid = answers(tmp_path)
    tmp_path.joinpath(ANSWERS).unlink()
    draw = random.Random(SEED)
    experiment, deaths, recorded = "", 0, [0]
    while deaths < N_DEATHS:
        process = begin(tmp_path, ("--resume", experiment) if experiment else ())
        notes = tmp_path / ANSWERS
        wait_for_more(process, tmp_path, len(notes.read_text("utf-8").splitlines()) if notes.exists() else 0)
        time.sleep(draw.uniform(0, 0.6))
        assert process.poll() is None, f"it came to its end too early (seed {SEED})"
        process.kill()
        process.wait()
        deaths += 1
        known = {run.spec.experiment for run in workspace.store.list_runs()} - {whole_id(workspace)}
        (experiment,) = (name for name in known if name is not None)
        recorded.append(n_recorded(workspace, experiment))
    assert recorded == sorted(recorded)
    assert begin(tmp_path, ("--resume", experiment)).wait(timeout=120) == 1  # the worst arm fails on lines
    runs = workspace.store.list_runs(experiment=experiment)
    assert {run.status for run in runs} == {COMPLETED}
    arms = {run.spec.arm: run for run in runs if run.spec.source_run is None}
    assert len(arms) == len(ARMS) == sum(run.spec.source_run is None for run in runs)
    for arm in whole.arms:
        note = arms[arm.arm].spec.properties["race"]
        assert note["n_lines"] == arm.n_lines, f"seed {SEED}"
        assert arms[arm.arm].n_completed + arms[arm.arm].n_failed == arm.n_lines
        assert (note.get("drop") or {}).get("ahead") == (arm.drop.ahead if arm.drop else None)
    made = answers(tmp_path)
    # One line is in flight at a time, and one that was in flight at a death is not recorded.
    assert len(made) - len(set(made)) <= N_DEATHS
    assert set(made) == set(paid), f"seed {SEED}"


def whole_id(workspace: Workspace) -> str | None:
    """The experiment that was made first, without a death."""
    return workspace.store.list_runs()[-1].spec.experiment
