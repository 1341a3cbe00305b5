"""The pages about moving: their steps move a project over, and what they show is what is printed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, chdir
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode
from tests.support.azure import StandIn
from tests.support.azure.workspace_connections import add_workspace
from tests.support.documented import OUTPUT, page_blocks
from tests.support.model_server import ModelServer, Reply, Request, answer
from tests.support.reference_docs import DOCS, ROOT
from tests.support.tool_nodes import serving_names

PROJECT = ROOT / "tests" / "data" / "support_bot"


@dataclass
class Walk:
    """What the commands of a page have said.

    Attributes:
        ends: How commands end that do not end well, once each.
    """

    folder: Path
    variables: dict[str, str]
    capsys: pytest.CaptureFixture[str]
    ends: dict[str, ExitCode]
    said: list[tuple[str, str]] = field(default_factory=list)

    def run(self, line: str) -> None:
        program, *words = shlex.split(line.replace("~", self.variables["HOME"]))
        assert program == "headrace", line
        code = run_command_line(words, Session(self.folder, self.variables))
        out, err = self.capsys.readouterr()
        assert code == self.ends.pop(line, ExitCode.OK), f"{line}\n{out}\n{err}"
        self.said.append((line, out + err))

    def of(self, start: str) -> str:
        """What the last command that begins so has said."""
        return next(text for line, text in reversed(self.said) if line.startswith(start))


def reply(request: Request) -> Reply:
    """A model that quotes the policy, or one that says little where it is asked to be short."""
    system = request.body["messages"][0]["content"]
    return answer(system.partition("# Policy\n")[2].strip() or "By card.")


def lay(folder: Path, azure: StandIn) -> None:
    """The project of the pages, its endpoints in the subscription of the stand-in."""
    shutil.copytree(PROJECT, folder)
    for name in ("azure/blue.yml", "config.json"):
        file = folder / name
        text = file.read_text(encoding="utf-8")
        for ours, theirs in (
            ("00000000-0000-0000-0000-000000000000", azure.subscription),
            ("rg-support-dev", azure.group),
            ("rg-support", azure.group),
        ):
            text = text.replace(ours, theirs)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def walk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Walk]:
    folder, home = tmp_path / "support_bot", tmp_path / "home"
    with ExitStack() as stack:
        azure = stack.enter_context(StandIn(tmp_path / "cloud"))
        azure.enter(monkeypatch)
        for name in ("ml-support", "ml-support-dev"):
            add_workspace(azure, name)
        model = stack.enter_context(ModelServer(default=reply))
        variables = {**azure.environment, "HOME": str(home), "AOAI_KEY": "k", "AOAI_API_BASE": model.url}
        lay(folder, azure)
        stack.enter_context(chdir(folder))
        stack.enter_context(serving_names(folder))
        yield Walk(folder, variables, capsys, {})


def go(walk: Walk, page: str, runs_of_stock: Sequence[str] = ()) -> None:
    """Write the files of a page and run its commands, in their order."""
    blocks = page_blocks(DOCS / page)
    for block in (block for block in blocks if block.is_walked):
        if block.language != "sh":
            (walk.folder / block.path).write_text(block.text, encoding="utf-8")
            continue
        for line in block.lines():
            for command in runs_of_stock if "--source ~/" in line else ():
                walk.run(command)
            walk.run(line)
    heard = "\n".join(text for _, text in walk.said)
    shown = [block.text.rstrip() for block in blocks if block.language == OUTPUT]
    assert [text for text in shown if text not in heard and not text.startswith("support_bot/")] == []


def test_the_steps_of_the_page_move_a_project(walk: Walk) -> None:
    walk.ends["headrace doctor ."] = ExitCode.DEFINITION
    go(
        walk,
        "moving.md",
        (  # in the form in which stock prompt flow keeps and downloads them
            "headrace run export --name answers --output ~/.promptflow/.runs/nightly",
            "headrace run export --name judged --output downloads/cloud_run",
        ),
    )

    assert "1 error, 11 warnings" in walk.said[0][1]
    assert "M007" not in walk.of("headrace doctor")
    assert "Closest is quoting" in walk.of("headrace compare")
    assert "By card." in walk.of("headrace deploy invoke")


def test_the_steps_of_the_page_move_a_project_of_the_template(walk: Walk) -> None:
    walk.run("headrace connection create --file connections/aoai.yaml")
    walk.ends["headrace doctor ."] = ExitCode.DEFINITION  # the index is still there
    go(walk, "moving-from-the-template.md")

    assert "Closest is quoting" in walk.of("headrace compare")
    assert "undecided" in walk.of("headrace gate")
    assert "create deployment answer1" in walk.of(
        "headrace deploy plan configs/deployment.yaml --environment"
    )
