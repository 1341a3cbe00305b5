"""Every place that flows are deployed to, each with what it needs around it, tried in one way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.azure import StandIn
from tests.support.container_app_target import make_ground, write_flow
from tests.support.deployments import open_memory_target
from tests.support.managed_target import CRASHING, a_deployment, managed_target

from headrace.config import load_settings
from headrace.deploy.base import Target, TargetSetup
from headrace.deploy.local import LocalTarget
from headrace.domain.deployment import (
    OWNER_TAG,
    PREVIOUS_TAG,
    SPEC_TAG,
    UNTRIED_TAG,
    VERSION_TAG,
    Action,
    Change,
    Deployment,
    Endpoint,
    FlowChoice,
    Probe,
    Setting,
)
from headrace.domain.deployment_notes import render_previous, render_untried
from headrace.operations.pack_deployment import packing
from headrace.operations.workspace import open_workspace

NAME = "triage"
SECRET = "a-secret-that-nobody-else-sees"
SECRET_VARIABLE = "MOOD_OF_WHO_APPLIES"


@dataclass(frozen=True)
class Answer:
    """What a deployment said.

    Attributes:
        version: Of its flow.
        mood: What its variable ``MOOD`` holds.
    """

    status: int
    version: str = ""
    mood: str = ""


Ask = Callable[[str, Mapping[str, str]], Answer]


@dataclass
class Trial:
    """One target.

    Attributes:
        make: A deployment by name and version; further parts are replaced in it.
        open: The target for an endpoint.
        ask: Sends one request to an address with headers; ``None`` where nothing answers.
        broken: A deployment whose server does not start; ``None`` where there is no server.
        told: What was told of what is waited for.
        written: Everything that was sent or written, without the places that secrets are meant for.
    """

    name: str
    endpoint: Endpoint
    make: Callable[..., Deployment]
    open: Callable[[Endpoint], Target]
    ask: Ask | None = None
    broken: Callable[[str], Deployment] | None = None
    told: list[str] = field(default_factory=list)
    written: Callable[[], str] = str

    def with_deployments(self, *deployments: Deployment) -> Endpoint:
        return replace(self.endpoint, deployments=deployments)

    def step(
        self, target: Target, endpoint: Endpoint, action: Action, name: str = "", after: Any = None
    ) -> None:
        """Make one step as plans have it."""
        tags = {OWNER_TAG: "1"}
        wished = endpoint.find(name)
        if wished is not None and action in ("prepare", "create deployment", "update deployment"):
            spec = wished.spec_digest("1")
            after = {"version": wished.flow.version, "spec": spec}
            tags |= {SPEC_TAG: spec, VERSION_TAG: wished.flow.version}
        if action in ("create endpoint", "update endpoint"):
            after = endpoint.own_settings()
        if action == "set scale" and wished is not None:
            scale = wished.scale
            after = {
                "minimum": scale.minimum,
                "maximum": scale.maximum,
                "requests_at_once": scale.requests_at_once,
                "cpu_percent": scale.cpu_percent,
            }
        before: Any = None
        if action == "move traffic":
            state = target.read_state()
            before = dict(state.traffic)
            specs = {item.name: item.spec for item in state.deployments}
            tags = {PREVIOUS_TAG: render_previous(state.traffic, specs)}
        if action == "note":
            tags, after = {UNTRIED_TAG: render_untried(after)}, None
        change = Change(
            action=action, what=f"{action} {name}", deployment=name, before=before, after=after, tags=tags
        )
        target.apply(change, endpoint)

    def bring(self, target: Target, endpoint: Endpoint, *names: str) -> None:
        """The endpoint, and deployments of it, as plans make them."""
        if not target.read_state().exists:
            self.step(target, endpoint, "create endpoint")
        for name in names:
            self.step(target, endpoint, "prepare", name)
            self.step(target, endpoint, "create deployment", name)

    def said(self, target: Target, deployment: str | None = None) -> Answer:
        """What an endpoint, or one deployment, says."""
        assert self.ask is not None
        address = target.address(deployment)
        return self.ask(address.url, address.headers)


@contextmanager
def trial(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """A target by its name, gone afterwards with all that it has started."""
    with _TRIALS[name](folder, patch) as made:
        yield made


@contextmanager
def _memory(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Trial]:
    del patch
    told: list[str] = []
    yield Trial(
        name="memory",
        endpoint=Endpoint(name=NAME, target="local", deployments=()),
        make=_plain,
        open=lambda endpoint: open_memory_target(folder, endpoint, told.append),
        told=told,
        written=lambda: _read_all(folder),
    )


def _plain(name: str, version: str = "v1", **parts: Any) -> Deployment:
    digest = hashlib.sha256(version.encode()).hexdigest()
    choice = FlowChoice(source=version, version=f"triage@{version}", digest=digest, is_versioned=True)
    return Deployment(name=name, arm=name, flow=choice, **parts)


def _read_all(folder: Path, *without: str) -> str:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in without]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


LOCAL_TOOL = """\
import os

from promptflow.core import tool

