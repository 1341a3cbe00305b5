"""A project with a flow and a deployment file for ``azureml``, before a stand-in for Azure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.azure import StandIn
from tests.support.azure.stand_in import UNSET

FLOW = """\
inputs:
  name: {type: string, default: Ann}
outputs:
  said: {type: string, reference: "${greet.output}"}
nodes:
- name: greet
  type: python
  source: {type: code, path: greet.py}
  inputs: {name: "${inputs.name}"}
"""
TOOL = """\
import os

from promptflow.core import tool


@tool
def greet(name: str):
    print("greeting", name)
    if name == "nobody":
        raise ValueError("there is nobody")

    yield "WORD"
    yield " " + name
    yield os.environ["MARK"]
"""
FILE = """\
name: greetings
target: azureml
flow: greet
azure: {subscription: "${env:AZURE_SUBSCRIPTION_ID}", resource_group: "${env:AZURE_RESOURCE_GROUP}", workspace: ws}
size: {instance_type: Standard_DS3_v2}
environment: {MARK: {env: GREETING_MARK}}
probes: {readiness: {initial_delay_s: 1, period_s: 1, failures: 6000}}
canary: 10
price_usd_per_hour: 0.3
"""
ARMS = """\
arms:
- {name: plain, traffic: 90}
- {name: kind, flow: kind, traffic: 10}
- {name: quiet, flow: kind, traffic: 0, mirror: 50}
"""
_ROOT = Path(__file__).parents[2]
SECRET = "an-exclamation-mark-of-our-own"


@dataclass
class Project:
    """A folder with ``greet`` and ``deployment.yaml``.

    Attributes:
        environment: Variables of commands.
    """

    folder: Path
    azure: StandIn
    environment: Mapping[str, str] = field(default_factory=dict)

    def say(self, word: str, flow: str = "greet") -> None:
        """Write the flow with another word, which makes another version of it."""
        folder = self.folder / flow
        folder.mkdir(exist_ok=True)
        (folder / "flow.dag.yaml").write_text(FLOW, "utf-8")
        (folder / "greet.py").write_text(TOOL.replace("WORD", word), "utf-8")
        (folder / "names.txt").write_text("Ann", "utf-8")
        (folder / ".gitignore").write_text("*.txt\n*.json\n", "utf-8")

    def run(self, *words: str, code: int = 0, shows_secret: bool = False) -> str:
        """What a command in a process of its own writes; it ends with ``code``."""
        ended = self.end(sys.executable, "-m", "headrace", "deploy", *words)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert (SECRET in ended.stdout + ended.stderr) == shows_secret
        return ended.stdout + ended.stderr

    def data(self, *words: str) -> Any:
        """What a command writes as JSON on standard output."""
        ended = self.end(sys.executable, "-m", "headrace", "deploy", *words, "--format", "json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    def end(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A process in the folder, once it has ended."""
        return subprocess.run(
            words,
            check=False,
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=300,
        )


@contextmanager
def deployed_project(folder: Path, file: str = FILE) -> Iterator[Project]:
    """A project whose flow says ``Hello``."""
    project = folder / "project"
    project.mkdir()
    with StandIn(folder) as azure:
        azure.operations.retry_after_ms = 100
        azure.machine_learning.speed = 20
        environment = {name: value for name, value in os.environ.items() if name not in UNSET}
        environment |= {**azure.environment, "HOME": str(folder), "GREETING_MARK": SECRET}
        paths = (str(_ROOT / "src"), str(_ROOT), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        made = Project(folder=project, azure=azure, environment=environment)
        made.say("Hello")
        (project / "deployment.yaml").write_text(file, "utf-8")
        yield made
