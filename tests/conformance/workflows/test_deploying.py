"""Every script of the workflows that deploy, run as GitHub would run it, against the stand-in for Azure on loopback.

Real are headrace, the flow's servers and what the stand-in does; ``gh`` and pip are stand-ins (tests/support/pipeline_programs.py), and
signing in is recorded: scripts are signed in to the stand-in by its own variables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance.workflows.pipeline import FORK, MAIN, Pipeline, make_pipeline
from tests.support.azure import StandIn
from tests.support.azure.faults import Fault
from tests.support.azure.messages import Request
from tests.support.container_app_target import make_ground
from tests.support.workflow_expressions import fill

BACK = "Back, where deploying or a check has failed"
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

    refuse_deploying(azure, pipeline)
    production = release(pipeline, "production", staging="success")["production"]
    assert (production.result, production.names) == (
        "failure",
        RELEASE[:3],
    )  # nothing is taken from who has it all
    azure.faults.clear()

    flag = tmp_path / "broken"
    change_tool(pipeline, flag)
    assert release(pipeline, "evaluate")["evaluate"].result == "success"
    moved = cutting_off_the_move(azure, pipeline)
    production = release(pipeline, "production", staging="success")["production"]
    assert production.result == "failure"
    assert production.names == [*RELEASE[:3], BACK], production.step(RELEASE[2]).out
    assert production.step(RELEASE[2]).code != 0
    assert moved == [{"blue": 90, "green": 10}]
    assert production.step(BACK).code == 0, production.step(BACK).out
    assert shares(azure) == {"blue": 100}
    assert [ran.place[2] for ran in production.ran[-2:]] == ["azure/login", BACK]

    pipeline.runner.before = breaking_after_half(flag)
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


@dataclass(kw_only=True)
class Since(Fault):
    """What goes wrong from the moment on at which another fault has been met."""

    first: Fault

    def meets(self, request: Request) -> bool:
        return self.first.n_met > self.first.skip and super().meets(request)


def cutting_off_the_move(azure: StandIn, pipeline: Pipeline) -> list[Mapping[str, int]]:
    """Loses the answer to a change of traffic and whatever is asked then, until deploying has failed; the shares by then."""
    moved: list[Mapping[str, int]] = []

    def before(place: tuple[str, str, str]) -> None:
        if place[2] == "Deploy, with the share of a canary":
            lost = azure.faults.add(
                method="PATCH", path="containerApps/my-flow$", skip=2, drop="after", times=None
            )
            azure.faults.planned.append(Since(first=lost, path="containerApps/", status=403, times=None))
        elif place[2] == BACK:
            azure.faults.clear()
            moved.append(shares(azure))

    pipeline.runner.before = before
    return moved


def refuse_deploying(azure: StandIn, pipeline: Pipeline) -> None:
    """Nothing can be asked of Azure from the moment on at which the version is applied."""

    def before(place: tuple[str, str, str]) -> None:
        if place[2] == "Deploy, with the share of a canary":
            azure.faults.add(path="containerApps/", status=403, times=None)

    pipeline.runner.before = before


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


def test_a_shared_store_is_found_by_the_vault(azure: StandIn, pipeline: Pipeline, tmp_path: Path) -> None:
    shared, address = tmp_path / "shared.sqlite", f"sqlite:////{tmp_path}/shared.sqlite"
    azure.vaults.add("kv", "headrace-store", address)
    found = {
        **pipeline.runner.contexts["vars"],
        "HEADRACE_STORE": "https://kv.vault.azure.net/secrets/headrace-store",
    }
    pipeline.runner.contexts = {**pipeline.runner.contexts, "vars": found}

    jobs = release(pipeline, "evaluate", "staging", build="success")

    assert {job.result for job in jobs.values()} == {"success"}, jobs
    assert shares(azure, "my-flow-staging") == {"blue": 100}
    assert not list(pipeline.runner.folder.rglob(".headrace/headrace.sqlite"))
    assert all(address not in ran.out for job in jobs.values() for ran in job.ran)
    with closing(sqlite3.connect(shared)) as store:
        kept = store.execute("SELECT flow, number FROM flow_version").fetchall()
    assert sorted(kept) == [("answer", 1), ("my_flow", 1), ("staging", 1)]


@pytest.mark.parametrize(("store", "environment"), [("", "evaluation"), ("https://kv/secrets/s", "staging")])
def test_only_who_deploys_reads_where_a_shared_store_is(
    pipeline: Pipeline, store: str, environment: str
) -> None:
    """The identity of pull requests may not read the vault, so none of their jobs asks it."""
    folder = pipeline.runner.github / "workflows"
    job = yaml.safe_load((folder / "deploy.yml").read_text(encoding="utf-8"))["jobs"]["evaluate"]
    assert fill(job["environment"], {"vars": {"HEADRACE_STORE": store}}, {}) == environment
    assert "HEADRACE_STORE" not in (folder / "evaluate.yml").read_text(encoding="utf-8")


def test_what_has_not_passed_is_not_deployed(pipeline: Pipeline) -> None:
    (pipeline.flow / "with_examples.jinja2").write_text("user:\nSay nothing.\n", encoding="utf-8")

    jobs = release(pipeline)

    assert jobs["evaluate"].result == "failure"
    assert jobs["evaluate"].step("Ask the gate").code == 1
    assert {jobs[name].result for name in ("build", "attest", "staging", "production")} == {"skipped"}
