"""An endpoint of prompt flow is taken over and deployed: each of its slots answers ``/score`` as its file says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.azure import StandIn

from headrace.cli.main import run_command_line
from headrace.errors import ExitCode
from headrace.formats.positions import dump_yaml

FLOW = """\
inputs: {name: {type: string, default: Ann}}
outputs:
  greeting: {type: string, reference: "${greet.output}"}
  length: {type: int, reference: "${count.output}"}
nodes:
- {name: greet, type: python, source: {type: code, path: tools.py}, inputs: {name: "${inputs.name}", mark: "."}}
- {name: count, type: python, source: {type: code, path: count.py}, inputs: {text: "${greet.output}"}}
"""
GREET = """\
import os
from promptflow.core import tool

@tool
def greet(name: str, mark: str) -> str:
    return "Hello " + name + os.environ.get("MARK", mark)
"""
COUNT = """\
from promptflow.core import tool

@tool
def count(text: str) -> int:
    return len(text)
"""


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with StandIn(tmp_path / "cloud") as azure:
        azure.enter(monkeypatch)
        yield azure


def write_project(folder: Path, azure: StandIn) -> None:
    """A flow, and the files of its endpoint as prompt flow's guide has them."""
    (folder / "flow").mkdir(parents=True)
    (folder / "azure").mkdir()
    for name, text in {"flow.dag.yaml": FLOW, "tools.py": GREET, "count.py": COUNT}.items():
        (folder / "flow" / name).write_text(text, encoding="utf-8")
    place = f"deployment.subscription_id={azure.subscription},deployment.resource_group={azure.group}"
    endpoint = {"name": "greetings", "auth_mode": "key", "traffic": {"blue": 90, "green": 10}}
    (folder / "azure" / "endpoint.yml").write_text(dump_yaml(endpoint), encoding="utf-8")
    for name, variables in {
        "blue": {"PROMPTFLOW_RESPONSE_INCLUDED_FIELDS": '["greeting"]'},
        "green": {"MARK": "!"},
    }.items():
        said = {
            "name": name,
            "endpoint_name": "greetings",
            "model": {"path": "../flow"},
            "environment": {"image": "mcr.microsoft.com/azureml/promptflow/promptflow-runtime:latest"},
            "instance_type": "Standard_DS3_v2",
            "instance_count": 1,
            "readiness_probe": {
                "initial_delay": 1,
                "period": 1,
                "failure_threshold": 6000,
            },  # a busy machine is slow
            "environment_variables": {
                "PROMPTFLOW_RUN_MODE": "serving",
                "PRT_CONFIG_OVERRIDE": f"{place},deployment.workspace_name=ws,deployment.deployment_name={name}",
                **variables,
            },
        }
        (folder / "azure" / f"{name}.yml").write_text(dump_yaml(said), encoding="utf-8")


def test_every_slot_answers_as_before(
    azure: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    write_project(folder, azure)
    with chdir(folder):
        assert run_command_line(["deploy", "import", "azure", "--output", "deployment.yaml"]) == ExitCode.OK
        assert run_command_line(["deploy", "apply", "--allow", "dirty"]) == ExitCode.OK
        answers = {}
        for name in ("blue", "green"):
            capsys.readouterr()
            words = ["deploy", "invoke", "--deployment", name, "--inputs", "name=Cy"]
            assert run_command_line(words) == ExitCode.OK
            answers[name] = json.loads(capsys.readouterr().out)
        assert answers == {"blue": {"greeting": "Hello Cy."}, "green": {"greeting": "Hello Cy!", "length": 9}}
        assert run_command_line(["deploy", "status", "--format", "json"]) == ExitCode.OK
        state = json.loads(capsys.readouterr().out)
    assert {item["name"]: item["traffic"] for item in state["deployments"]} == {"blue": 90, "green": 10}


def test_nothing_is_done_where_a_secret_is_missing(
    azure: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    write_project(folder, azure)
    with chdir(folder):
        assert run_command_line(["deploy", "import", "azure", "--output", "deployment.yaml"]) == ExitCode.OK
        file = folder / "deployment.yaml"
        file.write_text(
            file.read_text("utf-8") + "environment: {KEY: {env: NOBODY_SETS_IT}}\n", encoding="utf-8"
        )
        assert run_command_line(["deploy", "plan", "--allow", "dirty"]) == ExitCode.OK
        capsys.readouterr()
        assert run_command_line(["deploy", "apply", "--allow", "dirty"]) == ExitCode.DEFINITION
    assert "X101" in capsys.readouterr().err
    assert azure.recording.find("PUT") == []
