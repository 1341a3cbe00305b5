from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.domain.override import override_text, read_override
from headrace.errors import UsageError
from headrace.formats.flow_file import load_flow
from headrace.planning.override import apply_overrides

FLOW = """\
inputs: {q: {type: string}}
nodes:
- name: find
  type: python
  source: {type: code, path: find.py}
  inputs: {q: "${inputs.q}", top_k: 3}
- name: short
  type: llm
  source: {type: code, path: a.jinja2}
  inputs: {deployment_name: small, temperature: 1.0}
  connection: here
  api: chat
- name: long
  type: llm
  source: {type: code, path: a.jinja2}
  inputs: {deployment_name: large}
  connection: here
  api: chat
"""
PROMPTY = """\
---
name: ask
model:
  api: chat
  configuration: {type: azure_openai, connection: here, azure_deployment: small}
  parameters: {temperature: 1.0}
inputs: {q: {type: string}}
---
user:
{{q}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.dag.yaml").write_text(FLOW, "utf-8")
    (tmp_path / "ask.prompty").write_text(PROMPTY, "utf-8")
    return tmp_path


def test_a_star_is_every_llm_node_and_no_other(folder: Path) -> None:
    flow = apply_overrides(load_flow(folder), {"*.temperature": "0", "find.top_k": "5"})
    found = {node.name: (node.inputs.get("temperature"), node.inputs.get("top_k")) for node in flow.nodes}
    assert found == {"find": (None, 5), "short": (0, None), "long": (0, None)}


def test_a_connection_of_an_llm_node_is_no_input(folder: Path) -> None:
    flow = apply_overrides(load_flow(folder), {"short.connection": "0", "short.deployment_name": "5"})
    node = flow.node("short")
    assert node is not None
    assert (node.connection, node.inputs["deployment_name"], "connection" in node.inputs) == ("0", "5", False)


def test_a_prompty_takes_parameters_and_its_connection(folder: Path) -> None:
    flow = apply_overrides(
        load_flow(folder / "ask.prompty"), {"*.temperature": "0.5", "*.connection": "there"}
    )
    assert flow.prompt is not None
    assert flow.prompt.parameters["temperature"] == 0.5
    assert flow.prompt.configuration["connection"] == "there"


@pytest.mark.parametrize("text", ["nothing.top_k", "top_k", "find."])
def test_what_names_no_field_of_a_node_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        apply_overrides(load_flow(folder), {text: "1"})
    assert raised.value.problems[0].code == "C507"


def test_a_star_stands_for_nothing_in_a_flow_without_llm_nodes(folder: Path) -> None:
    (folder / "flow.dag.yaml").write_text(FLOW.partition("- name: short")[0], "utf-8")
    with pytest.raises(UsageError) as raised:
        apply_overrides(load_flow(folder), {"*.temperature": "1"})
    assert raised.value.problems[0].code == "C507"


@pytest.mark.parametrize(
    "value",
    ["5", "plain", "NaN", '"quoted"', "", "a: b", "null", 5, 0.5, True, None, [1, "2"], {"a": 1}, "ß"],
)
def test_a_value_and_its_text_are_the_same(value: Any) -> None:
    assert read_override("top_k", override_text("top_k", value)) == value


@pytest.mark.parametrize("name", ["5", "true", "gpt-4o"])
def test_a_name_is_a_name_whatever_it_looks_like(name: str) -> None:
    assert override_text("deployment_name", name) == name
    assert read_override("deployment_name", name) == name
