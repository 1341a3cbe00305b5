"""The pages' shell commands do what the pages say: they run here, offline, in a copy of the project."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from tests.support.reference_docs import DOCS, ROOT, copy_project, render_readme, run_demo
from tests.support.tool_nodes import serving_names

WALKS = {
    # Each in a folder of its own; a page goes on with the runs of the one before it.
    "quickstart, then tracing": ((DOCS / "quickstart.md", None), (DOCS / "tracing.md", None)),
    "records out": ((DOCS / "records-out.md", None),),
    "judges": ((DOCS / "judges.md", None),),
    "races": ((DOCS / "races.md", None),),
    "gates": ((DOCS / "gates.md", None),),
    "planning": ((DOCS / "planning.md", None),),
    "simulating": ((DOCS / "simulating.md", None),),
    "suggest": ((DOCS / "suggest.md", None),),
    "experiment_file": ((DOCS / "experiment-file.md", None),),
    "versions": ((DOCS / "versions.md", None),),
    "readme": ((ROOT / "README.md", ("The same without make", "Your own flow")),),
}
"""Pages with their sections; ``None`` for all."""

SKIPPED = {
    "make demo": "needs make, and a virtual environment",
    "python3 -m venv": "needs a virtual environment",
    "pip install": "needs a package index",
    "python -m headrace.compat": "runs a script of the reader's own; tests/integration/test_program.py runs others",
    "pytest": "is what runs this",
    "export OPENAI_API_KEY": "sets a variable of the shell",
    "export OTEL_EXPORTER_OTLP_ENDPOINT": "sets a variable of the shell, and needs a collector",
    "headrace flow test --flow flows/ask_docs --model openai/gpt-4o-mini": "needs a key",
    "headrace compare flows/triage/experiment.yaml --to": "needs MLflow; tests/unit/operations/test_track_comparison.py tries it",
    "WANDB_MODE=offline headrace": "needs wandb; the same test tries it",
    "headrace compare flows/ask_docs/experiment.yaml": "runs in test_the_readme_shows_the_board_of_the_demo",
    "headrace flow test --flow my_chat --interactive": "needs somebody to talk with; tests/unit/cli/test_chat.py talks",
    "headrace label take zero few": "needs somebody who labels; tests/integration/test_labels.py labels",
    "pf ": "needs stock prompt flow",
    "headrace certify": "needs stock prompt flow",
}
"""What does not run here, by how it begins, and why."""

PLACEHOLDERS = {
    "path/to/flow": "flows/triage",
    "path/to/project": "flows",
    "name=value": "text='I was charged twice'",
    "--data data.jsonl": "--data flows/triage/data/test.jsonl",
    "name='${data.name}'": "text='${data.text}'",
}
"""What a reader is asked to replace, and with what it is replaced here."""

FILES = {
    "run.yaml": (DOCS / "quickstart.md", "Keep a run in a file"),
    "factors.yaml": (DOCS / "experiment-file.md", "An example"),
    "labels.json": (DOCS / "judges.md", "Labelling answers"),
    "scenario.yaml": (DOCS / "simulating.md", "Scenarios"),
}
"""Files that a page shows before its commands read them: page and heading."""


class Line(NamedTuple):
    """One command line of a page."""

    page: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it does not run here."""
        return next((reason for start, reason in SKIPPED.items() if self.text.startswith(start)), None)


def section(page: Path, heading: str) -> str:
    """The text below ``heading``, up to the next heading."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def read_lines(walk: str) -> Iterator[Line]:
    for page, headings in WALKS[walk]:
        texts = (
            [page.read_text(encoding="utf-8")] if headings is None else [section(page, h) for h in headings]
        )
        for block in (block for text in texts for block in blocks(text, "sh")):
            for line in filter(None, block.replace("\\\n", " ").splitlines()):
                yield Line(page.name, line)


LINES = {walk: tuple(read_lines(walk)) for walk in WALKS}
EVERY_LINE = [line for lines in LINES.values() for line in lines]


@pytest.mark.parametrize("walk", WALKS)
def test_commands_of_the_pages_run(walk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy_project(tmp_path)
    for name, (page, heading) in FILES.items():
        (tmp_path / name).write_text(
            blocks(section(page, heading), name.partition(".")[2])[0], encoding="utf-8"
        )
    running = [line for line in LINES[walk] if line.reason is None]
    assert running
    with chdir(tmp_path), serving_names(tmp_path):
        for line in running:
            command = line.text
            for placeholder, value in PLACEHOLDERS.items():
                command = command.replace(placeholder, value)
            program, *arguments = shlex.split(command, comments=True)
            assert program == "headrace", f"{line.page}: {line.text} neither runs nor is skipped"
            code = run_command_line(arguments, Session(tmp_path, {"HOME": str(tmp_path)}))
            out, err = capsys.readouterr()
            assert (code, bool(out.strip())) == (0, True), f"{line.page}: {line.text}\n{err}"


@pytest.mark.parametrize("start", SKIPPED)
def test_every_reason_to_skip_has_a_command(start: str) -> None:
    assert any(line.text.startswith(start) for line in EVERY_LINE)


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_every_placeholder_is_on_a_page(placeholder: str) -> None:
    assert any(placeholder in line.text for line in EVERY_LINE)


def test_the_readme_shows_the_board_of_the_demo(tmp_path: Path) -> None:
    copy_project(tmp_path)
    with serving_names(tmp_path):
        demo = run_demo(tmp_path)
    assert demo.splitlines()[-1].startswith("report: .headrace/reports/ask_docs-")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(readme, demo), "run: make docs"
