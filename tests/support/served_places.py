"""A flow deployed by commands in this process, to both places that are Azure's, before a stand-in: quick, by one small server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.images import Image
from tests.support.container_app_target import make_ground, write_flow

from headrace.cli.main import run_command_line

IMAGE = "myacr.azurecr.io/server@sha256:" + "a" * 64
SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send(b"ok")

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        print("asked", asked.decode(), flush=True)
        key = os.environ.get("HEADRACE_SERVE_KEY")
        if key and self.headers["Authorization"] != "Bearer " + key:
            return self.send(b"{}", 401)
        self.send(json.dumps({"answer": os.environ.get("HEADRACE_DEPLOYMENT_VERSION") or os.environ["FLOW_PATH"]}).encode())

    def send(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.handle_error = lambda *_: None  # whoever went away
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
_COMMON = """\
name: triage
flow: triage
image: {image}
environment: {{MOOD: {{env: MOOD}}}}
canary: 10
price_usd_per_hour: 0.1
"""
_FILES = {
    "azureml": _COMMON
    + """\
target: azureml
azure: {{subscription: "{subscription}", resource_group: rg, workspace: ws}}
size: {{instance_type: Standard_DS3_v2}}
probes: {{readiness: {{initial_delay_s: 1, period_s: 1, failures: 600}}}}
""",
    "aca": _COMMON
    + """\
target: aca
azure: {{subscription: "{subscription}", resource_group: rg, environment: cae, registry: myacr}}
identities: ["{identity}"]
scale: {{min: 0, max: 2}}
""",
}
PLACES = tuple(_FILES)


@dataclass
class Served:
    """A project, and the stand-in that it is deployed to."""

    name: str
    azure: StandIn
    folder: Path
    capsys: pytest.CaptureFixture[str]
    said: str = ""

    def write(self, version: int) -> None:
        """The flow, in a version."""
        write_flow(self.folder / "triage", f"v{version}")

    def run(self, *words: str, code: int = 0) -> str:
        """What a command writes to standard output; :attr:`said` has what it wrote to standard error as well."""
        ended = run_command_line(["deploy", *words])
        out, err = self.capsys.readouterr()
        self.said = out + err
        assert ended == code, (words, ended, self.said)
        return out

    def apply(self, *, code: int = 0) -> str:
        return self.run("apply", "--allow", "dirty", "--allow", "shift", code=code)

    def answer_of(self, deployment: str) -> str:
        """What a deployment answers to everything."""
        said = self.run("invoke", "--deployment", deployment, "--inputs", "text=hi")
        return str(json.loads(said)["answer"])

    @property
    def key(self) -> str:
        """What callers are let in with."""
        if self.name == "aca":
            return self.azure.apps.key("triage")
        found = self.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/onlineEndpoints")
        return str(found[0].hidden["primary"])

    def state(self) -> Any:
        return json.loads(self.run("status", "--format", "json"))


@contextmanager
def served(
    name: str, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Served]:
    """A project for a target, in which this process stands; waits are over at once."""
    with ExitStack() as stack:
        azure = stack.enter_context(StandIn(folder))
        azure.enter(patch)
        patch.setenv("HOME", str(folder))
        patch.setenv("MOOD", "a-mood-that-nobody-may-see")
        server = folder / "server.py"
        server.write_text(SERVER, "utf-8")
        command = [sys.executable, "-S", "-E", str(server)]
        azure.machine_learning.images[IMAGE] = command
        azure.machine_learning.speed = 50
        ground = make_ground(azure, folder)
        stack.callback(ground.close)
        place, _, path = IMAGE.partition("/")
        repository, _, digest = path.partition("@")
        azure.registries.images[place, repository, digest] = Image(
            digest=digest, folder=folder, command=command
        )
        project = folder / "project"
        project.mkdir()
        text = _FILES[name].format(subscription=azure.subscription, identity=ground.identity, image=IMAGE)
        (project / "deployment.yaml").write_text(text, "utf-8")
        sleep = time.sleep
        patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
        stack.enter_context(chdir(project))
        made = Served(name=name, azure=azure, folder=project, capsys=capsys)
        made.write(1)
        yield made
