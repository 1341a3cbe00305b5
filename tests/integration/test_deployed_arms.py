"""Deployments as arms of experiments: asked in place, by the key that their target gives, and compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_deploying import FILE, deploy_two
from tests.support.deploying import Place, deploying
from tests.support.scoring_server import Answer

from headrace.config import load_settings
from headrace.deploy import base, memory
from headrace.deploy.base import Address
from headrace.domain.remote import DeployedPlace
from headrace.operations.deployed_arms import KEPT_S, DeployedAccess
from headrace.operations.workspace import open_workspace

KEY = "key-of-the-endpoint"
EXPERIMENT = """\
flow: flows/triage
data: lines.jsonl
column_mapping: {text: "${data.text}"}
factors:
  flow:
  - {name: blue, deployed: deployment.yaml, arm: blue, inputs: [text], outputs: {label: label}}
  - {name: green, deployed: deployment.yaml, arm: green, inputs: [text], outputs: {label: label}}
evaluators:
- builtin: exact_match
  name: right
  column_mapping: {prediction: "${run.outputs.label}", reference: "${data.label}"}
metrics: [right]
"""


class KeyedTarget(memory.MemoryTarget):
    """Remembers what was deployed, and lets nobody in without a key."""

    def address(self, deployment: str | None) -> Address:
        found = super().address(deployment)
        return Address(url=found.url, headers={"Authorization": f"Bearer {KEY}", **found.headers})


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with deploying(tmp_path, capsys, monkeypatch, {"HEADRACE_MAX_RETRIES": "0"}) as made:
        monkeypatch.setattr(base, "TARGETS", {"local": f"{__name__}:KeyedTarget"})
        made.write("deployment.yaml", FILE)
        lines = [{"text": f"line {number}", "label": "billing"} for number in range(6)]
        made.write("lines.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        made.write("experiment.yaml", EXPERIMENT)
        deploy_two(made)
        answer_by_deployment(made)
        yield made


def answer_by_deployment(place: Place) -> None:
    """Blue is wrong, green is right; without the key both are closed."""

    def answer(_: Any, position: int) -> Answer:
        headers = place.server.asked[position].headers
        if headers.get("authorization") != f"Bearer {KEY}":
            return Answer({"error": {"message": "no key"}}, 401)
        deployment = headers["azureml-model-deployment"]
        label = {"blue": "other", "green": "billing"}[deployment]
        return Answer({"label": label}, headers={"azureml-model-deployment": deployment})

    place.server.answer = answer
    place.server.asked.clear()


def test_two_deployments_are_compared_in_place(place: Place) -> None:
    ran = place.run("experiment run experiment.yaml")

    assert ran.code == 0, ran.err
    asked = [item.headers["azureml-model-deployment"] for item in place.server.asked]
    assert sorted(asked) == ["blue"] * 6 + ["green"] * 6
    assert re.search(r"green.*better", ran.out)
    with open_workspace(load_settings({"HOME": str(place.folder)}), place.folder) as workspace:
        specs = [run.spec for run in workspace.store.list_runs(limit=None) if run.spec.arm]
    versions = {spec.arm: spec.properties.get("deployed_version") for spec in specs if spec.model}
    assert re.fullmatch(r"triage@1 \([0-9a-f]{12}\)", str(versions["blue"]))
    assert re.fullmatch(r"triage@2 \([0-9a-f]{12}\)", str(versions["green"]))
    everything = b"".join(item.read_bytes() for item in place.folder.rglob("*") if item.is_file())
    assert KEY.encode() not in everything


def test_another_version_at_the_same_place_is_another_arm(place: Place) -> None:
    assert place.run("experiment run experiment.yaml").code == 0
    first = {path.read_text("utf-8") for path in place.folder.glob(".headrace/endpoints/*/blue/*.yaml")}
    place.meanwhile(
        lambda memory: memory["deployments"]["blue"]["tags"].update({"headrace-version": "triage@9 (0123)"})
    )
    assert place.run("experiment run experiment.yaml").code == 0
    second = {path.read_text("utf-8") for path in place.folder.glob(".headrace/endpoints/*/blue/*.yaml")}
    assert len(second - first) == 1
    assert "triage@9 (0123)" in (second - first).pop()


def test_a_key_that_has_changed_is_asked_for_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.run("experiment run experiment.yaml").code == 0
    monkeypatch.setattr(f"{__name__}.KEY", "another-key")
    place.server.asked.clear()
    ran = place.run("experiment run experiment.yaml")
    assert ran.code == 0, ran.err
    assert {item.headers["authorization"] for item in place.server.asked} == {"Bearer another-key"}


@pytest.mark.parametrize(
    ("level", "code", "said"),
    [
        ("deployed: deployment.yaml, arm: gren", "X143", "There is no deployment"),
        ("deployed: deploymnt.yaml, arm: green", "F001", "There is no deployment file deploymnt.yaml"),
        ("deployed: deployment.yaml, arm: green, connection: c", "F012", "connection"),
    ],
)
def test_what_is_not_there_is_said_before_anything_runs(
    place: Place, level: str, code: str, said: str
) -> None:
    place.write("experiment.yaml", EXPERIMENT.replace("deployed: deployment.yaml, arm: green", level))
    ran = place.run("experiment run experiment.yaml")
    assert ran.code in (2, 3)
    assert code in ran.err
    assert said in ran.err
    assert place.server.asked == []


def test_an_address_is_held_until_it_is_old_or_refused(place: Place) -> None:
    now = [0.0]
    where = DeployedPlace(file="deployment.yaml", arm="blue")
    access = DeployedAccess(load_settings({"HOME": str(place.folder)}), place.folder, where, lambda: now[0])

    assert access.held() is None
    asked = access.address()
    assert access.held() is asked
    now[0] = KEPT_S + 1
    assert access.held() is None
    assert access.address() is not asked
    access.forget()
    assert access.held() is None
