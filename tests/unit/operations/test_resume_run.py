"""Runs that are gone on with: the rest and nothing else, by one process at a time, of what has not changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.runs import a_spec, a_time

from headrace.config import load_settings
from headrace.domain.run import CANCELED, COMPLETED, FAILED, RUNNING, LineResult
from headrace.errors import UsageError
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.run_owner import Heartbeat, is_at_work, new_owner
from headrace.operations.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[3]
FLOW = """\
inputs:
  n: {type: int}
outputs:
  twice: {type: int, reference: "${work.output}"}
nodes:
- {name: work, type: python, source: {type: code, path: work.py}, inputs: {n: "${inputs.n}"}}
- name: total
  type: python
  source: {type: code, path: total.py}
  inputs: {values: "${work.output}"}
  aggregation: true
"""
WORK = """\
import time
from pathlib import Path

from promptflow.core import tool

@tool
def work(n: int) -> int:
    with Path("calls.txt").open("a") as calls:
        calls.write(f"{n}\\n")
    time.sleep(0.02)
    if n == 3 and Path("bad").exists():
        raise ValueError("three")
    if n == 4 and Path("stop").exists():
        raise KeyboardInterrupt
    return 2 * n
"""
TOTAL = """\
from promptflow.core import log_metric, tool

@tool
def total(values: list):
    log_metric("total", sum(values))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path)})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    return a_request(tmp_path, 8)


