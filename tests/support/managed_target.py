"""The target ``azureml`` before a stand-in for Azure, without a deployment file or a build."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.recording import Recorded

from headrace.config import load_settings
from headrace.deploy.base import Package, PackageForm, Target, TargetSetup
from headrace.deploy.managed_endpoint import ManagedEndpoint
from headrace.deploy.managed_waiting import Waits
from headrace.domain.deployment import (
    OWNER_TAG,
    PREVIOUS_TAG,
    SPEC_TAG,
    VERSION_TAG,
    Action,
    AzurePlace,
    Change,
    Deployment,
    Endpoint,
    FlowChoice,
    Probe,
    Size,
)

IMAGE = "myacr.azurecr.io/server@sha256:" + "0" * 64
CRASHING = "myacr.azurecr.io/crashing@sha256:" + "1" * 64
MUTE = "myacr.azurecr.io/mute@sha256:" + "2" * 64
QUICK = Probe(initial_delay_s=1, period_s=1, failures=6000)

SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

flow = Path(os.environ["FLOW_PATH"], "flow.dag.yaml").read_text().strip()
print("serving", flow, flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send([b"ok"])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        print("asked", asked, flush=True)
        if asked.get("fail"):
            return self.send([json.dumps({"error": {"code": "UserError"}}).encode()], 400)
        time.sleep(asked.get("wait", 0))
        if asked.get("stream"):
            return self.send([b'data: {"said": "a"}\\n\\n', b'data: {"said": "b"}\\n\\n'], kind="text/event-stream")
        said = {"flow": flow, "env": os.environ.get(asked.get("variable", ""), ""), "key": self.headers["Authorization"]}
        self.send([json.dumps(said).encode()])

    def send(self, pieces, status=200, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if kind == "text/event-stream":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in [*pieces, b""]:
                self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(piece), piece))
            return
        body = b"".join(pieces)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Answered:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Managed:
    """A target and what it is before.

    Attributes:
        flows: Name of a flow to its text; a deployment serves the one that its ``source`` names.
        packed: Deployment and form of each packing.
        told: What was told of what is waited for.
    """

    azure: StandIn
    folder: Path
    endpoint: Endpoint
    waits: Waits = field(default_factory=lambda: Waits(endpoint=20, deployment=40, deletion=20))
    flows: dict[str, str] = field(default_factory=lambda: {"v1": "v1", "v2": "v2"})
    variables: dict[str, str] = field(default_factory=dict)
    packed: list[tuple[str, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def target(self, endpoint: Endpoint | None = None) -> Target:
        settings = load_settings({**os.environ, **self.variables})
        setup = TargetSetup(
            endpoint=endpoint or self.endpoint,
            settings=settings,
            pack=self.pack,
            tell=self.told.append,
            state_folder=self.folder,
        )
        return ManagedEndpoint(setup, self.waits)

    def pack(self, deployment: Deployment, form: PackageForm) -> Package:
        self.packed.append((deployment.name, form))
        text = self.flows[deployment.flow.source]
        folder = self.folder / "packed" / deployment.flow.source / form
        folder.mkdir(parents=True, exist_ok=True)
        if form == "flow":
            (folder / "flow.dag.yaml").write_text(text, "utf-8")
            (folder / ".gitignore").write_text(
                "*\n", "utf-8"
            )  # speaks of git, not of what belongs to the flow
        else:
            text = SERVER
            (folder / "app.py").write_text(text, "utf-8")
            lines = [
                "FROM python:3.12",
                "WORKDIR /app",
                "ENV MADE=yes",
                "COPY . ./",
                'CMD ["python", "app.py"]',
            ]
            (folder / "Dockerfile").write_text("\n".join(lines), "utf-8")
        return Package(folder=folder, digest=hashlib.sha256(f"{form}:{text}".encode()).hexdigest())

    def make(
        self, action: Action, name: str = "", after: Any = None, endpoint: Endpoint | None = None
    ) -> None:
        """Make one step, with the tags that plans give it."""
        endpoint = endpoint or self.endpoint
        tags = {OWNER_TAG: "1"}
        wished = endpoint.find(name)
        if action in ("prepare", "create deployment", "update deployment") and wished:
            tags |= {SPEC_TAG: wished.spec_digest("1"), VERSION_TAG: wished.flow.version}
        target = self.target(endpoint)
        before = None
        if action == "move traffic":
            before = dict(target.read_state().traffic)
            tags = {PREVIOUS_TAG: json.dumps(before)}
        try:
            change = Change(
                action=action, what=f"{action} {name}", deployment=name, before=before, after=after, tags=tags
            )
            target.apply(change, endpoint)
        finally:
            target.close()

    def deploy(self, *names: str) -> None:
        """Make the endpoint and deployments of it."""
        self.make("create endpoint")
        for name in names:
            self.make("create deployment", name)

    def state(self) -> Any:
        target = self.target()
        try:
            return target.read_state()
        finally:
            target.close()

    def ask(self, body: Mapping[str, Any], deployment: str | None = None) -> Answered:
        """One request through the address of the endpoint."""
        target = self.target()
        try:
            address = target.address(deployment)
        finally:
            target.close()
        headers = {**address.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(address.url, json.dumps(body).encode(), headers)
        try:
            # The usual opener would remember the proxies of the first test.
            with urllib.request.build_opener().open(request) as answer:
                return _answered(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return _answered(error.code, error.read(), error.headers)

    def n_sent(self, method: str, path: str) -> int:
        """How many requests the stand-in got."""
        return len(self.sent(method, path))

    def sent(self, method: str, path: str) -> list[Recorded]:
        """The requests that the stand-in got: ``path`` is looked for in theirs, as a regular expression."""
        return [item for item in self.azure.recording.find(method) if re.search(path, item.path)]


def _answered(status: int, content: bytes, headers: Any) -> Answered:
    try:
        body: Any = json.loads(content)
    except ValueError:
        body = content.decode()
    return Answered(status, body, {name.lower(): value for name, value in headers.items()})


def a_deployment(name: str, flow: str = "v1", **more: Any) -> Deployment:
    """A deployment with quick probes and an image that is there."""
    usual: dict[str, Any] = {
        "arm": name,
        "image": IMAGE,
        "flow": FlowChoice(source=flow, version=f"triage@{flow}", digest=flow),
        "size": Size(instance_type="Standard_DS3_v2"),
        "readiness": QUICK,
    }
    return Deployment(name=name, **{**usual, **more})


def with_deployments(managed: Managed, *deployments: Deployment) -> None:
    """Let the endpoint have these."""
    managed.endpoint = replace(managed.endpoint, deployments=deployments)


@contextmanager
def managed_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    """A target whose endpoint ``triage`` has ``blue`` with ``v1`` and ``green`` with ``v2``."""
    with StandIn(folder) as azure:
        azure.enter(monkeypatch)
        azure.operations.retry_after_ms = 40
        azure.machine_learning.speed = 20
        server = folder / "server.py"
        server.write_text(SERVER, "utf-8")
        crash = 'print("no such module"); raise SystemExit(3)'
        mute = 'import time; print("thinking", flush=True); time.sleep(60)'
        azure.machine_learning.images |= {
            IMAGE: [sys.executable, str(server)],
            CRASHING: [sys.executable, "-c", crash],
            MUTE: [sys.executable, "-c", mute],
        }
        place = AzurePlace(subscription=azure.subscription, resource_group="rg", workspace="ws")
        deployments = (a_deployment("blue"), a_deployment("green", "v2"))
        endpoint = Endpoint(name="triage", target="azureml", place=place, deployments=deployments)
        yield Managed(azure=azure, folder=folder, endpoint=endpoint)
