"""What docs/calling.md shows does what it says: commands of curl and blocks of Python ask its two flows on loopback."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from tests.support.endpoint import serving
from tests.support.reference_docs import DOCS, copy_project
from tests.support.tool_nodes import serving_names

PAGE = (DOCS / "calling.md").read_text(encoding="utf-8")
ADDRESS = "localhost:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
CALLS = [line for line in COMMANDS if line.startswith("curl ")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the flows of the page are served."""
    folder = tmp_path_factory.mktemp("calling")
    copy_project(folder)
    init, serve = (line for line in COMMANDS if line not in CALLS)
    with chdir(folder), serving_names(folder):
        program, *arguments = shlex.split(init)
        assert (program, run_command_line(arguments, Session(folder, {"HOME": str(folder)}))) == (
            "headrace",
            0,
        )
    words = shlex.split(serve)
    assert words[:3] == ["headrace", "flow", "serve"]
    sources = [words[place + 1] for place, word in enumerate(words) if word == "--source"]
    with serving(folder, {}, sources) as endpoint:
        yield f"127.0.0.1:{endpoint.port}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("command", CALLS)
def test_commands_of_the_page_are_answered(address: str, command: str) -> None:
    words = shlex.split(command.replace(ADDRESS, address))
    done = subprocess.run([*words, "--fail", "--silent", "--max-time", "30"], check=True, capture_output=True)
    assert done.stdout


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_of_the_page_runs(address: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    block = blocks("python")[number].replace(ADDRESS, address)
    exec(compile(block, f"calling.md, block {number}", "exec"), {})  # noqa: S102 - the page's own code
    assert capsys.readouterr().out.strip()
