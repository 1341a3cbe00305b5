"""``headrace flow test``: what it takes and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

FLOW = """\
inputs: {name: {type: string, default: you}, n: {type: int, default: 1}}
outputs: {said: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {name: "${inputs.name}", n: "${inputs.n}"}}
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Test the flow with further arguments; returns exit code, output and error output."""
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    (tmp_path / "flow" / "say.jinja2").write_text("{{n}} x {{name}}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        session = Session(tmp_path, {"HOME": str(tmp_path)})
        code = run_command_line(("flow", "test", "--flow", "flow", *arguments), session)
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("option", ["--inputs", "--input"])
@pytest.mark.parametrize(
    ("name", "text"),
    [("in.json", '{"name": "é", "n": 2}'), ("in.jsonl", '{"name": "é", "n": 2}\n{"n": 3}\n')],
)
def test_inputs_are_read_from_files(run: Call, tmp_path: Path, option: str, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    code, out, _ = run(option, name)
    assert (code, json.loads(out)) == (0, {"said": "2 x é"})


def test_records_go_where_detail_says_from_the_working_directory(run: Call, tmp_path: Path) -> None:
    assert run("--detail", "deep/er")[0] == 0
    assert {file.name for file in (tmp_path / "deep" / "er").iterdir()} == {
        "flow.detail.json",
        "flow.output.json",
        "flow.log",
    }
    assert not (tmp_path / "flow" / ".promptflow").exists()


def test_what_only_prompt_flow_needs_is_accepted(run: Call) -> None:
    code, out, err = run("--config", "connection.provider=local", "a=b", "--collection", "mine")
    assert (code, json.loads(out), err) == (0, {"said": "1 x you"}, "")


def test_an_input_that_the_node_does_not_take_is_a_warning(run: Call) -> None:
    code, out, err = run("--node", "say", "--inputs", "name=me", "nmae=me")
    assert (code, out) == (0, "1 x me\n")
    assert "warning[T204 unknown-parameter]" in err
    assert "'nmae'" in err


def test_a_flow_whose_folder_cannot_be_written_is_tested_all_the_same(run: Call, tmp_path: Path) -> None:
    (tmp_path / "flow" / ".promptflow").write_text("", encoding="utf-8")
    code, out, err = run()
    assert (code, json.loads(out)) == (0, {"said": "1 x you"})
    assert "warning[S814 test-not-recorded]" in err
