"""A new project does at once what its README says: here, without a key, without a network."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from tests.integration.test_pytest_plugin import plugin_options
from tests.support.serve_process import running
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.formats.deployment import read_deployment

SOURCE = Path(__file__).parents[2] / "src"
FLOW = "flows/answers"
VARIABLES = {
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_RESOURCE_GROUP": "rg-shop",
    "AZUREML_WORKSPACE": "ml-shop",
    "AZURE_CONTAINER_APPS_ENVIRONMENT": "cae-shop",
    "AZURE_CONTAINER_REGISTRY": "crshop",
    "AZURE_FLOW_IDENTITY": "/subscriptions/0/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/id-shop",
    "AZURE_FLOW_IDENTITY_CLIENT_ID": "00000000-0000-0000-0000-000000000002",
    "AZURE_KEY_VAULT_ENDPOINT": "https://kv-shop.vault.azure.net/",
    "AZURE_OPENAI_ENDPOINT": "https://shop.openai.azure.com",
    "AZURE_OPENAI_DEPLOYMENT": "mini",
}
"""The names that infra gives its outputs."""

SKIPPED = {
    "pip install": "needs a package index",
    "pytest": "runs in test_it_is_sound_and_its_own_tests_pass",
    "headrace deploy rollback": "there is no second version",
    "headrace flow serve": "runs in test_both_prompts_answer_live_requests",
    "headrace ab status": "likewise",
    "az login": "needs a person who signs in",
    "export": "sets a variable of the shell",
    "headrace flow test --flow flows/answers --model": "needs a model service",
}
"""Command lines of the README that are not run, by how they begin, and why."""

Run = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shop"


@pytest.fixture
def run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs command lines in a new project; gives what they write to standard output."""
    home = {"HOME": str(tmp_path / "home")}
    with chdir(tmp_path):
        assert run_command_line(["init", "shop", "--flow", "answers"], Session(tmp_path, home)) == 0
    capsys.readouterr()

    def call(line: str) -> str:
        code = run_command_line(shlex.split(line), Session(folder, home))
        out, err = capsys.readouterr()
        assert code == 0, f"{line}\n{out}\n{err}"
        return out

    with chdir(folder), serving_names(folder):
        yield call


