"""Processes that die at random moments: every line is accounted for, and nothing differs from a run without faults.

Minutes long, so not among the tests of every day: ``make faults``. The seed is printed when a test fails.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support import faulty_model
from tests.support.deadly import make_flow, settle, story
from tests.support.faulty_model import SETTINGS, faulty, model_service

from headrace.config import load_settings
from headrace.domain.run import COMPLETED
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("HEADRACE_TEST_SEED", "20260102"))
N_DEATHS = 20


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


def processes() -> Mapping[int, list[int]]:
    """Worker processes by the process that started them."""
    rows = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    found: dict[int, list[int]] = {}
    for row in rows.splitlines():
        if "headrace.operations.work_lines import main" in row and "main(" in row:
            parent = row.rpartition("main(")[2].partition(")")[0]
            if parent.isdigit():
                found.setdefault(int(parent), []).append(int(row.split()[0]))
    return found


def n_recorded(workspace: Workspace, name: str) -> int | None:
    """Lines of a run that are recorded; ``None`` when there is no such run yet."""
    found = [run for run in workspace.store.list_runs() if run.spec.name == name]
    return found[0].n_completed + found[0].n_failed if found else None


def wait_for_workers(run: int) -> None:
    """Those of a run that was killed end at once, or as soon as they have begun."""
    end = time.monotonic() + 10
    while run in processes():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_whole_run_is_killed_at_random_moments(
    workers: int, workspace: Workspace, tmp_path: Path
) -> None:
    draw = random.Random(SEED + workers)
    create_run(workspace, make_flow(tmp_path, 8_000))
    kill_at_random(workspace, draw, n_lines=8_000, workers=workers, n_at_once=8)
    done = resume_run(workspace, ResumeRequest(name="killed", workers=workers))
    assert (done.status, done.n_completed + done.n_failed) == (COMPLETED, 8_000)
    assert story(workspace, "killed") == story(workspace, "whole"), f"seed {SEED}"


def kill_at_random(
    workspace: Workspace, draw: random.Random, *, n_lines: int, workers: int, n_at_once: int, **variables: str
) -> None:
    """Begin a run, kill its process, and go on with it, twenty times."""
    folder = workspace.folder
    common = ("--max-concurrency", str(n_at_once), "--workers", str(workers))
    create = ("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "killed", *common)
    resume = ("run", "resume", "--name", "killed", *common)
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT / "src"), **variables}
    progress = [0]
    for death in range(N_DEATHS):
        words = resume if n_recorded(workspace, "killed") is not None else create
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if death % 2:  # while lines are run, however long it takes to begin
            while (n_recorded(workspace, "killed") or 0) <= progress[-1]:
                assert process.poll() is None, f"it came to its end (seed {SEED})"
                time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.4) if death % 2 else draw.uniform(0.2, 1))
        assert process.poll() is None, f"it came to its end too early (seed {SEED})"
        process.kill()
        process.wait()
        wait_for_workers(process.pid)
        progress.append(n_recorded(workspace, "killed") or 0)
    assert progress == sorted(progress)
    assert 0 < progress[-1] < n_lines


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_over_a_service_that_fails_is_killed_at_random_moments(workers: int, tmp_path: Path) -> None:
    draw = random.Random(SEED + workers)
    (tmp_path / ".headrace").mkdir()
    settings = load_settings({"HOME": str(tmp_path), **SETTINGS})
    with open_workspace(settings, tmp_path) as workspace, model_service(workspace) as server:
        create_run(workspace, faulty_model.make_flow(tmp_path, 6_000))
        server.default = faulty(draw)
        kill_at_random(workspace, draw, n_lines=6_000, workers=workers, n_at_once=32, **SETTINGS)
        done = resume_run(workspace, ResumeRequest(name="killed", workers=workers))
        assert (done.status, done.n_completed) == (COMPLETED, 6_000)
        assert story(workspace, "killed") == story(workspace, "whole"), f"seed {SEED}"


@contextmanager
def killing(draw: random.Random, killed: list[int]) -> Iterator[None]:
    """Kill a random worker process of this one again and again during the block."""
    is_over = threading.Event()

    def kill() -> None:
        while len(killed) < N_DEATHS and not is_over.wait(draw.uniform(0.05, 0.5)):
            there = processes().get(os.getpid(), [])
            if there:
                victim = draw.choice(there)
                with suppress(ProcessLookupError):
                    os.kill(victim, draw.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))
                    killed.append(victim)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_workers_are_killed_at_random_moments(workspace: Workspace, tmp_path: Path) -> None:
    request = make_flow(tmp_path, 6_000)
    create_run(workspace, request)
    killed: list[int] = []
    with killing(random.Random(SEED), killed):
        done = create_run(
            workspace,
            RunRequest(flow=request.flow, data=request.data, name="hit", max_concurrency=8, workers=2),
        )
    assert len(killed) == N_DEATHS
    assert os.getpid() not in processes()
    assert (done.status, done.n_completed + done.n_failed) == (COMPLETED, 6_000)
    settle(workspace, "hit")
    assert story(workspace, "hit") == story(workspace, "whole"), f"seed {SEED}"
