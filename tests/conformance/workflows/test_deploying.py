"""Every script of the workflows that deploy, run as GitHub would run it, against the stand-in for Azure on loopback.

Real are headrace, the flow's servers and what the stand-in does; ``gh`` and pip are stand-ins (tests/support/pipeline_programs.py), and
signing in is recorded: scripts are signed in to the stand-in by its own variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.workflows.pipeline import FORK, MAIN, Pipeline, make_pipeline
from tests.support.azure import StandIn
from tests.support.container_app_target import make_ground

BACK = "Back, where a check has failed"
RELEASE = [
    "Install what the project needs",
    "Plan",
    "Deploy, with the share of a canary",
    "Smoke test",
    "Ask the gate",
    "Half of the requests",
    "Ask the gate",
    "All of the requests",
    "Ask the gate",
]
_RETRIEVE = "def retrieve("
_BREAKING = """\
def retrieve(question: str, pages: str, most: int = 3) -> dict:
    if Path({flag!r}).exists():
        raise RuntimeError("the index is gone")
    return _retrieve(question, pages, most)
"""


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as made:
        made.enter(monkeypatch)
        yield made


@pytest.fixture
def pipeline(azure: StandIn, tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path, azure.environment)
    variables = {
        "AZURE_CLIENT_ID": "the-pipeline",
        "AZURE_CONTAINER_APPS_ENVIRONMENT": "cae",
        "AZURE_CONTAINER_REGISTRY": "myacr",
        "AZURE_FLOW_IDENTITY": make_ground(azure, tmp_path).identity,
        "AZURE_RESOURCE_GROUP": azure.group,
        "AZURE_SUBSCRIPTION_ID": azure.subscription,
        "AZURE_TENANT_ID": "the-tenant",
    }
    made.runner.contexts = {**made.runner.contexts, "vars": variables}
    return made


def shares(azure: StandIn, app: str = "my-flow") -> Mapping[str, int]:
    """Label to percent, as the stand-in holds them."""
    found = azure.apps.find(app)
    named = {item["label"]: found.weight(item["revisionName"]) for item in found.traffic if item.get("label")}
    return {label: weight for label, weight in named.items() if weight}


def release(pipeline: Pipeline, *names: str, **results: str) -> Any:
    return pipeline.run("deploy.yml", *names, contexts=MAIN, results=results)


def test_a_version_goes_to_everybody_and_a_bad_one_goes_back(
    azure: StandIn, pipeline: Pipeline, tmp_path: Path
) -> None:
    jobs = release(pipeline)

    assert {name: job.result for name, job in jobs.items()} == {
        **dict.fromkeys(("plan", "comment"), "skipped"),
        **dict.fromkeys(("evaluate", "build", "attest", "staging", "production"), "success"),
    }, jobs
    assert jobs["production"].names == RELEASE
    assert "## Plan: my-flow on aca" in jobs["production"].summary
    assert shares(azure) == {"blue": 100}
    assert shares(azure, "my-flow-staging") == {"blue": 100}
    (packed,) = (pipeline.runner.artifacts["flow"] / "archive").glob("*.zip")
    attested = [dict(ran.given) for ran in jobs["attest"].ran if ran.place[2] == "actions/attest"]
    assert attested == [
        {"subject-path": "dist/archive/*.zip"},
        {"subject-path": "dist/archive/*.zip", "sbom-path": "dist/sbom.cdx.json"},
    ]
    assert (packed.parents[1] / "sbom.cdx.json").is_file()

    flag = tmp_path / "broken"
    change_tool(pipeline, flag)
    pipeline.runner.before = breaking_after_half(flag)
    assert release(pipeline, "evaluate")["evaluate"].result == "success"
    jobs = release(pipeline, "production", staging="success")

    production = jobs["production"]
    assert production.result == "failure"
    assert production.names == [*RELEASE[:7], BACK]
    assert production.step("Half of the requests").code == 0
    assert "::error " in production.step("Ask the gate").out
    assert production.step(BACK).code == 0, production.step(BACK).out
    assert shares(azure) == {"blue": 100}
    assert not azure.unanswered


def change_tool(pipeline: Pipeline, flag: Path) -> None:
    """Another version of the flow, whose search fails from the moment on at which ``flag`` is there."""
    tool = pipeline.flow / "retrieve.py"
    text = tool.read_text(encoding="utf-8")
    assert text.count(_RETRIEVE) == 1
    before, _, after = text.partition("@tool\n")
    text = (
        f"{before}{after.replace(_RETRIEVE, 'def _retrieve(')}\n\n@tool\n{_BREAKING.format(flag=str(flag))}"
    )
    tool.write_text(text, encoding="utf-8")


def breaking_after_half(flag: Path) -> Any:
    halved: list[str] = []

    def before(place: tuple[str, str, str]) -> None:
        if place[2] == "Half of the requests":
            halved.append(place[2])
        elif halved and place[2] == "Ask the gate":
            flag.touch()

    return before


def test_a_pull_request_says_what_it_would_do(azure: StandIn, pipeline: Pipeline) -> None:
    jobs = pipeline.run("deploy.yml")

    assert [job.result for job in list(jobs.values())[:2]] == ["success", "success"], jobs["plan"].ran
    assert {job.result for job in list(jobs.values())[2:]} == {"skipped"}
    body = pipeline.comments()[0]["body"]
    assert body.startswith(
        "<!-- headrace: plan -->\n## Plan: my-flow on aca, 6 steps\n```text\n  + create endpoint my-flow\n"
    )
    assert "- **Overridden, `dirty`**" in body
    assert "- **Overridden, `gate`**" in body
    assert not azure.apps.by_id
    (login,) = (ran for ran in jobs["plan"].ran if ran.place[2] == "azure/login")
    assert login.given["client-id"] == "the-pipeline"


def test_a_fork_plans_nothing_and_without_azure_nothing_is_deployed(pipeline: Pipeline) -> None:
    forked = pipeline.run("deploy.yml", contexts=FORK)
    assert {job.result for job in forked.values()} == {"skipped"}

    pipeline.runner.contexts = {**pipeline.runner.contexts, "vars": {}}
    done = release(pipeline, "staging", "production", build="success")
    assert {name: job.result for name, job in done.items() if name != "build"} == {
        "staging": "skipped",
        "production": "skipped",
    }


def test_what_has_not_passed_is_not_deployed(pipeline: Pipeline) -> None:
    (pipeline.flow / "with_examples.jinja2").write_text("user:\nSay nothing.\n", encoding="utf-8")

    jobs = release(pipeline)

    assert jobs["evaluate"].result == "failure"
    assert jobs["evaluate"].step("Ask the gate").code == 1
    assert {jobs[name].result for name in ("build", "attest", "staging", "production")} == {"skipped"}