if os.environ.get("FAIL"):
    raise RuntimeError("this flow does not start")


@tool
def answer(text: str):
    yield f"VERSION {text}"
    if os.environ.get("MOOD"):
        yield f" {os.environ['MOOD']}"
"""


@contextmanager
def local_trial(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Trial]:
    """The target ``local`` in a workspace of its own, whose flows answer with their version and their mood."""
    told: list[str] = []
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "HEADRACE_GRACE_S": "2",
        SECRET_VARIABLE: SECRET,
        **(variables or {}),
    }
    settings = load_settings(environment)
    state_folder = folder / ".headrace" / "deploy"

    def make(name: str, version: str = "v1", **parts: Any) -> Deployment:
        flow = write_flow(folder / "flows" / version, version)
        (flow / "answer.py").write_text(LOCAL_TOOL.replace("VERSION", version), encoding="utf-8")
        deployment = _plain(name, version, **{"readiness": Probe(period_s=1), **parts})
        return replace(deployment, flow=replace(deployment.flow, source=str(flow)))

    with ExitStack() as stack:
        workspace = stack.enter_context(open_workspace(settings, folder))
        pack = stack.enter_context(packing(workspace))

        def open_target(endpoint: Endpoint) -> Target:
            setup = TargetSetup(
                endpoint=endpoint, settings=settings, pack=pack, tell=told.append, state_folder=state_folder
            )
            return LocalTarget(setup)

        made = Trial(
            name="local",
            endpoint=Endpoint(name=NAME, target="local", deployments=(), is_public=False),
            make=make,
            open=open_target,
            ask=_ask_flow,
            broken=lambda name: make(name, settings=(Setting(name="FAIL", value="1"),)),
            told=told,
            written=lambda: _read_all(state_folder),
        )
        try:
            yield made
        finally:
            made.step(open_target(made.endpoint), made.endpoint, "delete endpoint")


@contextmanager
def _local(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Trial]:
    del patch
    with local_trial(folder) as made:
        yield made


def _ask_flow(url: str, headers: Mapping[str, str]) -> Answer:
    with httpx2.Client(timeout=20) as client:
        found = client.post(url, json={"text": "hi"}, headers=dict(headers))
    if found.status_code != 200:
        return Answer(status=found.status_code)
    version, _, mood = str(found.json()["answer"]).partition(" hi")
    return Answer(status=200, version=version, mood=mood.strip())


@contextmanager
def _azureml(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Trial]:
    with managed_target(folder, patch) as managed:
        managed.variables[SECRET_VARIABLE] = SECRET

        def make(name: str, version: str = "v1", **parts: Any) -> Deployment:
            return a_deployment(name, version, **parts)

        yield Trial(
            name="azureml",
            endpoint=managed.endpoint,
            make=make,
            open=managed.target,
            ask=_ask_managed,
            broken=lambda name: a_deployment(name, "v2", image=CRASHING),
            told=managed.told,
            written=lambda: _written(managed.azure, "/connections/"),
        )


def _ask_managed(url: str, headers: Mapping[str, str]) -> Answer:
    with httpx2.Client(timeout=20) as client:
        found = client.post(url, json={"variable": "MOOD"}, headers=dict(headers))
    if found.status_code != 200:
        return Answer(status=found.status_code)
    return Answer(status=200, version=found.json()["flow"], mood=found.json()["env"])


def _written(azure: StandIn, meant_for_secrets: str) -> str:
    """What was sent to Azure, but for requests to what keeps secrets."""
    sent = [item for item in azure.recording.find() if meant_for_secrets not in item.path]
    return json.dumps([[item.path, dict(item.query), item.body] for item in sent], default=str)


@contextmanager
def _aca(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Trial]:
    with StandIn(folder) as azure:
        azure.enter(patch)
        ground = make_ground(azure, folder)

        def broken(name: str) -> Deployment:
            settings = (Setting(name="HEADRACE_SERVE_KEY", value="short"),)
            return ground.deployment(name, "v1", settings=settings)

        def open_target(endpoint: Endpoint) -> Target:
            return ground.open(endpoint, {SECRET_VARIABLE: SECRET})

        try:
            yield Trial(
                name="aca",
                endpoint=ground.endpoint(),
                make=ground.deployment,
                open=open_target,
                ask=_ask_flow,
                broken=broken,
                told=ground.told,
                written=lambda: _app_requests(azure),
            )
        finally:
            ground.close()


def _app_requests(azure: StandIn) -> str:
    """What was sent, but for the secrets of apps."""
    sent = json.loads(
        json.dumps([[item.path, dict(item.query), item.body] for item in azure.recording.find()])
    )
    for _, _, body in sent:
        if isinstance(body, dict):
            body.get("properties", {}).get("configuration", {}).pop("secrets", None)
    return json.dumps(sent)


_TRIALS: Mapping[str, Callable[[Path, pytest.MonkeyPatch], Any]] = {
    "memory": _memory,
    "local": _local,
    "azureml": _azureml,
    "aca": _aca,
}
TARGETS = tuple(_TRIALS)
