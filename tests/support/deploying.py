"""Command lines of deployments: in a copy of the project, with a remembered place and a server that answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.reference_docs import copy_project
from tests.support.scoring_server import Answer, ScoringServer, scoring_server
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.deploy import base
from headrace.deploy.memory import FILE, change_memory, read_memory
from headrace.domain.deployment import EndpointState

MEMORY = "headrace.deploy.memory:MemoryTarget"


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A project with a deployment file, and what its commands say."""

    folder: Path
    server: ScoringServer
    run: Callable[[str], Said]

    @property
    def file(self) -> Path:
        return self.folder / ".headrace" / "deploy" / FILE

    def state(self) -> EndpointState:
        return read_memory(self.file)

    def meanwhile(self, change: Callable[[dict[str, Any]], None]) -> None:
        change_memory(self.file, change)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")


@contextmanager
def deploying(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Place]:
    """A copy of the project whose target ``local`` only remembers; whatever is deployed there echoes its inputs."""
    copy_project(folder)
    variables = {"HOME": str(folder / "home"), **(environment or {})}
    monkeypatch.setattr(base, "TARGETS", {**base.TARGETS, "local": MEMORY})
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        stack.enter_context(serving_names(folder))
        server = stack.enter_context(scoring_server())
        server.answer = lambda inputs, _: Answer(
            {"label": "billing", "raw": inputs.get("text")},
            headers={"x-headrace-flow-version": "triage@1"},
        )

        def run(line: str) -> Said:
            capsys.readouterr()
            code = run_command_line(shlex.split(line), Session(folder, variables))
            out, err = capsys.readouterr()
            return Said(code, out, err)

        place = Place(folder, server, run)
        place.meanwhile(lambda memory: memory.update(url=server.url))
        yield place
