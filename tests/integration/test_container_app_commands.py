"""``headrace deploy`` in processes of its own, from nothing to an app of Container Apps and back, on the stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.azure import StandIn
from tests.support.container_app_target import APP, make_ground, write_flow
from tests.support.serve_process import until

FILE = """\
name: triage
target: aca
flow: triage
azure: {{subscription: "{subscription}", resource_group: rg, environment: cae, registry: myacr}}
identities: ["{identity}"]
environment: {{HEADRACE_ACCESS_LOG: stderr, MOOD: {{env: MOOD}}}}
scale: {{min: 0, max: 2, requests_at_once: 20}}
price_usd_per_hour: 0.1
"""
SECRET = "a-mood-that-nobody-may-see"


class Commands:
    """Runs commands in a project, signed in to a stand-in."""

    def __init__(self, azure: StandIn, folder: Path, identity: str) -> None:
        self.azure = azure
        self.folder = folder / "project"
        self._environment = {**os.environ, **azure.environment, "HOME": str(folder), "MOOD": SECRET}
        self._environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.write(1)
        text = FILE.format(subscription=azure.subscription, identity=identity)
        (self.folder / "deployment.yaml").write_text(text, encoding="utf-8")
        self.said = ""

    def write(self, version: int) -> None:
        """The flow, in a version."""
        write_flow(self.folder / "triage", f"v{version}")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs."""
        command = [sys.executable, "-m", "headrace", "deploy", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, code: int = 0) -> str:
        """What a command writes to standard output."""
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        self.said += out + err
        assert process.returncode == code, (words, out, err)
        return out

    def status(self) -> Any:
        """The state as JSON."""
        return json.loads(self.run("status", "--format", "json"))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        yield Commands(azure, tmp_path, make_ground(azure, tmp_path).identity)


def test_from_nothing_to_a_canary_to_everybody_and_back(commands: Commands) -> None:
    commands.run("apply", code=5)  # nobody has evaluated it
    commands.run("apply", "--allow", "dirty")
    assert "Nothing to do" in commands.run("apply", "--allow", "dirty")
    commands.write(2)
    commands.run("apply", "--allow", "dirty")
    state = commands.status()
    assert state["traffic"] == {"blue": 90, "green": 10}
    assert {item["name"]: item["health"] for item in state["deployments"]} == {
        "blue": "healthy",
        "green": "healthy",
    }

    with httpx2.Client() as http:
        key = {"Authorization": f"Bearer {commands.azure.apps.key(APP)}"}
        answers = [http.post(state["address"], json={"text": "hi"}, headers=key).json() for _ in range(20)]
        assert http.post(state["address"], json={"text": "hi"}).status_code == 401
    assert Counter(item["answer"] for item in answers) == {f"v1 hi {SECRET}": 18, f"v2 hi {SECRET}": 2}
    streamed = commands.start(
        "invoke", "--deployment", "green", "--inputs", "text=yo", "--stream"
    ).communicate(timeout=60)
    assert "v2 yo" in streamed[0]
    logs = commands.run("logs", "-n", "2")
    assert logs.count('"path": "/score"') >= 3

    commands.run("traffic", "green=60")
    commands.run("traffic", "green=100")
    commands.run("rollback")
    assert commands.status()["traffic"] == {"blue": 40, "green": 60}
    commands.run("destroy", "--yes")
    assert "Nothing to do" in commands.run("destroy", "--yes")
    assert not commands.azure.apps.by_id
    assert not commands.azure.unanswered
    assert SECRET not in commands.said
    assert key["Authorization"].partition(" ")[2] not in commands.said


def test_an_apply_that_is_killed_while_a_revision_starts_is_completed_by_the_next_one(
    commands: Commands,
) -> None:
    azure = commands.azure
    first = commands.start("apply", "--allow", "dirty")
    until(lambda: bool(azure.recording.find("PUT", "containerApps/triage")), 60)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=10)
    commands.run("apply", "--allow", "dirty")
    assert commands.status()["traffic"] == {"blue": 100}
    assert len(azure.apps.find(APP).revisions) == 1
    assert len(azure.recording.find("POST", "scheduleRun")) == 1


def test_what_goes_wrong_has_a_code_a_place_and_a_fix(commands: Commands) -> None:
    text = (commands.folder / "deployment.yaml").read_text(encoding="utf-8")
    (commands.folder / "deployment.yaml").write_text(text.replace("cae", "nowhere"), encoding="utf-8")
    commands.run("apply", "--allow", "dirty", code=5)
    assert "deployment.yaml:4:" in commands.said
    assert "X274" in commands.said
    commands.azure.access.deny("Microsoft.App/containerApps/read")
    commands.run("status", code=4)
    assert "Container Apps Contributor" in commands.said
