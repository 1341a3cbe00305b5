"""Everything that is wrong with a flow, said at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.errors import Problem
from headrace.operations.check_flow import check_flow
from headrace.operations.workspace import open_workspace

MANY = {
    "flow/flow.dag.yaml": """\
additional_includes: [../shared.py]
environment: {}
inputs:
  text: {type: string}
  n: {type: integer}
  count: {type: int, default: many}
outputs:
  a: {type: string, reference: "${nothing.output}"}
  b: {type: strng, reference: "${one.output}"}
  c: {type: string, reference: ""}
nodes:
- {name: one, type: python, source: {type: code, path: one.py}, inputs: {x: "${two.output}", y: 5, z: abc}}
- {name: two, type: python, source: {type: code, path: two.py}, inputs: {a: "${one.output}"}}
- {name: two, type: python, source: {type: code, path: two.py}}
- {name: gone, type: python, source: {type: code, path: gone.py}}
- {name: shared, type: python, source: {type: code, path: shared.py}}
- {name: tpl, type: prompt, source: {type: code, path: bad.jinja2}}
- {name: pkg, type: python, source: {type: package, tool: no.such.tool}}
- {name: net, type: csharp, source: {type: code, path: a.cs}}
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: incomplete
  api: chat
  inputs:
    deployment_name: d
    tools: '[{"type": "function"'
    response_format: '{"type": '
    text: ${inputs.txt}
- name: again
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: no_key
  api: chat
  inputs: {deployment_name: d, tools: [{type: function}], response_format: json, logit_bias: '[]x', text: a}
- {name: agg, type: python, source: {type: code, path: two.py}, aggregation: true, inputs: {a: "${one.output}"}}
- {name: after, type: python, source: {type: code, path: two.py}, inputs: {a: "${agg.output}"}}
- {name: loop, type: prompt, source: {type: code, path: ok.jinja2}, activate: {when: "${back.output}", is: 1}}
- {name: back, type: prompt, source: {type: code, path: ok.jinja2}, activate: {when: "${loop.output}", is: 1}}
- {name: inputs, type: prompt, source: {type: code, path: ok.jinja2}}
- {name: half, type: prompt, source: {type: code, path: ok.jinja2}, activate: {when: "${back.output}"}}
- {name: bare, type: python}
- {name: none, type: python, source: {type: code, path: none.py}}
- {name: mods, type: python, source: {type: code, path: mods.py}}
tags: {a: 1, a: 2}
""",
    "flow/one.py": "from promptflow.core import tool\n@tool\ndef one(x, z: int): ...\n",
    "flow/two.py": "from promptflow.core import tool\n@tool\ndef two(a: str): ...\n",
    "flow/bad.jinja2": "{% if %}",
    "flow/ok.jinja2": "x",
    "flow/ask.jinja2": "system:\n{{text}} {{user}}",
    "flow/none.py": "def f(): ...\n",
    "flow/mods.py": "import nothing_like_it\n",
    ".headrace/connections/incomplete.yaml": "type: azure_open_ai\napi_bas: https://a.example\n",
    ".headrace/connections/no_key.yaml": "type: azure_open_ai\napi_base: https://a.example\napi_key: <user-input>\n",
}
FOUND = """\
.headrace/connections/incomplete.yaml:1:1 C502
.headrace/connections/incomplete.yaml:2:1 C502
flow/bad.jinja2:1:1 F009
flow/flow.dag.yaml:1:23 F001
flow/flow.dag.yaml:5:13 F007
flow/flow.dag.yaml:6:31 T201 warning
flow/flow.dag.yaml:8:32 R102
flow/flow.dag.yaml:9:13 F007
flow/flow.dag.yaml:10:32 F006
flow/flow.dag.yaml:12:10 R104
flow/flow.dag.yaml:12:94 T204
flow/flow.dag.yaml:12:103 T203
flow/flow.dag.yaml:14:10 F008
flow/flow.dag.yaml:15:57 F001
flow/flow.dag.yaml:18:59 T207
flow/flow.dag.yaml:19:21 F010
flow/flow.dag.yaml:27:12 T203
flow/flow.dag.yaml:28:22 T203
flow/flow.dag.yaml:29:11 R103
flow/flow.dag.yaml:33:15 C503
flow/flow.dag.yaml:32:30 T208
flow/flow.dag.yaml:35:39 T203
flow/flow.dag.yaml:35:76 T203
flow/flow.dag.yaml:35:94 T203
flow/flow.dag.yaml:37:79 R105
flow/flow.dag.yaml:38:10 R104
flow/flow.dag.yaml:40:10 F020 warning
flow/flow.dag.yaml:41:79 F006
flow/flow.dag.yaml:42:3 F006
flow/flow.dag.yaml:45:14 F003
flow/mods.py:1:1 T206
flow/none.py:1:1 T206
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / ".headrace").mkdir()
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def check(folder: Path, flow: str = "flow") -> tuple[Problem, ...]:
    with open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as workspace:
        return check_flow(workspace, Path(flow))


