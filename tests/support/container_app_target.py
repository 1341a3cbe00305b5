"""An app on the stand-in: an environment, a registry, an identity that may pull, and the target ``aca`` for a flow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.azure import StandIn
from tests.support.azure.container_apps import add_environment
from tests.support.azure.registry import add_registry
from tests.support.azure.subscriptions import add_identity, assign_role

from headrace.config import load_settings
from headrace.deploy.base import Pack, Package, PackageForm, TargetSetup
from headrace.deploy.container_app import ContainerApp
from headrace.deploy.container_app_client import Patience
from headrace.domain.deployment import (
    AzurePlace,
    Change,
    Deployment,
    Endpoint,
    FlowChoice,
    Scale,
    Size,
)
from headrace.operations.pack_deployment import packing
from headrace.operations.workspace import open_workspace

QUICK = Patience(operation_s=60.0, image_s=60.0, unhealthy_s=1.0, first_look_s=0.05, longest_look_s=0.2)
APP = "triage"
_FLOW = """\
inputs:
  text:
    type: string
    default: hello
outputs:
  answer:
    type: string
    reference: ${answer.output}
nodes:
- name: answer
  type: python
  source:
    type: code
    path: answer.py
  inputs:
    text: ${inputs.text}
"""
_TOOL = """\
import os

from promptflow.core import tool


@tool
def answer(text: str):
    yield f"VERSION {{text}}"
    if os.environ.get("MOOD"):
        yield f" {{os.environ['MOOD']}}"
"""


def write_flow(folder: Path, version: str) -> Path:
    """A flow that answers with the name of its version, the text, and what the variable MOOD holds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.dag.yaml").write_text(_FLOW, encoding="utf-8")
    text = _TOOL.replace("VERSION", version).replace("{{", "{").replace("}}", "}")
    (folder / "answer.py").write_text(text, encoding="utf-8")
    return folder


@dataclass
class Ground:
    """What an app needs around it.

    Attributes:
        identity: Resource id of the one that may pull.
        told: Lines that were told.
        n_packed: How often something was packed.
    """

    azure: StandIn
    folder: Path
    identity: str
    told: list[str] = field(default_factory=list)
    n_packed: int = 0
    opened: list[Any] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _packs: Pack | None = None

    def deployment(self, name: str = "", version: str = "v1", **more: Any) -> Deployment:
        """A deployment of a version of the flow."""
        flow = write_flow(self.folder / "flows" / version, version)
        digest = hashlib.sha256(version.encode()).hexdigest()
        choice = FlowChoice(source=str(flow), version=f"triage@{version}", digest=digest, is_versioned=True)
        given = {"size": Size(cpu=0.5, memory_gib=1.0), "scale": Scale(minimum=1, maximum=2), **more}
        return Deployment(name=name, arm=name or "triage", flow=choice, **given)

    def endpoint(self, *deployments: Deployment, **more: Any) -> Endpoint:
        """A wish."""
        place = AzurePlace(
            subscription=self.azure.subscription,
            resource_group=self.azure.group,
            environment="cae",
            registry="myacr",
        )
        given = {"identities": (self.identity,), **more}
        return Endpoint(name=APP, target="aca", deployments=deployments, place=place, **given)

    def open(
        self, endpoint: Endpoint, environment: Mapping[str, str] | None = None, **patience: float
    ) -> ContainerApp:
        """The target, with this process signed in by its environment."""
        setup = TargetSetup(
            endpoint=endpoint,
            settings=replace(load_settings({}), environment=dict(environment or {})),
            pack=self.pack,
            tell=self.told.append,
            state_folder=self.folder / "state",
        )
        waits = replace(QUICK, **patience)
        target = ContainerApp(setup, waits)
        self.opened.append(target)
        return target

    def close(self) -> None:
        """Close every target that was opened."""
        for item in self.opened:
            item.close()
        self._stack.close()

    def pack(self, deployment: Deployment, form: PackageForm) -> Package:
        """Packs as commands do."""
        if self._packs is None:
            workspace = self._stack.enter_context(open_workspace(load_settings({}), self.folder))
            self._packs = self._stack.enter_context(packing(workspace))
        self.n_packed += 1
        return self._packs(deployment, form)


def make_ground(azure: StandIn, folder: Path) -> Ground:
    """Everything that is there before an app is."""
    add_environment(azure, "cae")
    registry = add_registry(azure, "myacr")
    identity = add_identity(azure, "puller")
    assign_role(azure, registry.id, "AcrPull", identity.properties["principalId"])
    return Ground(azure=azure, folder=folder, identity=identity.id)


def step(action: Any, deployment: str = "", after: Any = None, **tags: str) -> Change:
    """A change as a plan has it."""
    return Change(action=action, deployment=deployment, what=action, after=after, tags=tags)


def made(deployment: Deployment) -> dict[str, str]:
    """What a plan says of a deployment that is made."""
    return {"version": deployment.flow.version, "spec": deployment.spec_digest("headrace")}


def bring(target: ContainerApp, endpoint: Endpoint, deployments: Sequence[Deployment]) -> None:
    """Create deployments as a plan does."""
    for deployment in deployments:
        for action in ("prepare", "create deployment"):
            target.apply(step(action, deployment.name, made(deployment)), endpoint)
