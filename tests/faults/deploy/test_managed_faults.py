"""Everything that can go wrong while a flow is deployed to a managed online endpoint, at every step; minutes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.deployed_project import SECRET, Project, deployed_project

from headrace.cli.main import run_command_line
from headrace.errors import ExitCode

pytestmark = pytest.mark.faults

ALLOWED = ("--allow", "dirty", "--allow", "shift")
ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
STEPS: Mapping[str, tuple[str, str]] = {
    "workspace": ("GET", "workspaces/ws$"),
    "read endpoint": ("GET", "onlineEndpoints/greetings$"),
    "endpoint": ("PUT", "onlineEndpoints/greetings$"),
    "store": ("POST", "listSecrets$"),
    "blob": ("PUT", "blob.core.windows.net"),
    "model": ("PUT", "/models/"),
    "environment": ("PUT", "/environments/"),
    "connection": ("PUT", "/connections/"),
    "deployment": ("PUT", "deployments/(blue|green)$"),
    "status": ("GET", "mfeOperationsStatus"),
    "keys": ("POST", "listKeys$"),
    "answer": ("POST", "inference.ml.azure.com/score$"),
    "autoscale": ("GET", "autoscalesettings$"),
}
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "throttled": {"status": 429, "headers": {"Retry-After": "0"}},
    "conflict": {"status": 409},
    "denied": {"status": 403, "times": None},
    "failing": {"status": 500, "headers": {"Retry-After": "0"}},
    "away": {"status": 503, "headers": {"Retry-After": "0"}},
    "lost before": {"drop": "before"},
    "lost after": {"drop": "after"},
}
APPLY_WRITES, CHANGE_WRITES, DESTROY_WRITES = 21, 10, 2
"""Writes of a first version, of a second one and of taking one down, after each of which a command is killed; it goes on
to its end where it is to be killed after one more."""

OPERATIONS = ("OutOfQuota", "ImageBuildFailure", "ResourceNotReady", "BadArgument", "InternalServerError")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with deployed_project(tmp_path) as made:
        yield made


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    project.azure.enter(monkeypatch)
    monkeypatch.setenv("GREETING_MARK", SECRET)
    with chdir(project.folder):
        yield project


def shares(project: Project) -> dict[str, int]:
    found = project.azure.resources.of_type(ENDPOINTS)
    return dict(found[0].properties["traffic"]) if found else {}


def check_shares(project: Project) -> None:
    """Who gets requests is there, is healthy and runs; all of them together get everything, or nobody does."""
    now = shares(project)
    assert sum(now.values()) in (0, 100)
    for deployment in project.azure.resources.of_type(f"{ENDPOINTS}/deployments"):
        if now.get(deployment.name):
            assert deployment.provisioning_state == "Succeeded"
            assert deployment.id.lower() in project.azure.machine_learning.containers
    assert set(now) <= {item.name for item in project.azure.resources.of_type(f"{ENDPOINTS}/deployments")}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_request_goes_wrong(
    inside: Project, capsys: pytest.CaptureFixture[str], step: str, fault: str
) -> None:
    method, path = STEPS[step]
    inside.azure.faults.add(method=method, path=path, **FAULTS[fault])
    code = run_command_line(["deploy", "apply", *ALLOWED])
    said = capsys.readouterr()
    assert code in (ExitCode.OK, ExitCode.REMOTE), said.err
    assert SECRET not in said.out + said.err
    if code != ExitCode.OK:
        assert "error[X" in said.err or "error[P" in said.err
        assert "fix:" in said.err
    check_shares(inside)
    inside.azure.faults.clear()
    assert run_command_line(["deploy", "apply", *ALLOWED]) == ExitCode.OK, capsys.readouterr().err
    assert shares(inside) == {"blue": 100}
    check_shares(inside)


@pytest.mark.parametrize("word", OPERATIONS)
@pytest.mark.parametrize("step", ["endpoint", "deployment"])
def test_an_operation_fails(
    inside: Project, capsys: pytest.CaptureFixture[str], step: str, word: str
) -> None:
    assert run_command_line(["deploy", "apply", *ALLOWED]) == ExitCode.OK
    inside.say("Good day")
    method, path = STEPS[step]
    inside.azure.faults.add(method=method, path=path, fail_operation=word)
    assert run_command_line(["deploy", "apply", *ALLOWED]) == ExitCode.REMOTE
    assert "error[X2" in capsys.readouterr().err
    assert shares(inside) == {"blue": 100}
    assert run_command_line(["deploy", "apply", *ALLOWED]) == ExitCode.OK
    assert shares(inside) == {"blue": 90, "green": 10}
    check_shares(inside)


def killed_after(project: Project, n_writes: int, *words: str) -> bool:
    """Whether a command was killed after a number of writes, which it would have gone beyond."""
    module = "tests.support.deadly_deploy"
    ended = project.end(sys.executable, "-m", module, str(n_writes), *words)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stdout + ended.stderr
    return ended.returncode != 0


def deploy(*words: str) -> None:
    """A command that nothing happens to."""
    assert run_command_line(["deploy", *words]) == ExitCode.OK, words


@pytest.mark.parametrize("n_writes", range(1, APPLY_WRITES + 2))
def test_apply_is_killed_after_one_of_its_writes(inside: Project, n_writes: int) -> None:
    assert killed_after(inside, n_writes, "apply", *ALLOWED) == (n_writes <= APPLY_WRITES)
    check_shares(inside)
    deploy("apply", *ALLOWED)
    assert shares(inside) == {"blue": 100}
    check_shares(inside)


@pytest.mark.parametrize("n_writes", range(1, CHANGE_WRITES + 2))
def test_a_second_version_is_killed_after_one_of_its_writes(inside: Project, n_writes: int) -> None:
    deploy("apply", *ALLOWED)
    inside.say("Good day")
    assert killed_after(inside, n_writes, "apply", *ALLOWED) == (n_writes <= CHANGE_WRITES)
    check_shares(inside)
    assert sum(shares(inside).values()) == 100
    deploy("apply", *ALLOWED)
    assert shares(inside) == {"blue": 90, "green": 10}
    deploy("traffic", "green=100", "--allow", "shift")
    check_shares(inside)
    deploy("rollback", "--allow", "shift")
    assert shares(inside) == {"blue": 90, "green": 10}


@pytest.mark.parametrize("n_writes", range(1, DESTROY_WRITES + 2))
def test_destroy_is_killed_after_one_of_its_writes(inside: Project, n_writes: int) -> None:
    deploy("apply", *ALLOWED)
    assert killed_after(inside, n_writes, "destroy", "--yes") == (n_writes <= DESTROY_WRITES)
    deploy("destroy", "--yes")
    assert not inside.azure.resources.of_type(ENDPOINTS)
    assert not inside.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/connections")