def test_many_mistakes_are_said_at_once_each_with_its_place_and_a_fix(folder: Path) -> None:
    write(folder, MANY)
    problems = check(folder)
    found = sorted(
        f"{str(p.span).removeprefix(f'{folder}/')} {p.code}{' warning' * (p.severity == 'warning')}"
        for p in problems
    )
    assert "\n".join(found) == "\n".join(sorted(FOUND.splitlines()))
    assert all(p.fix for p in problems)


def model_flow(connection: str, **inputs: str) -> Mapping[str, str]:
    lines = "".join(f"    {name}: {value}\n" for name, value in inputs.items())
    return {
        "flow/flow.dag.yaml": "nodes:\n- name: ask\n  type: llm\n  source: {type: code, path: a.jinja2}\n"
        f"  connection: {connection}\n  api: chat\n  inputs:\n    model: m\n{lines}",
        "flow/a.jinja2": "user:\nhi",
        ".headrace/connections/open.yaml": "type: open_ai\napi_key: k\n",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_format", "{type: json_object}"),
        ("response_format", '\'{"type": "text"}\''),
        ("response_format", "{}"),
        ("tool_choice", "auto"),
        ("function_call", "{name: f}"),
        ("logit_bias", "{'1': 2}"),
        ("tools", "''"),
        ("tools", "[{type: function, function: {name: f, parameters: {type: object, properties: {}}}}]"),
    ],
)
def test_what_a_service_takes_is_no_problem(folder: Path, name: str, value: str) -> None:
    write(folder, model_flow("open", **{name: value}))
    assert check(folder) == ()


@pytest.mark.parametrize(
    ("name", "value", "what", "severity"),
    [
        ("response_format", "{type: json_schema}", "needs json_schema", "error"),
        ("response_format", "[1]", "must be a mapping with type", "error"),
        ("logit_bias", "[1]", "must be a mapping", "error"),
        ("tool_choice", "any", "auto, none, required", "warning"),
        ("functions", "[{name: f}]", "name and parameters", "warning"),
    ],
)
def test_what_a_service_refuses_is_seen_before_it_is_asked(
    folder: Path, name: str, value: str, what: str, severity: str
) -> None:
    write(folder, model_flow("open", **{name: value}))
    (problem,) = check(folder)
    assert (problem.code, problem.severity) == ("T203", severity)
    assert what in problem.what


def test_an_address_that_is_none_is_seen_before_it_is_asked(folder: Path) -> None:
    write(folder, model_flow("open"))
    write(folder, {".headrace/connections/open.yaml": "type: open_ai\napi_key: k\nbase_url: localhost:1\n"})
    (problem,) = check(folder)
    assert (problem.code, problem.span and problem.span.line) == ("C502", 5)


def test_a_model_that_no_key_protects_is_no_problem(folder: Path) -> None:
    write(folder, model_flow("baseline"))
    assert check(folder) == ()


def test_files_of_a_missing_folder_are_not_missed_once_more(folder: Path) -> None:
    flow = """\
additional_includes: [../lib]
nodes:
- {name: a, type: prompt, source: {type: code, path: lib/a.jinja2}}
- {name: b, type: prompt, source: {type: code, path: b.jinja2}}
"""
    write(folder, {"flow/flow.dag.yaml": flow})
    assert [p.span and p.span.line for p in check(folder)] == [1, 4]
