"""The cache from the command line: switched on and off, explained, looked at and cleared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.cli.main import run_command_line

FLOW = """\
inputs:
  n: {type: int}
outputs:
  out: {type: int, reference: "${double.output}"}
nodes:
- {name: double, type: python, source: {type: code, path: double.py}, inputs: {n: "${inputs.n}"}}
- {name: fresh, type: python, source: {type: code, path: fresh.py}, inputs: {n: "${inputs.n}"}}
"""
TOOL = "from promptflow.core import tool\n\n\n@tool%s\ndef f(n: int) -> int:\n    return 2 * n\n"


class Done(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def headrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a folder with a flow and data."""
    for name, text in {
        "flow/flow.dag.yaml": FLOW,
        "flow/double.py": TOOL % "",
        "flow/fresh.py": TOOL % "(cache=False)",
        "data.jsonl": '{"n": 1}\n{"n": 2}\n',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)

    def call(*arguments: str) -> Done:
        code = run_command_line(arguments)
        return Done(code, *capsys.readouterr())

    return call


def run(headrace: Call, name: str, *more: str) -> None:
    done = headrace("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", name, *more)
    assert done.code == 0, done.err


def outcomes(headrace: Call, name: str) -> dict[str, str]:
    nodes = headrace("run", "explain", name, "1", "-o", "json").data["nodes"]
    return {node["node"]: node["outcome"] for node in nodes}


def test_a_run_uses_the_cache_when_it_is_asked_to(headrace: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    run(headrace, "first", "--cache")
    run(headrace, "second")
    run(headrace, "third", "--cache")
    monkeypatch.setenv("HEADRACE_CACHE", "on")
    run(headrace, "fourth")
    run(headrace, "fifth", "--no-cache")
    found = {
        name: outcomes(headrace, name)["double"] for name in ("first", "second", "third", "fourth", "fifth")
    }
    assert found == {
        "first": "executed",
        "second": "executed",
        "third": "cached",
        "fourth": "cached",
        "fifth": "executed",
    }
    assert outcomes(headrace, "fourth")["fresh"] == "executed"


def test_an_explanation_names_the_file_that_changed(headrace: Call) -> None:
    run(headrace, "first", "--cache")
    Path("flow/double.py").write_text(TOOL.replace("2 * n", "3 * n") % "", "utf-8")
    run(headrace, "second", "--cache")
    done = headrace("run", "explain", "second", "1", "--against", "first")
    assert done.code == 0
    assert "compared with first" in done.out
    assert "code changed (double.py)" in done.out
    assert "always called" in done.out
    refused = headrace("run", "explain", "second", "7")
    assert refused.code == 2
    assert "S805" in refused.err


def test_the_records_of_a_node_name_the_run_that_its_result_is_from(headrace: Call, tmp_path: Path) -> None:
    run(headrace, "first", "--cache")
    run(headrace, "second", "--cache", "--output", "out")
    text = next(tmp_path.joinpath("out").glob("**/node_artifacts/double/*0.jsonl")).read_text("utf-8")
    record = json.loads(text.splitlines()[0])
    assert record["run_info"]["cached_flow_run_id"] == "first"


def test_the_cache_can_be_looked_at_and_cleared(headrace: Call) -> None:
    assert headrace("cache", "show").data["results"] == 0
    run(headrace, "first", "--cache")
    run(headrace, "second", "--cache")
    shown = headrace("cache", "show").data
    assert (shown["results"], shown["uses"], shown["calls"]) == (2, 2, 0)
    assert shown["oldest"] <= shown["newest"]
    assert headrace("cache", "clear").code == 2  # nobody is there to say yes
    assert headrace("cache", "clear", "--unused-for", "1", "--yes").out == "Forgot 0 kept results.\n"
    assert headrace("cache", "clear", "-y").out == "Forgot 2 kept results.\n"
    run(headrace, "third", "--cache")
    assert outcomes(headrace, "third")["double"] == "executed"