def a_request(folder: Path, n_lines: int) -> RunRequest:
    flow = folder / "flow"
    flow.mkdir()
    for name, text in (("flow.dag.yaml", FLOW), ("work.py", WORK), ("total.py", TOTAL)):
        flow.joinpath(name).write_text(text, "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(n_lines)), "utf-8")
    return RunRequest(flow=flow, data=data, name="r", max_concurrency=1)


def interrupted(workspace: Workspace, request: RunRequest) -> None:
    """Leave the run with its lines 0 to 3, of which the last one failed."""
    (request.flow / "stop").touch()
    (request.flow / "bad").touch()
    with pytest.raises(KeyboardInterrupt):
        create_run(workspace, request)
    (request.flow / "stop").unlink()
    (request.flow / "bad").unlink()
    (request.flow / "calls.txt").unlink()
    assert workspace.store.line_statuses("r") == {0: COMPLETED, 1: COMPLETED, 2: COMPLETED, 3: FAILED}


def calls(request: RunRequest) -> list[int]:
    return [int(line) for line in (request.flow / "calls.txt").read_text().split()]


def outputs(workspace: Workspace, run: str) -> list[tuple[int, str, object]]:
    def told(line: LineResult) -> tuple[int, str, object]:
        return line.line_number, line.status, line.outputs

    return [told(line) for line in workspace.store.read_lines(run)]


def test_exactly_the_rest_is_run_and_all_of_it_is_aggregated(
    workspace: Workspace, request_: RunRequest
) -> None:
    interrupted(workspace, request_)
    run = resume_run(workspace, ResumeRequest(name="r", max_concurrency=1))
    assert calls(request_) == [4, 5, 6, 7]
    assert (run.status, run.n_completed, run.n_failed, run.problem) == (COMPLETED, 7, 1, None)
    assert run.metrics == {"total": 2 * (0 + 1 + 2 + 4 + 5 + 6 + 7)}


def test_failed_lines_are_run_again_when_asked_for(workspace: Workspace, request_: RunRequest) -> None:
    interrupted(workspace, request_)
    resume_run(workspace, ResumeRequest(name="r"))
    run = resume_run(workspace, ResumeRequest(name="r", retries_failed=True))
    assert sorted(calls(request_)) == [3, 4, 5, 6, 7]
    assert (run.n_completed, run.metrics) == (8, {"total": 56})
    with pytest.raises(UsageError, match="S820"):
        resume_run(workspace, ResumeRequest(name="r", retries_failed=True))


@pytest.mark.parametrize("file", ["work.py", "data.jsonl"])
def test_a_flow_or_data_that_have_changed_are_refused(
    file: str, workspace: Workspace, request_: RunRequest, tmp_path: Path
) -> None:
    interrupted(workspace, request_)
    path = tmp_path / file if file == "data.jsonl" else request_.flow / file
    path.write_text(path.read_text("utf-8") + "\n\n", "utf-8")
    with pytest.raises(UsageError, match="S819"):
        resume_run(workspace, ResumeRequest(name="r"))
    assert workspace.store.read_run("r").status == CANCELED


def test_environment_variables_have_to_be_given_again(
    workspace: Workspace, request_: RunRequest, tmp_path: Path
) -> None:
    store = workspace.store
    store.create_run(
        a_spec("given", data_path="d.jsonl", environment_names=("KEY",)), n_lines=1, created_at=a_time()
    )
    with pytest.raises(UsageError) as caught:
        resume_run(workspace, ResumeRequest(name="given"))
    assert "--environment-variables KEY=…" in (caught.value.problems[0].fix or "")


def test_a_run_at_work_is_left_alone(workspace: Workspace, request_: RunRequest) -> None:
    spec = a_spec("busy", data_path="d.jsonl")
    workspace.store.create_run(spec, n_lines=1, created_at=workspace.now(), owner=new_owner())
    with pytest.raises(UsageError, match="S818"):
        resume_run(workspace, ResumeRequest(name="busy"))


def test_who_is_at_work(workspace: Workspace) -> None:
    store, now = workspace.store, workspace.now()
    here = new_owner()
    host, _, word = here.rsplit(":", 2)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name, owner in {
        "here": here,
        "dead": f"{host}:{dead.pid}:{word}",
        "else": f"other:{dead.pid}:x",
    }.items():
        store.create_run(a_spec(name), n_lines=1, created_at=now, owner=owner)
    assert is_at_work(store.read_run("here"), now)
    assert not is_at_work(store.read_run("dead"), now)
    assert is_at_work(store.read_run("else"), now)
    assert not is_at_work(store.read_run("else"), now + timedelta(minutes=5))
    store.finish_run("here", status=COMPLETED, finished_at=now, metrics={})
    assert not is_at_work(store.read_run("here"), now)


def test_a_heartbeat_goes_on_until_somebody_else_claims_the_run(workspace: Workspace) -> None:
    store, began = workspace.store, workspace.now()
    store.create_run(a_spec("r"), n_lines=1, created_at=began, owner="one")
    lost: list[bool] = []

    def beat() -> bool:
        return store.beat_run("r", owner="one", at=workspace.now())

    with Heartbeat(beat, lambda: lost.append(True), beat_s=0.01) as heart:
        wait_until(lambda: store.read_run("r").heartbeat_at != began)
        while not store.claim_run(
            "r", owner="two", at=workspace.now(), seen=store.read_run("r").heartbeat_at
        ):
            pass  # a heartbeat came in between
        wait_until(lambda: bool(lost))
    assert (lost, heart.is_lost) == ([True], True)


def wait_until(is_so: object, limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_killed_run_is_finished_as_if_nothing_had_happened(workspace: Workspace, tmp_path: Path) -> None:
    request = a_request(tmp_path, 40)
    make = ("run", "create", "--flow", "flow", "--data", "data.jsonl")
    for number, wanted in enumerate((5, 15, 25)):
        words = make if number == 0 else ("run", "resume")
        running = subprocess.Popen(
            (sys.executable, "-m", "headrace", *words, "--name", "r", "--max-concurrency", "2"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda wanted=wanted: n_recorded(workspace) >= wanted)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert workspace.store.read_run("r").status == RUNNING
    run = resume_run(workspace, ResumeRequest(name="r"))
    assert (run.status, run.n_completed, run.metrics) == (COMPLETED, 40, {"total": 40 * 39})
    # At each kill two lines are in flight, and those that came to an end since the last commit began may be lost.
    assert 40 <= len(calls(request)) <= 40 + 3 * 6
    whole = create_run(
        workspace, RunRequest(flow=request.flow, data=request.data, name="whole", max_concurrency=8)
    )
    assert outputs(workspace, "r") == outputs(workspace, "whole")
    assert run.metrics == whole.metrics


def n_recorded(workspace: Workspace) -> int:
    try:
        return workspace.store.read_run("r").n_completed
    except UsageError:  # not made yet
        return 0
