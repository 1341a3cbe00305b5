"""The guide from an empty folder to a live A/B and back: its commands, copied from the page, do what it says.

The stand-in for Azure is asked by Microsoft's own packages, and what is deployed there really serves. ``azd``, ``az`` and ``pip``
cannot be had here: what they would leave, the resources and the variables of an environment, is laid down in their place.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.domain.evidence import Completion, Exposure
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision
from headrace.store.opening import open_store
from tests.support.azure import StandIn
from tests.support.azure.container_apps import add_environment
from tests.support.azure.registry import add_registry
from tests.support.azure.subscriptions import add_identity, assign_role
from tests.support.documented import page_blocks
from tests.support.endpoint import serving
from tests.support.evidence import a_trial
from tests.support.model_server import ModelServer, answer
from tests.support.reference_docs import DOCS
from tests.support.tool_nodes import serving_names

PAGE = DOCS / "azure-guide.md"
TRAFFIC = "flows/answers/traffic.yaml"
BLOCKS = page_blocks(PAGE)
GATE = "headrace gate flows/answers/release.yaml --output results/gate.json"
FAILED = 1
ENDS = {GATE: (0, FAILED)}
"""Commands that end with another code than 0, as the page says: their codes, one time after the other."""
SHARES = (
    ("aca", {"blue": 100}),
    ("aca", {"blue": 90, "green": 10}),
    ("aca", {"blue": 50, "green": 50}),
    ("aca", {"green": 100}),
    ("aca", {"blue": 50, "green": 50}),
    ("aca", {"blue": 100}),
    ("live", {"plain": 95, "with-examples": 5}),
    ("live", {"plain": 95, "with-examples": 5}),
    ("live", {"with-examples": 100}),
    ("live", {"plain": 100}),
)
"""Who has which share after each command that moves traffic."""


WHO = {
    f"GIT_{role}_{field}": "reader@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for field in ("NAME", "EMAIL")
}


@dataclass
class Walk:
    """A reader with the page.

    Attributes:
        provisioned: What azd would say of its environment.
        said: Every command with what it wrote.
    """

    azure: StandIn
    folder: Path
    variables: dict[str, str]
    provisioned: Mapping[str, str]
    capsys: pytest.CaptureFixture[str]
    stack: ExitStack
    port: int = 0
    said: list[tuple[str, str]] = field(default_factory=list)

    def type(self, line: str) -> None:
        """Give a command as a person does."""
        words = shlex.split(Template(line).safe_substitute(self.variables))
        if words[0] == "cd":
            self.folder /= words[1]
            self.stack.enter_context(serving_names(self.folder))
        elif words[:3] == ["headrace", "flow", "serve"]:
            self.serve(words[words.index("--traffic") + 1])
        elif words[0] == ".":
            self.read_variables(words[1])
        elif words[0] == "headrace":
            self.run(line, words[1:])
        else:  # curl, git and printf
            text = line.replace("localhost:8080", f"127.0.0.1:{self.port}").replace("curl ", "curl -sSf ")
            done = subprocess.run(
                ["bash", "-ec", text],
                check=False,
                cwd=self.folder,
                env={**os.environ, **WHO},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            self.said.append((line, done.stdout))

    def read_variables(self, name: str) -> None:
        """Let a shell read the file that azd's values were written into, and go on with what it holds then."""
        (self.folder / name).parent.mkdir()
        text = "".join(f'export {variable}="{value}"\n' for variable, value in self.provisioned.items())
        (self.folder / name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["bash", "-ec", f". {name}; env -0"], cwd=self.folder, check=True, capture_output=True
        )
        known = dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)
        self.variables |= {variable: known[variable] for variable in self.provisioned}

    def run(self, line: str, words: list[str]) -> None:
        with chdir(self.folder):  # a server in this process has the folder of its flow as working directory
            code = run_command_line(words, Session(self.folder, self.variables))
        out, err = self.capsys.readouterr()
        n_before = len(self.of(line))
        assert code == dict(enumerate(ENDS.get(line, ()))).get(n_before, 0), f"{line}\n{out}\n{err}"
        self.said.append((line, out + err))

    def serve(self, traffic: str) -> None:
        """The server of the first terminal, in a thread: it stays until the page is over."""
        endpoint = self.stack.enter_context(serving(self.folder, self.variables, (), traffic=(traffic,)))
        self.port = endpoint.port

    def of(self, start: str) -> list[str]:
        """What the commands that begin so have said, in order."""
        return [text for line, text in self.said if line.startswith(start)]

    def shares(self, environment: str) -> dict[str, int]:
        """Who has which share of the requests now."""
        words = ["deploy", "status", "flows/answers/deployment.yaml", "--environment", environment]
        with chdir(self.folder):
            assert run_command_line([*words, "--format", "json"], Session(self.folder, self.variables)) == 0
        state: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return dict(state["traffic"])


