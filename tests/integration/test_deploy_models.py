"""Models are deployed by commands in processes of their own, which may be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.stand_in import UNSET


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        yield azure


def start(azure: StandIn, folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {name: text for name, text in os.environ.items() if name not in UNSET}
    return subprocess.Popen(
        [sys.executable, "-m", "headrace", "deploy", *words],
        cwd=folder,
        env=environment | azure.environment | {"HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(azure: StandIn, folder: Path, *words: str) -> Any:
    """What a command that succeeds prints as JSON."""
    process = start(azure, folder, *words, "--format", "json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert azure.client.secret not in out + err
    return json.loads(out)


def test_a_model_comes_changes_and_goes(azure: StandIn, tmp_path: Path) -> None:
    made = run(azure, tmp_path, "model", "chat", "--model", "gpt-4o-mini", "--capacity", "20")
    assert (made["before"], made["after"]["state"]) == (None, "Succeeded")
    changed = run(azure, tmp_path, "model", "chat", "--capacity", "30", "--upgrade", "NoAutoUpgrade")
    assert {item["key"]: item["after"] for item in changed["changes"]} == {
        "capacity": 30,
        "upgrade": "NoAutoUpgrade",
    }
    assert [item["name"] for item in run(azure, tmp_path, "models")["deployments"]] == ["chat"]
    assert run(azure, tmp_path, "model", "chat", "--delete", "--yes")["applied"] is True
    assert run(azure, tmp_path, "models")["deployments"] == []


def test_a_command_that_was_killed_while_it_waited_is_given_again(azure: StandIn, tmp_path: Path) -> None:
    azure.faults.add(method="PUT", path="deployments/chat$", hang_operation=True)
    words = ("model", "chat", "--model", "gpt-4o-mini", "--capacity", "20")
    with start(azure, tmp_path, *words) as first:
        assert first.stderr is not None
        assert first.stderr.readline() == "Making chat in ai\n"
        while not azure.recording.find("PUT", "deployments/chat"):
            assert first.poll() is None
        first.kill()
    azure.operations.release()
    assert run(azure, tmp_path, *words)["after"]["state"] == "Succeeded"
    assert len(azure.recording.find("PUT", "deployments/chat")) == 1
