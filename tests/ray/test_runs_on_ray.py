"""Runs whose lines Ray runs: the same results, also when its workers die. Ray is heavy: ``make ray``."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.deadly import make_flow, settle, story

from headrace.config import load_settings
from headrace.domain.run import COMPLETED
from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import create_run
from headrace.operations.workspace import Workspace, open_workspace

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
N_LINES = 1_500


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        create_run(opened, make_flow(tmp_path, N_LINES))
        yield opened


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def start(folder: Path, on: str = "ray") -> subprocess.Popen[bytes]:
    """Begin a run of the flow on Ray."""
    words = ("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "spread", "--on", on)
    return subprocess.Popen(
        [sys.executable, "-m", "headrace", *words, "--workers", "2", "--max-concurrency", "8"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def ray_processes(word: str) -> list[int]:
    rows = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(row.split()[0]) for row in rows.splitlines() if word in row and "ps -ewwo" not in row]


def wait_until_nothing_runs() -> None:
    end = time.monotonic() + 20
    while left := ray_processes("ray::LineActor") + ray_processes("raylet/raylet"):
        assert time.monotonic() < end, left
        time.sleep(0.1)


def test_results_are_those_of_this_process(workspace: Workspace, tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.wait(120) == 1  # some lines fail
    assert story(workspace, "spread") == story(workspace, "whole")
    wait_until_nothing_runs()


def test_lines_of_a_worker_that_dies_are_run_again(workspace: Workspace, tmp_path: Path) -> None:
    process, draw, killed = start(tmp_path), random.Random(7), set[int]()
    while process.poll() is None and len(killed) < 3:
        time.sleep(draw.uniform(0.3, 0.9))
        there = [number for number in ray_processes("ray::LineActor.run") if number not in killed]
        if there:
            victim = draw.choice(there)
            killed.add(victim)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
    assert process.wait(180) == 1
    assert len(killed) == 3
    done = workspace.store.read_run("spread")
    assert (done.status, done.n_completed + done.n_failed) == (COMPLETED, N_LINES)
    settle(workspace, "spread")
    assert story(workspace, "spread") == story(workspace, "whole")
    wait_until_nothing_runs()


def test_a_killed_run_leaves_nothing_and_is_resumed_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    process = start(tmp_path)
    while not any(run.spec.name == "spread" and run.n_completed > 100 for run in workspace.store.list_runs()):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    wait_until_nothing_runs()
    resume_run(workspace, ResumeRequest(name="spread", workers=2))
    assert story(workspace, "spread") == story(workspace, "whole")


def test_a_cluster_is_used_by_its_address(workspace: Workspace, tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    ray = str(Path(sys.executable).with_name("ray"))
    quiet = {**environment(tmp_path), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    words = ("--head", "--port", str(ports[0]), "--ray-client-server-port", str(ports[1]), "--num-cpus", "2")
    head = subprocess.Popen(
        [ray, "start", *words, "--include-dashboard", "false", "--block", "--node-ip-address", "127.0.0.1"],
        env=quiet,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports[1])) == 0:
                    break
            assert time.monotonic() < end
            time.sleep(0.2)
        assert start(tmp_path, on=f"ray://127.0.0.1:{ports[1]}").wait(180) == 1
    finally:
        head.terminate()
        head.wait(30)
    assert story(workspace, "spread") == story(workspace, "whole")
    wait_until_nothing_runs()