def commands() -> list[str]:
    """The command lines of the README of the project."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", Path("README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [re.sub(r"\s+#\s.*$", "", line) for block in blocks for line in block.splitlines() if line]


def test_the_commands_of_its_readme_do_what_it_says(run: Run) -> None:
    """With the `baseline` model, on the target `local`, whose server really runs."""
    said = {}
    lines = commands()
    for line in lines:
        program, _, words = line.partition(" ")
        if not line.startswith(tuple(SKIPPED)):
            assert program == "headrace"
            said[line] = run(words)
    assert [start for start in SKIPPED if not any(line.startswith(start) for line in lines)] == []

    def of(start: str) -> str:
        (found,) = [text for line, text in said.items() if line.startswith(f"headrace {start}")]
        return found

    assert '"answer": "3 euros"' in of("flow test")
    assert of("compare").startswith("Ship with_examples.")
    assert "non-neural reader" in " ".join(of("compare").split())
    assert "gate passed (4 questions" in of("gate")
    assert "create deployment blue: answers@1" in of("deploy plan")
    assert "blue=100" in of("deploy apply")
    assert "free" in of("deploy invoke")
    packed = {
        path.relative_to("dist/flow").as_posix() for path in Path("dist/flow").rglob("*") if path.is_file()
    }
    assert {"flow.dag.yaml", "pages/borrowing.md", "with_examples.jinja2"} <= packed
    assert not [path for path in packed if path.startswith(("data/", "evaluation/", "deployment", "traffic"))]


def test_it_is_sound_and_its_own_tests_pass(run: Run, folder: Path) -> None:
    run(f"flow validate --source {FLOW}")
    run(f"flow validate --source {FLOW}/evaluation/answer")
    assert "2 flows: 2 run" in run("doctor .")
    assert '"warnings": []' in run(f"ab check {FLOW}/traffic.yaml")
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin_options(), "-p", "no:randomly"],
        env={**os.environ, "HOME": str(folder.parent), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"^4 passed|=+ 4 passed in", tests.stdout, re.MULTILINE)


def test_both_prompts_answer_live_requests(run: Run, folder: Path) -> None:
    with running(folder, source=("--traffic", f"{FLOW}/traffic.yaml")) as served:
        answers = {arm: ask(served.port, arm) for arm in ("plain", "with_examples")}
    assert "answers" in run("ab status answers")
    assert answers == {"plain": "Visitors can buy a day pass for 3 euros.", "with_examples": "3 euros"}


def ask(port: int, arm: str) -> str:
    body = json.dumps({"question": "How much is a day pass?"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/score", body, {"x-arm": arm})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["answer"])


@pytest.mark.parametrize(
    ("overlay", "target", "needs_gate"),
    [(None, "local", False), ("staging", "aca", False), ("aca", "aca", True), ("azure", "azureml", True)],
)
def test_deployment_files_read_what_the_infrastructure_says(
    run: Run, overlay: str | None, target: str, *, needs_gate: bool
) -> None:
    del run
    endpoint = read_deployment(Path(FLOW), overlay, VARIABLES if overlay else {})

    assert endpoint.target == target
    assert endpoint.name == ("answers-staging" if overlay == "staging" else "answers")
    assert bool(endpoint.gate) is needs_gate


def test_every_variable_that_files_read_is_an_output_of_the_infrastructure(run: Run) -> None:
    del run
    outputs = set(
        re.findall(r"^output (\w+) ", Path("infra/main.bicep").read_text(encoding="utf-8"), re.MULTILINE)
    )
    files = [*Path(FLOW).glob("deployment*.yaml"), *Path("connections").glob("*.yaml")]
    read = {
        name for file in files for name in re.findall(r"\$\{env:(\w+)\}", file.read_text(encoding="utf-8"))
    }
    assert read == set(VARIABLES)
    assert read <= outputs


@pytest.mark.parametrize("overlay", ["staging", "aca", "azure"])
def test_the_real_model_of_an_overlay_is_there_once_its_comments_are_none(run: Run, overlay: str) -> None:
    del run
    file = Path(FLOW, f"deployment.{overlay}.yaml")
    before, marked, after = file.read_text(encoding="utf-8").partition("# model:")
    assert marked
    file.write_text(before + re.sub(r"^# ?", "", marked + after, flags=re.MULTILINE), encoding="utf-8")

    (deployment, *_) = read_deployment(Path(FLOW), overlay, VARIABLES).deployments

    assert deployment.flow.model == "azure_openai/mini"
    settings = {setting.name: setting.value or setting.vault_url for setting in deployment.settings}
    assert settings["AZURE_OPENAI_ENDPOINT"] == VARIABLES["AZURE_OPENAI_ENDPOINT"]
    secret = "https://kv-shop.vault.azure.net/secrets/applicationinsights-connection-string"
    assert settings["APPLICATIONINSIGHTS_CONNECTION_STRING"] == secret
    vault = Path("infra/modules/vault.bicep").read_text(encoding="utf-8")
    assert "name: 'applicationinsights-connection-string'" in vault


def test_nothing_that_exists_is_overwritten_unless_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    session = Session(tmp_path, {"HOME": str(tmp_path / "home")})

    assert run_command_line(["init", "--name", "shop"], session) == 2
    assert "README.md exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]

    assert run_command_line(["init", "--name", "shop", "--yes", "--no-infra", "--no-workflows"], session) == 0
    said = capsys.readouterr()
    assert said.out.startswith("shop in .,")
    assert "cd " not in said.err
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("# shop\n")
    assert not any((tmp_path / name).exists() for name in ("infra", "azure.yaml", ".github"))


def test_an_empty_name_of_a_folder_is_not_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["init", ""], Session(tmp_path, {"HOME": str(tmp_path / "home")})) == 2
    assert "The name of the folder is empty." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_folder_gives_the_name_unless_it_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, name in (("My Shop", "my-shop"), ("Café Größe", "cafe-grosse"), ("42", "my_project")):
        code = run_command_line(["init", folder], Session(tmp_path, {"HOME": str(tmp_path / "home")}))
        said = capsys.readouterr()
        assert code == 0
        assert said.out.startswith(f"{name} in {folder},")
        assert f"cd {shlex.quote(folder)}" in said.err
        assert (tmp_path / folder / "flows" / "my_flow" / "flow.dag.yaml").is_file()
