"""Every script of infra.yml, and of the workflows that are this repository's alone, run as GitHub would run it.

Stand-ins are ``az``, ``azd``, ``gh``, ``make`` (which only says what it would do) and ``.ci/run`` (which is what runs this test); see
tests/support/pipeline_programs.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conformance.workflows.pipeline import FORK, MAIN, Pipeline, pipeline
from tests.support.own_project import ROOT
from tests.support.pipeline_programs import calls, kept

__all__ = ["pipeline"]

VARIABLES = {
    "AZURE_CLIENT_ID": "the-provisioner",
    "AZURE_ENV_NAME": "my-project-dev",
    "AZURE_LOCATION": "westeurope",
    "AZURE_SUBSCRIPTION_ID": "the-subscription",
    "AZURE_TENANT_ID": "the-tenant",
}
LOGIN = [
    *("auth", "login", "--client-id", "the-provisioner", "--federated-credential-provider", "github"),
    *("--tenant-id", "the-tenant"),
]


@pytest.fixture
def infra(pipeline: Pipeline) -> Pipeline:
    pipeline.runner.contexts = {
        **pipeline.runner.contexts,
        "vars": VARIABLES,
        "secrets": {"POSTGRES_PASSWORD": "Known-To-GitHub-1"},
    }
    file = pipeline.project / "infra" / "main.bicep"
    file.parent.mkdir(exist_ok=True)
    file.write_text("param location string\n", encoding="utf-8")
    return pipeline


def test_a_pull_request_is_linted_and_says_what_would_change(infra: Pipeline) -> None:
    jobs = infra.run("infra.yml")

    assert {name: job.result for name, job in jobs.items()} == {
        **dict.fromkeys(("lint", "preview", "comment"), "success"),
        "provision": "skipped",
    }, jobs
    assert calls(infra.folder, "az") == [
        ["bicep", "lint", "--file", "infra/main.bicep"],
        ["bicep", "build", "--file", "infra/main.bicep", "--stdout"],
    ]
    assert calls(infra.folder, "azd") == [LOGIN, ["provision", "--preview", "--no-prompt"]]
    assert infra.comments()[0]["body"] == (
        "<!-- headrace: infrastructure -->\n## Infrastructure\n```text\nCreate : Resource group : rg-preview\n```\n"
    )


def test_a_preview_that_fails_is_red_although_its_text_is_passed_on(infra: Pipeline) -> None:
    infra.runner.contexts = {**infra.runner.contexts, "vars": {**VARIABLES, "AZURE_ENV_NAME": ""}}

    jobs = infra.run("infra.yml")

    assert (jobs["preview"].result, jobs["comment"].result) == ("failure", "success")
    assert "azd would ask for AZURE_ENV_NAME" in infra.comments()[0]["body"]


def test_main_provisions_each_environment_with_its_own_secret(infra: Pipeline) -> None:
    done = infra.run(
        "infra.yml", "lint", "provision", contexts={**MAIN, "matrix": {"environment": "staging-infra"}}
    )

    assert done["provision"].result == "success", done["provision"].ran
    assert done["provision"].names == ["Sign in", "Provision"]
    assert calls(infra.folder, "azd") == [LOGIN, ["provision", "--no-prompt"]]


def test_a_fork_or_a_file_that_is_wrong_reaches_nothing_of_azure(infra: Pipeline) -> None:
    forked = infra.run("infra.yml", contexts=FORK)
    (infra.project / "infra" / "main.bicep").write_text("syntax error\n", encoding="utf-8")
    wrong = infra.run("infra.yml")

    assert (forked["lint"].result, forked["preview"].result) == ("success", "skipped")
    assert (wrong["lint"].result, wrong["preview"].result) == ("failure", "skipped")
    assert calls(infra.folder, "azd") == []


def test_azd_gets_every_variable_that_the_template_asks_for() -> None:
    """What azure.yaml names for the pipeline reaches both commands."""
    folder = ROOT / "src/headrace/operations/starters/project"
    asked = yaml.safe_load((folder / "azure.yaml").read_text(encoding="utf-8"))["pipeline"]
    jobs = yaml.safe_load((folder / ".github/workflows/infra.yml").read_text(encoding="utf-8"))["jobs"]
    for name in ("preview", "provision"):
        assert set(asked["variables"]) <= jobs[name]["env"].keys()
        (step,) = (step for step in jobs[name]["steps"] if "azd provision" in step.get("run", ""))
        assert set(asked["secrets"]) == step["env"].keys()


@pytest.fixture
def repository(pipeline: Pipeline, tmp_path: Path) -> Path:
    """As much of this repository as its workflows ask for, with a ``.ci/run`` that has nothing to do."""
    folder = tmp_path / "repository"
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / ".ci/run").write_text("#!/bin/sh\necho all of it\n", encoding="utf-8")
    (folder / ".ci/run").chmod(0o755)
    return folder


def test_ci_runs_what_a_person_runs(pipeline: Pipeline, repository: Path) -> None:
    runner = pipeline.own_runner(repository)

    done = runner.run("ci.yml", contexts={"matrix": {"python": "3.11"}})

    assert done["test"].result == "success", done["test"].ran
    assert done["test"].names == ["Everything that must be green", "The first command of the README"]
    assert calls(pipeline.folder, "make") == [["demo"]]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_slow_suite_has_its_night(pipeline: Pipeline, repository: Path) -> None:
    runner = pipeline.own_runner(repository)
    matrix = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))["jobs"]["suite"][
        "strategy"
    ]
    for given in matrix["matrix"]["include"]:
        done = runner.run("nightly.yml", "suite", contexts={"matrix": {**given, "programs": "sh"}})
        assert done["suite"].result == "success", done["suite"].ran

    assert calls(pipeline.folder, "make") == [[given["target"]] for given in matrix["matrix"]["include"]]
    missing = runner.run(
        "nightly.yml", "suite", contexts={"matrix": {"target": "browser", "programs": "no-such-one"}}
    )
    assert missing["suite"].result == "failure"
    assert missing["suite"].names == ["Are the programs here without which tests are skipped?"]


def test_a_bad_night_is_told_once_more_in_the_issue_that_is_open(pipeline: Pipeline) -> None:
    runner = pipeline.own_runner()
    for _ in range(2):
        told = runner.run("nightly.yml", "tell", results={"suite": "failure"})
        assert told["tell"].result == "success", told["tell"].ran
    quiet = runner.run("nightly.yml", "tell", results={"suite": "success"})

    run = "https://github.com/owner/project/actions/runs/99"
    assert kept(pipeline.folder, "issues") == [
        {"number": 7, "said": ["Nightly suites fail", run, f"Again: {run}"]}
    ]
    assert quiet["tell"].result == "skipped"
