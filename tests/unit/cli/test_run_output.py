"""``headrace run create --output`` and ``headrace run export``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

FLOW = """\
inputs: {text: {type: string}}
outputs: {said: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {text: "${inputs.text}"}}
"""
CREATE = "run create --flow flow --data data.jsonl"

Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a folder with a flow and data; returns exit code, output and error output."""
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (tmp_path / "flow" / "say.jinja2").write_text("{{text}}!", encoding="utf-8")
    (tmp_path / "data.jsonl").write_text('{"text": "é"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(line: str) -> tuple[int, str, str]:
        code = run_command_line(line.split(), Session(tmp_path, {"HOME": str(tmp_path)}))
        return code, *capsys.readouterr()

    return call


def test_a_run_is_written_when_it_ends_and_says_where(run: Call, tmp_path: Path) -> None:
    code, out, _ = run(f"{CREATE} --name first --output out/first")
    folder = tmp_path / "out" / "first" / "flow_outputs"
    assert (code, json.loads(out)["output"]) == (0, str(folder))
    assert (folder / "output.jsonl").read_text(encoding="utf-8") == '{"line_number": 0, "said": "é!"}\n'
    assert json.loads(run("run show --name first")[1])["output"] == str(folder)


def test_nothing_is_run_when_the_folder_holds_something_else(run: Call, tmp_path: Path) -> None:
    code, _, err = run(f"{CREATE} --name first --output flow")
    assert code == 2
    assert "error[C513 folder-in-use]" in err
    assert run("run show --name first")[0] == 2


def test_a_run_is_exported_again_over_its_own_export_only(run: Call) -> None:
    assert run(f"{CREATE} --name first --output out")[0] == 0
    assert run(f"{CREATE} --name second")[0] == 0
    code, out, _ = run("run export --name first --output out")
    assert (code, out) == (0, "out\n")
    assert run("run export --name second --output out")[0] == 2
