from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.flow import PROMPTY, Flow
from headrace.errors import Problem
from headrace.formats.flow_file import read_flow

HEAD = """---
name: Classifier
model:
  api: chat
  configuration: {type: openai, model: m, api_key: k}
  parameters: {temperature: 0}
inputs:
  text: {type: string}
---
"""
BODY = "system:\nAnswer.\n\nuser:\n{{text}}\n"


def write(folder: Path, text: str, name: str = "ask.prompty") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def read(folder: Path, text: str, **options: Any) -> tuple[Flow, list[Problem]]:
    """A prompty that can be read, and what was found."""
    flow, problems = read_flow(write(folder, text), **options)
    assert flow is not None, [problem.what for problem in problems]
    return flow, list(problems)


def found(folder: Path, text: str, **options: Any) -> list[tuple[str, int, int]]:
    """Code, line and column of every problem."""
    _, problems = read_flow(write(folder, text), **options)
    return [(item.code, item.span.line, item.span.column) for item in problems if item.span]


def with_model(block: str) -> str:
    return f"---\nmodel:\n{block}inputs:\n  text: {{type: string}}\n---\n{BODY}"


def test_a_prompty_is_a_flow_of_one_node(tmp_path: Path) -> None:
    flow, problems = read(tmp_path, HEAD + BODY)
    assert problems == []
    assert (flow.kind, flow.name, flow.folder) == (PROMPTY, "Classifier", str(tmp_path))
    assert [(node.type, node.source.path, node.api) for node in flow.nodes] == [
        ("prompty", "ask.prompty", "chat")
    ]
    assert {name: value.text for name, value in flow.nodes[0].inputs.items()} == {"text": "${inputs.text}"}
    assert flow.inputs["text"].type == "string"
    assert flow.prompt is not None
    assert flow.prompt.template == BODY
    assert flow.prompt.parameters == {"temperature": 0}


@pytest.mark.parametrize(
    "text",
    [
        (HEAD + BODY).replace("\n", "\r\n"),
        "\ufeff" + HEAD + BODY,
        "A word before.\n" + HEAD + BODY,
        HEAD.replace("---\n", "-----\n") + BODY,
        HEAD.replace("---\n", "--- \n") + BODY,
        HEAD + BODY + "a\n---\nb\n",
        HEAD + BODY + "|a|b|\n|---|---|\n",
        HEAD.replace("name: Classifier", "name: Classifier\ndescription: x ---") + BODY,
    ],
    ids=["crlf", "mark", "before", "five", "blank", "rule in the body", "table in the body", "in a text"],
)
def test_the_front_matter_stands_between_the_first_two_lines_of_dashes(tmp_path: Path, text: str) -> None:
    flow, problems = read(tmp_path, text)
    assert problems == []
    assert flow.prompt is not None
    assert flow.prompt.template.startswith(BODY)


