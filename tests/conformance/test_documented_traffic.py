"""What docs/splitting-traffic.md shows does what it says: curl and Python ask the sample's flow, whose requests are split."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from headrace.domain.evidence import Evidence, Exposure, Feedback
from tests.support.endpoint import Endpoint, serving
from tests.support.reference_docs import DOCS, copy_project
from tests.support.split_flow import wait_until

PAGE = (DOCS / "splitting-traffic.md").read_text(encoding="utf-8")
ADDRESS = "localhost:8080"


def lines(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in lines("sh") for line in block.splitlines()]
CALLS = [line for line in COMMANDS if line.startswith("curl ")]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("traffic")
    copy_project(folder)
    (serve,) = (line for line in COMMANDS if line not in CALLS)
    words = shlex.split(serve)
    assert words[:4] == ["headrace", "flow", "serve", "--traffic"]
    with serving(folder, {}, [], traffic=words[4:]) as found:
        yield found


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("command", CALLS)
def test_commands_of_the_page_are_answered(endpoint: Endpoint, command: str) -> None:
    words = shlex.split(command.replace(ADDRESS, f"127.0.0.1:{endpoint.port}"))
    done = subprocess.run(
        [*words, "--fail", "--silent", "--max-time", "30"], check=True, capture_output=True, text=True
    )
    assert "x-headrace-arm: " in done.stdout or "--include" not in words


def test_python_of_the_page_is_counted(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = lines("python")
    exec(code.replace(ADDRESS, f"127.0.0.1:{endpoint.port}"), {})  # noqa: S102 - the page's own code
    arm, exposure = capsys.readouterr().out.split()
    assert arm in {"zero_shot", "few_shot"}

    def kept() -> list[Evidence]:
        return [item.evidence for item in endpoint.workspace.store.read_arrivals("triage")]

    wait_until(lambda: exposure in {item.exposure for item in kept() if isinstance(item, Feedback)})
    assert exposure in {item.id for item in kept() if isinstance(item, Exposure)}