@pytest.fixture
def walk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Walk]:
    with ExitStack() as stack:
        azure = stack.enter_context(StandIn(tmp_path / "cloud"))
        azure.enter(monkeypatch)
        add_environment(azure, "cae")
        registry = add_registry(azure, "crhelpdesk")
        identity = add_identity(azure, "id-flows")
        assign_role(azure, registry.id, "AcrPull", identity.properties["principalId"])
        model = stack.enter_context(ModelServer(default=answer("3 euros [membership#who-can-join]")))
        variables = {**azure.environment, "HOME": str(tmp_path / "home")}
        provisioned = {
            "AZURE_CONTAINER_APPS_ENVIRONMENT": "cae",
            "AZURE_CONTAINER_REGISTRY": "crhelpdesk",
            "AZURE_FLOW_IDENTITY": identity.id,
            "AZURE_OPENAI_ENDPOINT": model.url,
            "AZURE_OPENAI_DEPLOYMENT": "chat",
        }
        folder = tmp_path / "work"
        folder.mkdir()
        stack.enter_context(chdir(folder))
        yield Walk(azure, folder, variables, provisioned, capsys, stack)


def let_people_ask(walk: Walk) -> None:
    """The test is three hours old when the reader goes on: of some hundred users nine of ten liked what with_examples has
    answered, and one of ten what plain has."""
    began = datetime.now(UTC) - timedelta(hours=3)
    names = {"a": "plain", "b": "with_examples"}
    records = []
    for record in a_trial(300, is_liked=True):
        own = {"arm": names[record.arm]} if isinstance(record, Exposure) else {}
        own |= {"answered_by": names[record.answered_by]} if isinstance(record, Completion) else {}
        at_ns = int((began + timedelta(hours=1)).timestamp()) * 10**9
        records.append(replace(record, test="answers", at_ns=at_ns, **own))
    with closing(open_store(walk.folder / ".headrace" / "headrace.sqlite")) as store:
        settle_revision(store, read_traffic(walk.folder / TRAFFIC), began)
        store.append_evidence(records)


def test_the_commands_of_the_guide_lead_from_an_empty_folder_to_a_live_test_and_back(walk: Walk) -> None:
    seen: list[tuple[str, dict[str, int]]] = []
    for block in (block for block in BLOCKS if block.is_walked):
        if block.language != "sh":
            (walk.folder / block.path).write_text(block.text, encoding="utf-8")
            continue
        for line in block.lines():
            if line.startswith("headrace flow serve"):
                let_people_ask(walk)
            walk.type(line)
            if re.match(r"headrace deploy (apply|traffic|rollback)", line):
                environment = "live" if "live" in line else "aca"
                seen.append((environment, walk.shares(environment)))

    assert tuple(seen) == SHARES
    assert "Ship with_examples" in walk.of("headrace ab decide")[0]
    assert not walk.azure.apps.by_id  # nothing is left
    assert not walk.azure.unanswered
    bill = json.loads((walk.folder / "dist" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert bill["components"]
