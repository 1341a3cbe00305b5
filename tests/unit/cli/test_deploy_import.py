"""What people see of a deployment that is taken over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

BLUE = """\
name: blue
endpoint_name: chat
model: {path: flow}
instance_type: Standard_DS3_v2
environment_variables: {KEY: correct-horse-battery, LOG: info}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text("nodes: []\n", encoding="utf-8")
    (tmp_path / "blue.yml").write_text(BLUE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> int:
    return run_command_line(["deploy", "import", *words], Session(folder, {"HOME": str(folder)}))


def test_it_is_written_once_and_lists_what_became_of_every_key(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "blue.yml") == ExitCode.OK
    shown = capsys.readouterr()
    assert shown.out.startswith("deployment.yaml\n\ntaken:\n")
    assert "\nto do:\n  environment_variables.KEY → environment.KEY: It is a key as text" in shown.out
    assert "flow: flow\n" in (folder / "deployment.yaml").read_text("utf-8")
    assert "horse" not in shown.out + shown.err + (folder / "deployment.yaml").read_text("utf-8")
    assert run(folder, "blue.yml") == ExitCode.USAGE
    assert "S806" in capsys.readouterr().err
    assert run(folder, "blue.yml", "--force") == ExitCode.OK


def test_a_program_gets_the_same_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "blue.yml", "--output", "new/deployment.yaml", "--format", "json") == ExitCode.OK
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == ["new/deployment.yaml"]
    assert said["problems"] == []
    assert {"kind": "taken", "from": "instance_type", "to": "size.instance_type", "why": None, "place": "blue.yml:4:1"} in said["notes"]  # fmt: skip
    assert "flow: ../flow\n" in (folder / "new" / "deployment.yaml").read_text("utf-8")


def test_what_has_to_be_filled_in_is_shown_as_a_problem(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "blue.yml").write_text(BLUE.replace("{path: flow}", "azureml:chat:2"), encoding="utf-8")
    assert run(folder, "blue.yml") == ExitCode.DEFINITION
    shown = capsys.readouterr()
    assert "az ml model download --name chat --version 2" in shown.out
    assert "F001" in shown.err


def test_it_can_be_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "blue.yml", "--output", "-") == ExitCode.OK
    shown = capsys.readouterr()
    assert "name: chat\n" in shown.out
    assert "taken:" not in shown.out
    assert "\nto do:\n  environment_variables.KEY → environment.KEY" in shown.err
    assert not (folder / "deployment.yaml").exists()


def test_stages_are_printed_as_documents_of_their_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = {
        "ENDPOINT_NAME": "chat",
        "CURRENT_DEPLOYMENT_NAME": "blue",
        "DEPLOYMENT_VM_SIZE": "Standard_F4s_v2",
    }
    stages = [{"ENV_NAME": "dev", **stage}, {"ENV_NAME": "prod", **stage, "ENDPOINT_NAME": "chat-prod"}]
    config = json.dumps({"azure_managed_endpoint": stages})
    (folder / "deployment_config.json").write_text(config, encoding="utf-8")
    assert run(folder, "deployment_config.json", "--output", "-", "--flow", "flow") == ExitCode.OK
    first, second = yaml.safe_load_all(capsys.readouterr().out)
    assert (first["name"], second["name"]) == ("chat", "chat-prod")
