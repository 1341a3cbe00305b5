"""The verbs of pf beside testing and running, as a person types them: settings, traces, tools, builds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

FLOW = """\
inputs: {n: {type: int}}
outputs: {r: {type: int, reference: "${work.output}"}}
nodes:
- {name: work, type: python, source: {type: code, path: work.py}, inputs: {n: "${inputs.n}"}}
"""
WORK = "from promptflow.core import tool\n\n\n@tool\ndef work(n: int) -> int:\n    return n * 10\n"


class Done(NamedTuple):
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "flow.dag.yaml").write_text(FLOW)
    (tmp_path / "flow" / "work.py").write_text(WORK)
    (tmp_path / "data.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


@pytest.fixture
def headrace(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> Done:
        code = run_command_line(arguments, Session(folder, {"HOME": str(folder / "home")}))
        return Done(code, *capsys.readouterr())

    return call


def test_runs_are_written_where_the_settings_say(headrace: Call, folder: Path) -> None:
    assert headrace("config", "show").data == {}
    done = headrace("config", "set", "run.output_path=${flow_directory}/.runs", "telemetry.enabled=false")
    assert done.code == 0
    assert done.out == f"Set run.output_path, telemetry.enabled in {folder}/home/.promptflow/pf.yaml.\n"
    assert "telemetry.enabled is kept and has no effect here" in done.err
    assert headrace("config", "show").data["run"] == {"output_path": "${flow_directory}/.runs"}
    run = headrace("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "first")
    assert run.code == 0
    written = folder / "flow" / ".runs" / "first"
    assert run.data["output"] == str(written / "flow_outputs")
    lines = (written / "flow_outputs" / "output.jsonl").read_text().splitlines()
    assert [json.loads(line)["r"] for line in lines] == [10, 20]
    other = headrace(
        "run", "create", "--flow", "flow", "--data", "data.jsonl", "-n", "other", "--output", "out"
    )
    assert other.data["output"] == str(folder / "out" / "flow_outputs")


def test_settings_of_a_folder(headrace: Call, folder: Path) -> None:
    assert headrace("config", "set", "foo=1", "--path", ".").code == 0
    assert (folder / "pf.yaml").read_text() == "foo: '1'\n"
    assert headrace("config", "set", "nonsense").code == 2
    assert headrace("config", "set").code == 2


def test_spans_are_deleted_by_run_or_by_flow(headrace: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        headrace("run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", name)
    assert headrace("trace", "delete", "--run", "first", "-y").out == "Deleted 2 traces.\n"
    assert headrace("run", "trace", "--name", "first").code == 2
    assert headrace("run", "show-details", "--name", "first", "-o", "json").code == 0
    old = headrace("trace", "delete", "--collection", "flow", "--started-before", "2020-01-31", "-y")
    assert old.out == "Deleted 0 traces.\n"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert headrace("trace", "delete", "--collection", "flow").err == "Nothing was deleted.\n"
    assert headrace("trace", "delete", "--collection", "flow", "--yes").out == "Deleted 2 traces.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--run", "a", "--collection", "b"),
        ("--run", "a", "--started-before", "2020-01-31"),
        ("--started-before", "2020-01-31"),
        ("--collection", "flow", "--started-before", "yesterday"),
        ("--run", "unknown"),
    ],
)
def test_traces_have_to_be_named(headrace: Call, arguments: tuple[str, ...]) -> None:
    done = headrace("trace", "delete", *arguments, "--yes")
    assert (done.code, done.out) == (2, "")


def test_tools_of_a_flow_and_tools_by_themselves(headrace: Call, folder: Path) -> None:
    listed = headrace("tool", "list", "--flow", "flow")
    assert listed.code == 0
    assert listed.data["code"]["work.py"]["inputs"] == {"n": {"type": ["int"]}}
    made = headrace("tool", "init", "--tool", "count", "--set", 'tags={"a": "b"}', "category=[text")
    assert (made.code, made.out) == (0, "count.py\n")
    assert "tags={'a': 'b'}" in (folder / "count.py").read_text()
    assert headrace("tool", "validate", "--source", "count.py").data == {
        "result": "Succeeded",
        "total_count": 1,
        "invalid_count": 0,
    }
    (folder / "bad.py").write_text(WORK.replace("@tool", "@tool(category=3)"))
    bad = headrace("tool", "validate", "--source", "bad.py")
    assert (bad.code, bad.data["result"]) == (3, "Failed")
    assert bad.data["errors"][0]["function_name"] == "work"
    (folder / "none.py").write_text("")
    none = headrace("tool", "validate", "--source", "none.py")
    assert (none.code, none.err) == (0, "none.py holds no function with @tool.\n")
    (folder / "flow" / "work.py").write_text("")
    assert headrace("tool", "list", "--flow", "flow").code == 3


def test_a_flow_is_packed(headrace: Call, folder: Path) -> None:
    (folder / "flow" / ".env").write_text("A=1")
    done = headrace("flow", "build", "--source", "flow", "--output", "out")
    assert done.code == 0
    assert re.fullmatch(r"Built flow@[0-9a-f]{12} in out\.\n", done.out)
    assert done.err == "Left out, because they may hold secrets: .env.\n"
    assert (folder / "out" / "Dockerfile").exists()
    refused = headrace("flow", "build", "--source", "flow", "--output", "x", "--format", "executable")
    assert refused.code == 2
    assert "Use --format docker" in refused.err


def test_a_flow_is_made_around_a_function(headrace: Call, folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "mine.py").write_text(
        "from promptflow.connections import OpenAIConnection\n\n\n"
        "def go(text: str, model: OpenAIConnection, more=None):\n    return text\n"
    )
    done = headrace("flow", "init", "--flow", "mine", "--entry", "mine.py", "--function", "go")
    assert done.code == 0
    assert "These keep the default of go: more." in done.err
    assert "It uses a connection named open_ai_connection" in done.err
    assert "--inputs text=VALUE" in done.err
    assert headrace("flow", "init", "--flow", "mine", "--entry", "mine.py").code == 2
    assert headrace("flow", "init", "--flow", "mine", "--prompt-template", "a=b").code == 2


def test_a_chain_of_flows_is_tried_created_and_run(headrace: Call, folder: Path) -> None:
    (folder / "chain.yaml").write_text(
        "data: [{name: d, path: data.jsonl}]\n"
        "nodes:\n- {name: a, type: flow, path: flow, inputs: {n: '${data.d.n}'}}\n"
        "- {name: b, type: flow, path: flow, inputs: {n: '${a.outputs.r}'}}\n"
    )
    assert headrace("experiment", "test", "--template", "chain.yaml").data == {
        "a": {"r": 10},
        "b": {"r": 100},
    }
    assert (
        headrace("experiment", "create", "--template", "chain.yaml", "-n", "mine").data["status"]
        == "NotStarted"
    )
    ended = headrace("experiment", "start", "-n", "mine")
    assert (ended.code, ended.data["status"], list(ended.data["node_runs"])) == (0, "Terminated", ["a", "b"])
    assert headrace("experiment", "show", "-n", "mine").data == ended.data
    direct = headrace("experiment", "start", "--template", "chain.yaml", "--name", "other", "--stream")
    assert direct.code == 0
    assert [item["name"] for item in headrace("experiment", "list", "-r", "1").data] == ["other"]
    assert headrace("experiment", "stop", "--file", "mine.yaml").code == 2
    assert headrace("experiment", "stop").code == 2
    assert headrace("experiment", "start").code == 2
    (folder / "flow" / "work.py").write_text(WORK.replace("n * 10", "n // 0"))
    failed = headrace("experiment", "test", "--template", "chain.yaml")
    assert (failed.code, failed.data) == (1, {})
    assert headrace("experiment", "start", "-n", "mine").code in (1, 3)


def test_what_pf_has_and_headrace_has_not_is_answered_with_what_to_do(headrace: Call) -> None:
    for arguments in (("service", "start"), ("upgrade",)):
        done = headrace(*arguments)
        assert done.code == 2
        assert "is a command of pf" in done.err
