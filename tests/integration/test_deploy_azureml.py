"""A flow at a managed online endpoint, from the first version to its end: the real packages, our commands, and a server
that really runs what was uploaded."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.deployed_project import ARMS, FILE, SECRET, Project, deployed_project

from headrace.cli.main import run_command_line
from headrace.errors import ExitCode


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with deployed_project(tmp_path) as made:
        yield made


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The project, for commands in this process."""
    project.azure.enter(monkeypatch)
    monkeypatch.setenv("GREETING_MARK", SECRET)
    with chdir(project.folder):
        yield project


def deploy(*words: str) -> int:
    return run_command_line(["deploy", *words])


def streamed(azure: StandIn, deployment: str) -> list[dict[str, str]]:
    """The pieces of an answer, as they come through the address of the endpoint."""
    endpoint = azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/onlineEndpoints")[0]
    headers = {
        "Authorization": f"Bearer {endpoint.hidden['primary']}",
        "azureml-model-deployment": deployment,
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(endpoint.properties["scoringUri"], b'{"name": "Cy"}', headers)
    with urllib.request.build_opener().open(request) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.read().decode().splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


def bodies_of(azure: StandIn) -> str:
    """All that was sent, but for the connection that holds the secret."""
    return "\n".join(str(item.body) for item in azure.recording.requests if "/connections/" not in item.path)


def test_versions_come_and_go_by_commands_in_processes(project: Project) -> None:
    assert "Done: blue=100" in project.run("apply", "--allow", "dirty")
    project.say("Good day")
    applied = project.run("apply", "--allow", "dirty")
    assert "Done: blue=90 green=10" in applied
    assert "making environment" not in applied  # only the flow has changed
    asked = ("--deployment", "green", "--inputs", "name=Cy", "--stream")
    answered = project.run("invoke", *asked, shows_secret=True)
    assert all(f'{{"said": "{piece}"}}' in answered for piece in ("Good day", " Cy", SECRET))
    assert "green answered with greet@" in answered  # the files that arrived are those that were packed
    assert "greeting Cy" in project.run("logs", "--deployment", "green")
    moved = project.run("traffic", "green=100", "--allow", "shift")
    assert "blue=90 green=10 to green=100" in moved
    assert "green=100 to blue=90 green=10" in project.run("rollback", "--allow", "shift")
    state = project.data("status")
    assert {item["name"]: item["traffic"] for item in state["deployments"]} == {"blue": 90, "green": 10}
    project.run("destroy", "--yes")
    assert not project.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/onlineEndpoints")
    assert SECRET not in bodies_of(project.azure)


def test_arms_share_requests_and_one_hears_copies_of_them(
    inside: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    inside.say("Dear", "kind")
    (inside.folder / "deployment.yaml").write_text(FILE + ARMS, "utf-8")
    assert deploy("apply", "--allow", "dirty") == ExitCode.OK
    capsys.readouterr()
    for _ in range(20):
        assert deploy("invoke", "--inputs", "name=Cy") == ExitCode.OK
    said = capsys.readouterr().out
    assert f"Hello Cy{SECRET}" in said
    counts = inside.azure.machine_learning.counts
    assert counts["plain", "answered"] > counts.get(("kind", "answered"), 0) > 0
    assert counts["quiet", "mirrored"] > 0
    assert [piece["said"] for piece in streamed(inside.azure, "kind")] == ["Dear", " Cy", SECRET]
    sent = len(inside.azure.recording.find("PUT"))
    assert deploy("apply", "--allow", "dirty") == ExitCode.OK
    assert "Nothing to do" in capsys.readouterr().out
    assert len(inside.azure.recording.find("PUT")) == sent
    assert deploy("destroy", "--yes") == ExitCode.OK
    assert not inside.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/connections")


def test_a_version_that_answers_badly_gets_no_requests(
    inside: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("apply", "--allow", "dirty") == ExitCode.OK
    inside.say("Bye")
    flow = inside.folder / "greet" / "flow.dag.yaml"
    flow.write_text(flow.read_text("utf-8").replace("default: Ann", "default: nobody"), "utf-8")
    assert deploy("apply", "--allow", "dirty") == ExitCode.REMOTE
    said = capsys.readouterr().err
    assert "X148" in said
    assert "there is nobody" in said
    endpoint = inside.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/onlineEndpoints")[
        0
    ]
    assert endpoint.properties["traffic"] == {"blue": 100}


def test_quota_is_told_with_its_place_in_the_file_and_applying_again_goes_on(
    inside: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    inside.azure.faults.add(
        method="PUT",
        path="deployments/blue$",
        fail_operation="OutOfQuota",
        message="Not enough quota available for Standard_DS3_v2 in SubscriptionId x. Current usage/limit: 24/24. "
        "Additional needed: 8",
    )
    assert deploy("apply", "--allow", "dirty") == ExitCode.REMOTE
    said = capsys.readouterr().err
    assert "X206" in said
    assert "deployment.yaml:5" in said
    assert deploy("apply", "--allow", "dirty") == ExitCode.OK
    assert "Done: blue=100" in capsys.readouterr().out
