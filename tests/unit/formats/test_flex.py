from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.domain.flow import FLEX, NO_DEFAULT, Flow
from headrace.errors import Problem
from headrace.formats.flow_file import load_flow, read_flow
from headrace.formats.includes import code_folder
from headrace.operations.read_version import flow_digest


def read(folder: Path, text: str, **files: str) -> tuple[Flow | None, tuple[Problem, ...]]:
    (folder / "flow.flex.yaml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return read_flow(folder)


def read_whole(folder: Path, text: str, **files: str) -> Flow:
    flow, problems = read(folder, text, **files)
    assert flow is not None
    assert [problem.headline() for problem in problems if problem.severity == "error"] == []
    return flow


def test_an_entry_is_enough(tmp_path: Path) -> None:
    flow = read_whole(tmp_path, "entry: triage:classify\n")
    assert (flow.kind, flow.entry, flow.name, flow.folder) == (
        FLEX,
        "triage:classify",
        tmp_path.name,
        str(tmp_path),
    )
    assert (flow.inputs, flow.outputs, flow.init, flow.sample) == ({}, {}, {}, {})
    (node,) = flow.nodes
    assert (node.name, node.type, node.source.type) == ("classify", "flex", "code")


def test_everything_that_the_file_says_is_read(tmp_path: Path) -> None:
    text = """
$schema: x
entry: pkg.triage:Triage
display_name: Triage
type: evaluation
inputs:
  text: {type: string, description: a message}
  n: {type: int, default: 3}
outputs:
  label: {type: string}
init:
  model_config: {type: AzureOpenAIModelConfiguration}
  connection: {type: CustomConnection}
  limit: {type: double, default: 0.5}
sample:
  inputs: {text: late}
  init: {limit: 2}
environment: {python_requirements_txt: requirements.txt}
environment_variables: {REGION: eu, MANY: [1, 2]}
additional_includes: [../shared]
tags: {a: b}
"""
    flow = read_whole(tmp_path, text)
    assert {name: (item.type, item.default) for name, item in flow.inputs.items()} == {
        "text": ("string", NO_DEFAULT), "n": ("int", 3),
    }  # fmt: skip
    assert flow.inputs["text"].description == "a message"
    assert list(flow.outputs) == ["label"]
    assert {name: item.type for name, item in flow.init.items()} == {
        "model_config": "AzureOpenAIModelConfiguration", "connection": "CustomConnection", "limit": "double",
    }  # fmt: skip
    assert (flow.sample, flow.sample_init) == ({"text": "late"}, {"limit": 2})
    assert flow.environment_variables == {"REGION": "eu", "MANY": "[1, 2]"}
    assert (flow.additional_includes, flow.type) == (
        ("../shared",),
        "evaluation",
    )


def test_the_sample_may_stand_in_files(tmp_path: Path) -> None:
    values = {"inputs": {"text": "é"}, "init": {"k": [1]}}
    flow = read_whole(tmp_path, "entry: m:f\nsample: ${file:s.json}\n", s__json=json.dumps(values))
    assert (flow.sample, flow.sample_init) == ({"text": "é"}, {"k": [1]})
    flow = read_whole(
        tmp_path, "entry: m:f\nsample:\n  inputs:\n    text: ${file:t.txt}\n", t__txt="long text"
    )
    assert flow.sample == {"text": "long text"}


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "what"),
    [
        ("entry:\n", "F006", 1, 7, "entry"),
        ("entry: [a]\n", "F005", 1, 8, "should be text"),
        ("entry: m:C.f\n", "F016", 1, 8, "'m:C.f'"),
        ("entry: m:f\nlanguage: csharp\n", "F010", 2, 11, "Python flows only"),
        ("entry: m:f\ncode: nowhere\n", "F001", 2, 7, "nowhere"),
        ("entry: m:f\ninputs:\n  a: {type: str}\n", "F007", 3, 13, "'str'"),
        ("entry: m:f\ninputs:\n  a: {default: 1}\n", "F006", 3, 6, "inputs.a"),
        ("entry: m:f\ninputs:\n  a: 1\n", "F005", 3, 6, "a mapping"),
        ("entry: m:f\ninputs:\n  a: {type: OpenAIConnection}\n", "F007", 3, 13, "OpenAIConnection"),
        ("entry: m:f\ninit:\n  a: {type: OpenAIConection}\n", "F007", 3, 13, "OpenAIConection"),
        ("entry: m:f\nsample: {text: a}\n", "F012", 2, 10, "'text'"),
        ("entry: m:f\nsample:\n  inputs: ${file:none.json}\n", "F001", 3, 11, "none.json"),
    ],
)
def test_what_is_wrong_has_its_place(
    text: str, code: str, line: int, column: int, what: str, tmp_path: Path
) -> None:
    _, problems = read(tmp_path, text)
    errors = [problem for problem in problems if problem.severity == "error"]
    assert [problem.code for problem in errors] == [code]
    assert errors[0].span is not None
    assert (errors[0].span.line, errors[0].span.column) == (line, column)
    assert what in errors[0].what


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    _, problems = read(tmp_path, "entry: m.f\ninputs: {a: {type: text}}\ninits: {}\nsample: 3\n")
    assert [problem.code for problem in problems] == ["F016", "F007", "F012", "F005"]


def test_code_names_the_folder_of_the_modules(tmp_path: Path) -> None:
    (tmp_path / "flow" / "src").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    flow = read_whole(tmp_path / "flow", "entry: m:f\ncode: src\n")
    assert code_folder(flow, tmp_path / "copy") == tmp_path / "copy" / "src"
    outside = read_whole(tmp_path / "flow", "entry: m:f\ncode: ../shared\n")
    assert code_folder(outside, tmp_path / "copy") == tmp_path / "shared"
    before = flow_digest(outside)
    (tmp_path / "shared" / "m.py").write_text("def f(): ...\n", encoding="utf-8")
    assert flow_digest(outside) != before


@pytest.mark.parametrize(
    ("entry", "file", "source"),
    [("m:f", "m.py", "m.py"), ("pkg.m:f", "pkg", "pkg/m.py"), ("pkg:f", "pkg", "pkg")],
)
def test_an_entry_needs_no_file(entry: str, file: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "m.py").write_text("def f(): ...\n", encoding="utf-8")
    flow = load_flow(tmp_path / entry)
    assert (flow.entry, flow.folder, flow.kind) == (entry, str(tmp_path), FLEX)
    assert flow.file == str(tmp_path / file)
    assert flow.source_map.file == str(tmp_path / source)
    assert len(flow_digest(flow)) == 64


def test_a_file_that_is_called_like_an_entry_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "m:f").mkdir()
    _, problems = read_flow(tmp_path / "m:f")
    assert [problem.code for problem in problems] == ["F004"]