def test_a_key_is_not_printed(tmp_path: Path) -> None:
    flow, _ = read(tmp_path, HEAD.replace("api_key: k", "api_key: sesame") + BODY)
    assert "sesame" not in repr(flow)


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    flow, _ = read(tmp_path, "above\n" + HEAD + BODY)
    place = flow.source_map.key_span(("inputs", "text"))
    assert (place.line, place.column) == (9, 3)
    assert flow.prompt is not None
    assert flow.prompt.first_line == 11
    assert found(tmp_path, HEAD + "user:\n{{text}}\n{% if %}\n") == [("F009", 12, 1)]
    assert found(tmp_path, HEAD.replace("temperature: 0", "temperature: [") + BODY) == [("F002", 6, 30)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BODY, ("F015", 1, 1)),
        ("", ("F015", 1, 1)),
        ("a\n---\nname: x\n", ("F015", 2, 1)),
        ("---\n---\n" + BODY, ("F005", 1, 1)),
        ("---\n- a\n---\n" + BODY, ("F005", 2, 1)),
        ("---\nname: x\nname: y\nmodel: 1\n---\n" + BODY, ("F003", 3, 1)),
        ("---\nname: x\n---\nuser:\nhello\n", ("F006", 2, 1)),
        ("---\nmodel: gpt\n---\nuser:\nhello\n", ("F005", 2, 8)),
        (with_model("  configuration: {type: openai, model: m}\n"), ("F006", 3, 3)),
        (with_model("  configuration: {type: openai, model: m}\n  parameters:\n"), ("F006", 4, 14)),
        (with_model("  parameters: {}\n"), ("F006", 3, 3)),
        (with_model("  configuration:\n  parameters: {}\n"), ("F006", 3, 17)),
        (with_model("  configuration: {model: m}\n  parameters: {}\n"), ("F006", 3, 18)),
        (with_model("  configuration: {type: foo, model: m}\n  parameters: {}\n"), ("F007", 3, 25)),
        (with_model("  configuration: {type: openai, model: m}\n  parameters: [1]\n"), ("F005", 4, 15)),
        (HEAD.replace("{type: string}", "string") + BODY, ("F005", 8, 9)),
        (HEAD.replace("inputs:\n  text: {type: string}\n", "sample: file:no.json\n") + BODY, ("F001", 7, 9)),
        (HEAD.replace("inputs:\n  text: {type: string}\n", "sample: [1]\n") + BODY, ("F005", 7, 9)),
        (HEAD.replace("temperature: 0", "stop: '${file:no.txt}'") + BODY, ("F001", 6, 22)),
    ],
)  # fmt: skip
def test_mistakes_have_a_code_and_a_place(tmp_path: Path, text: str, problem: tuple[str, int, int]) -> None:
    assert problem in found(tmp_path, text)
    _, problems = read_flow(write(tmp_path, text))
    assert [item.severity for item in problems if item.code == problem[0]] == ["error"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD.replace("api: chat", "api: embed") + BODY, ("F007", 4, 8)),
        (HEAD.replace("api: chat", "response: some") + BODY, ("F007", 4, 13)),
        (HEAD.replace("name:", "namme:") + BODY, ("F012", 2, 1)),
        (HEAD.replace("model: m,", "model: m, x: y,") + BODY, ("F012", 5, 43)),
        (HEAD.replace("type: string", "type: strin") + BODY, ("F007", 8, 16)),
        (HEAD.replace("type: string", "default: a") + BODY, ("F006", 8, 3)),
        (HEAD.replace("inputs:", "sample: no.json\ninputs:") + BODY, ("F001", 7, 9)),
        (HEAD + BODY + "{{ other.name }}\n", ("R103", 15, 4)),
    ],
)
def test_what_prompt_flow_lets_pass_is_a_warning(
    tmp_path: Path, text: str, problem: tuple[str, int, int]
) -> None:
    _, problems = read(tmp_path, text)
    assert problem in found(tmp_path, text)
    assert {item.severity for item in problems} == {"warning"}


def test_other_keys_are_left_alone(tmp_path: Path) -> None:
    text = HEAD.replace("---\nname", "---\nauthors: [a]\nenvironment: x\nversion: 1\ntags: [t]\nname")
    assert read(tmp_path, text + BODY)[1] == []


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = HEAD.replace("type: openai", "type: foo").replace("temperature: 0", "t: '${file:x}'")
    codes = [code for code, _, _ in found(tmp_path, text + "{% if %}")]
    assert codes == ["F007", "F001", "F009"]


def test_a_variable_that_the_template_can_do_without_is_no_finding(tmp_path: Path) -> None:
    body = (
        BODY
        + "{% if a is defined %}{{a}}{% endif %}{{ b | default('') }}{% for i in range(2) %}{{i}}{% endfor %}"
    )
    assert read(tmp_path, HEAD + body)[1] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:WORD}", "set"),
        ("${ENV:WORD}", "set"),
        ("${env:WORD} tail", "set"),
        ("a ${env:WORD}", "a ${env:WORD}"),
        (" ${env:WORD}", " ${env:WORD}"),
        ("${env:OTHER}", "${env:OTHER}"),
        ("${env:EMPTY}", ""),
        ("${env: WORD }", "${env: WORD }"),
        ("${env:WORD} ${env:WORD}", "${env:WORD} ${env:WORD}"),
        ("${foo:WORD}", "${foo:WORD}"),
        ("${file:a.txt}", "line\n"),
        ("${file:a.json}", {"x": "${env:WORD}"}),
        ("${file:a.yaml}", {"x": "yes", "y": 12}),
    ],
)
def test_values_may_stand_elsewhere(tmp_path: Path, text: str, value: Any) -> None:
    write(tmp_path, "line\n", "a.txt")
    write(tmp_path, '{"x": "${env:WORD}"}', "a.json")
    write(tmp_path, "x: yes\ny: 012\n", "a.yaml")
    written = HEAD.replace("temperature: 0", f"stop: [{json.dumps(text)}, 1]")
    flow, _ = read(tmp_path, written + BODY, environment={"WORD": "set", "EMPTY": ""})
    assert flow.prompt is not None
    assert flow.prompt.parameters == {"stop": [value, 1]}


