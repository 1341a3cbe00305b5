"""Deployments on this machine: processes that die, are killed, are somebody else's, and what they answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.support.targets import SECRET, Answer, Trial, local_trial

from headrace.deploy.base import Target
from headrace.deploy.launched import NOBODY_KNOWS
from headrace.deploy.local import FOLDER
from headrace.deploy.local_front import FILE
from headrace.deploy.plan import plan_deployment
from headrace.deploy.processes import is_alive, wait_until
from headrace.domain.deployment import Endpoint, Scale, Setting
from headrace.formats.local_endpoint import (
    LocalEndpoint,
    LocalLeaving,
    LocalProcess,
    read_local_endpoint,
    write_local_endpoint,
)

BLUE = {"blue": 100}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Trial]:
    with local_trial(tmp_path) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".headrace" / "deploy" / FOLDER / "triage" / FILE


def there(file: Path) -> LocalEndpoint:
    found = read_local_endpoint(file)
    assert found is not None
    return found


def process_of(file: Path, name: str) -> LocalProcess:
    copy = there(file).deployments[name].copy
    assert copy is not None
    return copy.process


def front_of(file: Path) -> LocalProcess:
    front = there(file).front
    assert front is not None
    assert front.process is not None
    return front.process


def kill(process: LocalProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(process), 10)


def deployed(place: Trial, *names: str) -> tuple[Target, Endpoint]:
    endpoint = place.with_deployments(*(place.make(name) for name in names))
    target = place.open(endpoint)
    place.bring(target, endpoint, *names)
    place.step(target, endpoint, "move traffic", after={names[0]: 100})
    return target, endpoint


def test_what_died_is_failed_with_its_last_words_and_applying_again_starts_it(
    place: Trial, file: Path
) -> None:
    target, endpoint = deployed(place, "blue")
    assert plan_deployment(endpoint, target.read_state(), runtime="1", traits=target.traits).changes == ()
    address = target.address(None)
    kill(process_of(file, "blue"))
    state = target.read_state()
    assert (state.find("blue").health, state.find("blue").n_copies) == ("failed", 0)  # type: ignore[union-attr]
    assert "ended" in state.find("blue").message  # type: ignore[union-attr]
    assert place.said(target).status == 502

    kill(front_of(file))
    plan = plan_deployment(endpoint, target.read_state(), runtime="1", traits=target.traits)
    assert [(item.action, item.deployment) for item in plan.changes] == [
        ("update endpoint", ""), ("note", ""), ("prepare", "blue"), ("update deployment", "blue"), ("smoke test", "blue"),
        ("note", ""),
    ]  # fmt: skip
    assert "nothing answers" in plan.changes[0].what
    for change in plan.changes:
        if change.action != "smoke test":
            target.apply(change, endpoint)
    assert target.address(None) == address
    assert place.said(target) == Answer(200, "v1")
    assert target.read_state().down == ""


def test_a_process_with_a_number_of_ours_that_is_another_one_is_left_alone(place: Trial, file: Path) -> None:
    target, endpoint = deployed(place, "blue")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as theirs:
        found = there(file)
        ours = process_of(file, "blue")
        reused = LocalProcess(pid=theirs.pid, started=ours.started)
        item = found.deployments["blue"]
        assert item.copy is not None
        strange = replace(item, copy=replace(item.copy, process=reused))
        write_local_endpoint(
            file,
            replace(found, deployments={"blue": strange}, leaving=(LocalLeaving(process=ours, folder=""),)),
        )
        state = target.read_state()
        assert state.find("blue").health == "failed"  # type: ignore[union-attr]
        assert state.is_busy
        place.step(target, endpoint, "wait")
        assert not is_alive(ours)
        place.step(target, endpoint, "delete endpoint")
        assert theirs.poll() is None
        theirs.communicate(b"\n")
    assert not file.parent.exists()


def test_a_process_whose_starter_was_killed_before_it_wrote_it_down_does_not_go_on(tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-m", "headrace.deploy.launched", "builtins:print", str(tmp_path)]
    ended = subprocess.run(words, input=b"", capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (NOBODY_KNOWS, b"")


def test_an_update_that_was_killed_goes_on_where_it_was(place: Trial, file: Path) -> None:
    target, endpoint = deployed(place, "blue")
    found = there(file)
    ready = found.deployments["blue"].copy
    assert ready is not None
    write_local_endpoint(
        file,
        replace(found, deployments={"blue": replace(found.deployments["blue"], copy=None, coming=ready)}),
    )
    state = target.read_state()
    assert state.find("blue").health == "starting"  # type: ignore[union-attr]
    assert place.said(target).status == 404
    plan = plan_deployment(endpoint, state, runtime="1", traits=target.traits)
    assert [item.action for item in plan.changes] == ["wait"]
    target.apply(plan.changes[0], endpoint)
    assert target.read_state().find("blue").health == "healthy"  # type: ignore[union-attr]
    assert process_of(file, "blue") == ready.process
    assert place.said(target) == Answer(200, "v1")


def test_a_changed_deployment_takes_the_place_of_the_one_before_without_a_gap(
    place: Trial, file: Path
) -> None:
    target, _ = deployed(place, "blue")
    before = process_of(file, "blue")
    changed = place.with_deployments(
        place.make("blue", settings=(Setting(name="MOOD", value="new"),), scale=Scale(minimum=2, maximum=2))
    )
    place.step(target, changed, "prepare", "blue")
    place.step(target, changed, "update deployment", "blue")
    assert not is_alive(before)
    assert place.said(target) == Answer(200, "v1", "new")
    assert target.read_state().find("blue").n_copies == 2  # type: ignore[union-attr]
    narrower = replace(changed, deployments=(replace(changed.deployments[0], scale=Scale()),))
    place.step(target, narrower, "set scale", "blue")
    state = target.read_state()
    assert state.find("blue").n_copies == 1  # type: ignore[union-attr]
    assert state.find("blue").scale == Scale()  # type: ignore[union-attr]
    assert place.said(target) == Answer(200, "v1", "new")


def test_who_has_no_key_gets_nothing_and_a_file_may_let_everybody_of_this_machine_in(
    place: Trial, file: Path
) -> None:
    target, endpoint = deployed(place, "blue")
    address = target.address("blue")
    with httpx2.Client() as client:
        assert client.post(address.url, json={"text": "hi"}).status_code == 401
        elsewhere = {**address.headers, "host": "evil.example"}
        assert client.post(address.url, json={"text": "hi"}, headers=elsewhere).status_code == 400
        purple = {**address.headers, "azureml-model-deployment": "purple"}
        assert client.post(address.url, json={"text": "hi"}, headers=purple).status_code == 404
        direct = f"http://127.0.0.1:{there(file).deployments['blue'].copy.port}/score"  # type: ignore[union-attr]
        assert client.post(direct, json={"text": "hi"}, headers=dict(address.headers)).status_code == 401
        assert (file.stat().st_mode & 0o777, (file.parent / "key").stat().st_mode & 0o777) == (0o600, 0o600)

        opened = replace(endpoint, authentication="none")
        place.step(target, opened, "update endpoint")
        assert target.address(None).headers == {}
        answer = client.post(target.address(None).url, json={"text": "hi"})
        assert (answer.status_code, answer.headers["azureml-model-deployment"]) == (200, "blue")
        assert answer.headers["x-headrace-flow-version"].startswith("v1@")


def test_pieces_of_an_answer_and_names_of_a_request_pass_through(place: Trial) -> None:
    target, _ = deployed(place, "blue")
    address = target.address(None)
    headers = {**address.headers, "accept": "text/event-stream", "x-request-id": "mine"}
    with httpx2.Client() as client:
        answer = client.post(address.url, json={"text": "hi"}, headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers.get_list("x-request-id") == ["mine"]
        assert answer.text.startswith('data: {"answer": "v1 hi"}')
        base = address.url.removesuffix("/score")
        assert client.get(f"{base}/healthz").json()["status"] == "Healthy"
        assert client.get(f"{base}/readyz").status_code == 200
        assert client.get(f"{base}/swagger.json", headers=dict(address.headers)).status_code == 200


def test_what_is_asked_of_an_arm_beside_is_asked_of_it_as_well(place: Trial) -> None:
    log = (Setting(name="HEADRACE_ACCESS_LOG", value="stderr"),)
    endpoint = place.with_deployments(place.make("blue"), place.make("green", "v2", settings=log))
    target = place.open(endpoint)
    place.bring(target, endpoint, "blue", "green")
    place.step(target, endpoint, "move traffic", after=BLUE)
    place.step(target, endpoint, "set mirror", after={"green": 100})
    assert place.said(target) == Answer(200, "v1")

    def is_copied() -> bool:
        return any('"/score"' in line for line in target.read_logs("green", 20))

    assert wait_until(is_copied, 20)


def test_the_process_in_front_ends_in_order(place: Trial, file: Path) -> None:
    deployed(place, "blue")
    before = front_of(file)
    os.kill(before.pid, signal.SIGTERM)
    assert wait_until(lambda: not is_alive(before), 20)
    assert "Traceback" not in (file.parent / "ingress.log").read_text(encoding="utf-8")
    assert SECRET not in (file.parent / "ingress.log").read_text(encoding="utf-8")