def test_without_an_environment_texts_stay_as_they_are_written(tmp_path: Path) -> None:
    flow, problems = read(tmp_path, HEAD.replace("Classifier", "${env:WORD}") + BODY)
    assert flow.name == "${env:WORD}"
    assert problems == []


def test_a_variable_that_is_not_set_is_a_warning(tmp_path: Path) -> None:
    text = HEAD.replace("api_key: k", "api_key: '${env:NO_KEY}'")
    assert found(tmp_path, text + BODY, environment={}) == [("F014", 5, 52)]


@pytest.mark.parametrize(
    ("content", "code"), [('{"text": ', "F005"), ("[1]", "F005"), ("[" * 100_000, "F005")]
)
def test_a_sample_file_that_holds_no_sample(tmp_path: Path, content: str, code: str) -> None:
    write(tmp_path, content, "s.json")
    text = HEAD.replace("inputs:\n  text: {type: string}\n", "sample: s.json\n")
    assert [item[0] for item in found(tmp_path, text + BODY)] == [code]


@pytest.mark.parametrize("sample", ["file:s.json", "s.json", "'${file:s.json}'", "{text: hello}"])
def test_a_sample_is_a_mapping_or_a_json_file(tmp_path: Path, sample: str) -> None:
    write(tmp_path, '{"text": "hello"}', "s.json")
    flow, problems = read(tmp_path, HEAD.replace("inputs:", f"sample: {sample}\ninputs:") + BODY)
    assert (flow.sample, problems) == ({"text": "hello"}, [])


def test_inputs_with_their_types_and_defaults(tmp_path: Path) -> None:
    inputs = "  n: {type: number}\n  d: {type: int, default: 3}\n  z: {type: string, default: null}\n"
    flow, problems = read(tmp_path, HEAD.replace("inputs:\n", "inputs:\n" + inputs) + BODY)
    assert problems == []
    assert {name: item.type for name, item in flow.inputs.items()} == {
        "n": "double", "d": "int", "z": "string", "text": "string",
    }  # fmt: skip
    assert [name for name, item in flow.inputs.items() if item.has_default] == ["d"]
    assert flow.prompt is not None
    assert flow.prompt.defaults == {"d": 3, "z": None}


@pytest.mark.parametrize("outputs", ["[a, b]", "{a: {type: string}, b: }"])
def test_outputs_are_names(tmp_path: Path, outputs: str) -> None:
    flow, problems = read(tmp_path, HEAD.replace("inputs:", f"outputs: {outputs}\ninputs:") + BODY)
    assert (list(flow.outputs), problems) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("overrides", "parameters", "name"),
    [
        ({"model": {"parameters": {"max_tokens": 5}}}, {"temperature": 0, "max_tokens": 5}, "Classifier"),
        ({"model": {"parameters": {"temperature": None}}}, {"temperature": None}, "Classifier"),
        ({"name": "Other"}, {"temperature": 0}, "Other"),
        ({"name": "${env:WORD}"}, {"temperature": 0}, "set"),
    ],
)
def test_overrides_are_merged_into_the_front_matter(
    tmp_path: Path, overrides: Mapping[str, Any], parameters: Mapping[str, Any], name: str
) -> None:
    flow, _ = read(tmp_path, HEAD + BODY, overrides=overrides, environment={"WORD": "set"})
    assert flow.prompt is not None
    assert (flow.prompt.parameters, flow.name) == (parameters, name)


def test_inputs_and_sample_are_read_also_where_the_model_is_of_no_use(tmp_path: Path) -> None:
    text = f"---\nmodel: {{api: chat}}\ninputs: {{text: 3}}\nsample: [1]\n---\n{BODY}"
    assert found(tmp_path, text) == [("F006", 2, 8), ("F006", 2, 8), ("F005", 3, 16), ("F005", 4, 9)]
