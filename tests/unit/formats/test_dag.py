"""Flow files: everything that prompt flow accepts is accepted, everything wrong is found at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.flow import NO_DEFAULT, Activate, Flow
from headrace.domain.reference import Reference
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import find_flow_file, load_flow, read_flow


def write(folder: Path, text: str, name: str = "flow.dag.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8", newline="")
    return file


def flow_of(tmp_path: Path, text: str) -> Flow:
    return load_flow(write(tmp_path, text).parent)


def problems_of(tmp_path: Path, text: str) -> tuple[Problem, ...]:
    return read_flow(write(tmp_path, text))[1]


FULL = """\
$schema: https://example.invalid/Flow.schema.json
name: Triage of mail
description: d
type: chat
language: python
message_format: openai-vision
tags: {team: ops}
environment: {python_requirements_txt: requirements.txt}
environment_variables: {REGION: eu, N: 5, YES: true, L: [1, a], KEY: "${conn.api_key}"}
additional_includes: [../shared/a.py]
inputs:
  question: {type: string, is_chat_input: true, description: the question}
  history: {type: list, default: [], is_chat_history: true}
  limit: {type: int, default: 0}
  nothing: {type: object, default: null}
outputs:
  answer: {type: string, reference: "${llm.output}", is_chat_output: true}
  score: {type: double, reference: "${grade.output.score[0]}", evaluation_only: true}
  fixed: {type: int, reference: 5}
nodes:
- name: llm
  use_variants: true
- name: grade
  type: python
  source: {type: code, path: sub/grade.py}
  inputs: {a: "${llm.output}", b: "${flow.question}", c: 012, d: "x ${llm.output}", e: ["${llm.output}"]}
  activate: {when: "${inputs.limit}", is: on}
  comment: text
  enable_cache: true
- name: total
  type: python
  source: {type: package, tool: pkg.tool}
  reduce: true
- name: custom
  type: custom_llm
  source: {type: package_with_prompt, tool: promptflow.tools.llm.llm, path: c.jinja2}
node_variants:
  llm:
    default_variant_id: short answers
    variants:
      short answers:
        node:
          type: llm
          source: {type: code, path: s.jinja2}
          connection: c
          api: chat
          provider: AzureOpenAI
          module: promptflow.tools.aoai
          inputs: {deployment_name: g, stop: "", max_tokens: "200"}
      2:
        description: long
        node: {type: prompt, source: {path: l.jinja2}}
"""


def test_reads_everything(tmp_path: Path) -> None:
    flow, problems = read_flow(write(tmp_path / "my flow & more", FULL).parent)
    assert problems == ()
    assert flow is not None
    assert (flow.name, flow.type, flow.title, flow.message_format) == (
        "my flow & more",
        "chat",
        "Triage of mail",
        "openai-vision",
    )
    assert flow.folder == str(tmp_path / "my flow & more")
    assert flow.file.endswith("my flow & more/flow.dag.yaml")
    assert flow.environment_variables == {
        "REGION": "eu",
        "N": "5",
        "YES": "True",
        "L": '[1, "a"]',
        "KEY": "${conn.api_key}",
    }
    assert flow.additional_includes == ("../shared/a.py",)
    question, history, limit, nothing = flow.inputs.values()
    assert (question.type, question.is_chat_input, question.description) == ("string", True, "the question")
    assert not question.has_default
    assert (history.default, history.is_chat_history, limit.default) == ([], True, 0)
    assert nothing.default is NO_DEFAULT
    assert flow.outputs["answer"].is_chat_output
    assert flow.outputs["score"].is_evaluation_only
    assert flow.outputs["score"].value.path == ("score", 0)
    assert flow.outputs["fixed"].value == 5


def test_reads_nodes_and_variants(tmp_path: Path) -> None:
    flow = flow_of(tmp_path, FULL)
    llm, grade, total, custom = flow.nodes
    assert (llm.name, llm.type, llm.connection, llm.api, llm.provider) == (
        "llm",
        "llm",
        "c",
        "chat",
        "AzureOpenAI",
    )
    assert llm.module == "promptflow.tools.aoai"
    assert llm.inputs == {"deployment_name": "g", "stop": "", "max_tokens": "200"}
    assert llm.pointer == ("node_variants", "llm", "variants", "short answers", "node")
    assert flow.node_variants["llm"].default == "short answers"
    assert list(flow.node_variants["llm"].variants) == ["short answers", "2"]
    assert flow.node_variants["llm"].variants["2"].name == "llm"
    assert grade.inputs["b"] == Reference(text="${flow.question}", kind="input", name="question")
    assert grade.inputs["c"] == 12
    assert grade.inputs["d"] == "x ${llm.output}"
    assert grade.inputs["e"] == ["${llm.output}"]
    assert grade.activate == Activate(
        when=Reference(text="${inputs.limit}", kind="input", name="limit"), equals="on"
    )
    assert (total.is_aggregation, total.source.tool, grade.is_aggregation) == (True, "pkg.tool", False)
    assert (custom.source.type, custom.source.path) == ("package_with_prompt", "c.jinja2")
    assert str(flow.source_map.span((*grade.pointer, "inputs", "a"))).endswith("flow.dag.yaml:26:15")


QUIRKS = {
    "nothing at all": "nodes: []\n",
    "null blocks": "environment:\ninputs:\noutputs: {}\nnode_variants: {}\nadditional_includes:\nenvironment_variables:\nnodes: []\n",
    "crlf, no final newline": "inputs:\r\n  q:\r\n    type: string\r\nnodes:\r\n- name: a\r\n  type: prompt\r\n  source: {path: a.jinja2}",
    "text as default of a list": "inputs: {q: {type: list, default: '[]'}}\nnodes: []\n",
    "explicit false": "nodes:\n- {name: a, type: python, source: {path: a.py}, use_variants: false, aggregation: false}\n",
    "null inputs of a node": "nodes:\n- {name: a, type: python, source: {path: a.py}, inputs: }\n",
    "variants that are not used": "nodes:\n- {name: a, type: python, source: {path: a.py}}\n"
    "node_variants: {a: {default_variant_id: x, variants: {x: {node: {type: python, source: {path: b.py}}}}}}\n",
    "notes of any shape": "display_name: [a]\ninputs: {q: {type: string, description: {a: b}}}\nnodes: []\n",
    "activate.is null": "nodes:\n- {name: a, type: python, source: {path: a.py}, activate: {when: \"${inputs.x}\", is: }}\n",
}  # fmt: skip


@pytest.mark.parametrize("text", QUIRKS.values(), ids=QUIRKS.keys())
def test_accepts_what_real_projects_hold(tmp_path: Path, text: str) -> None:
    flow, problems = read_flow(write(tmp_path, text))
    assert problems == ()
    assert flow is not None


@pytest.mark.parametrize("name", ["flow.dag.yaml", "flow.dag.yml"])
def test_finds_the_flow_of_a_folder(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, "nodes: []\n", name)
    assert find_flow_file(tmp_path) == file
    assert find_flow_file(file) == file


def test_any_yaml_file_can_be_a_flow(tmp_path: Path) -> None:
    assert load_flow(write(tmp_path, "nodes: []\n", "other.yml")).nodes == ()


def test_no_flow_or_two(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as empty:
        find_flow_file(tmp_path)
    assert empty.value.problems[0].fix == "Name a folder with a flow."
    write(tmp_path / "deep", "nodes: []\n")
    with pytest.raises(DefinitionError, match="holds neither") as none:
        find_flow_file(tmp_path)
    assert none.value.problems[0].code == "F004"
    assert "deep" in (none.value.problems[0].fix or "")
    write(tmp_path, "nodes: []\n", "flow.dag.yaml")
    write(tmp_path, "entry: a:b\n", "flow.flex.yaml")
    with pytest.raises(DefinitionError, match="more than one"):
        find_flow_file(tmp_path)


def test_a_folder_with_a_prompty_is_told_apart_from_one_without_a_flow(tmp_path: Path) -> None:
    file = write(tmp_path, "", "sort.prompty")
    with pytest.raises(DefinitionError) as none:
        find_flow_file(tmp_path)
    assert none.value.problems[0].fix == f"A prompty is named by its file: {file}."


def test_missing_path_and_wrong_suffix(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="F001"):
        find_flow_file(tmp_path / "nope")
    with pytest.raises(DefinitionError, match="F004"):
        find_flow_file(write(tmp_path, "x", "notes.txt"))


BROKEN = """\
inputs:
  a: {type: str}
  b: {defualt: 1}
  c: string
outputs:
  o: {type: string}
bogus: 1
nodes:
- name: x
  type: pyton
  source: {path: x.py}
- name: y
  type: llm
- name: y
  type: python
  source: {path: y.py}
  activate: {when: x}
- type: python
- nothing
- {name: w, type: prompt, source: {type: package, tool: t}}
- {name: v, use_variants: true}
- {name: z, use_variants: true}
- {name: s, type: csharp, source: {path: a.cs}}
- {name: p, type: python, source: {type: code}}
- {name: q, type: python, source: {type: package}}
- {name: r, type: python, source: x.py}
- {name: t, type: python, source: {type: pakage, tool: u}, aggregation: maybe}
node_variants:
  v: {default_variant_id: on, variants: {one: {node: {type: python}}, onn: {node: {type: python, source: {path: v.py}}}}}
  vv: {default_variant_id: 1, variants: {1: {node: {type: python, source: {path: v.py}}}}}
additional_includes: a
"""

FOUND = [
    "2:13 F007 error", "3:6 F006 error", "3:7 F012 warning", "4:6 F005 error", "6:6 F006 error", "7:1 F012 warning",
    "10:9 F007 error", "12:3 F006 error", "14:9 F008 error", "18:3 F006 error", "19:3 F005 error", "20:35 F006 error", "20:42 F007 warning",
    "22:27 V301 error", "23:19 F010 error", "24:35 F006 error", "25:35 F006 error", "26:35 F005 error",
    "27:42 F007 error", "27:73 F005 warning", "29:27 V301 error", "29:54 F006 warning", "30:3 V301 warning",
    "31:22 F005 error",
]  # fmt: skip


def test_finds_everything_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = []
    for problem in problems_of(tmp_path, BROKEN):
        assert problem.span is not None
        assert problem.fix
        found.append(f"{problem.span.line}:{problem.span.column} {problem.code} {problem.severity}")
    assert found == FOUND


def test_suggestions(tmp_path: Path) -> None:
    fixes = {str(problem.pointer): problem.fix or "" for problem in problems_of(tmp_path, BROKEN)}
    assert '"string"' in fixes["('inputs', 'a', 'type')"]
    assert '"default"' in fixes["('inputs', 'b', 'defualt')"]
    assert '"python"' in fixes["('nodes', 0, 'type')"]
    assert '"onn"' in fixes["('node_variants', 'v', 'default_variant_id')"]


def test_how_a_text_in_place_of_a_mapping_or_a_list_in_place_of_a_text_is_to_be_written(
    tmp_path: Path,
) -> None:
    text = """\
inputs: {a: string}
outputs: {o: "${n.output}"}
nodes:
- {name: n, type: llm, source: {path: n.jinja2}, connection: [your connection], api: chat}
"""
    fixes = [problem.fix for problem in problems_of(tmp_path, text)]
    assert fixes == [
        "Write a: {type: string}.",
        'Write o: {type: string, reference: "${n.output}"}.',
        'Write text here, in quotes where it begins with a bracket: "[your connection]".',
    ]


def test_load_raises_all_and_keeps_warnings_to_itself_otherwise(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_flow(write(tmp_path, BROKEN))
    assert len(caught.value.problems) == len(FOUND)
    assert load_flow(write(tmp_path, "nodes: []\nbogus: 1\n")).nodes == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "F005"),
        ("- a\n", "F005"),
        ("a: [\n", "F002"),
        ("inputs: {}\n", "F006"),
        ("nodes:\n", "F006"),
        ("nodes: x\n", "F005"),
    ],
)
def test_files_that_are_no_flow(tmp_path: Path, text: str, code: str) -> None:
    assert [problem.code for problem in problems_of(tmp_path, text)] == [code]


def test_duplicate_keys_do_not_hide_other_findings(tmp_path: Path) -> None:
    codes = [
        problem.code
        for problem in problems_of(tmp_path, "nodes: []\ntype: chat\ntype: chat\nlanguage: csharp\n")
    ]
    assert codes == ["F003", "F010"]


def test_a_broken_default_variant_is_an_error_and_another_only_warns(tmp_path: Path) -> None:
    text = "nodes:\n- {name: a, use_variants: true}\nnode_variants: {a: {default_variant_id: x, variants: {x: {node: {type: no}}, y: {}}}}\n"
    flow, problems = read_flow(write(tmp_path, text))
    assert flow is not None
    assert flow.nodes == ()
    assert {problem.severity for problem in problems if "'x'" in str(problem.pointer)} == {"error"}
    assert {problem.severity for problem in problems if "'y'" in str(problem.pointer)} == {"warning"}


def test_more_broken_shapes(tmp_path: Path) -> None:
    text = """\
additional_includes: [5, {a: b}, ok.py]
nodes:
- {name: a, type: python, source: {path: a.py}, activate: }
- {name: b, type: python, source: {path: a.py}, activate: [x]}
- {name: c, type: [python], source: {path: a.py}}
- {name: [d], type: python, source: {path: a.py}}
- {name: e, use_variants: true}
- {name: 5, type: python, source: {path: a.py}}
node_variants:
  e: {variants: {one: {node: {type: python, source: {path: a.py}}}}}
  f: text
"""
    flow, problems = read_flow(write(tmp_path, text))
    assert flow is not None
    assert [node.name for node in flow.nodes] == ["a", "b", "5"]
    assert flow.additional_includes == ("ok.py",)
    found = [(problem.code, problem.span and problem.span.line) for problem in problems]
    assert found == [
        ("F005", 1), ("F005", 1), ("F006", 3), ("F005", 4), ("F005", 5), ("F005", 6), ("F006", 10), ("F005", 11),
    ]  # fmt: skip


def test_a_flow_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="F002"):
        load_flow(write(tmp_path, "nodes: [\n"))


def test_variants_that_no_node_uses_only_warn(tmp_path: Path) -> None:
    text = "nodes:\n- {name: a, type: python, source: {path: a.py}}\nnode_variants: {a: {default_variant_id: z, variants: {x: {}}}}\n"
    flow, problems = read_flow(write(tmp_path, text))
    assert flow is not None
    assert [(problem.code, problem.severity) for problem in problems] == [
        ("V301", "warning"),
        ("F006", "warning"),
    ]


def test_an_output_may_say_what_it_measures(tmp_path: Path) -> None:
    text = 'nodes: []\noutputs: {f1: {type: double, reference: "${a.output}", description: Token overlap.}}\n'
    (tmp_path / "flow.dag.yaml").write_text(text)
    flow, _ = read_flow(tmp_path)
    assert flow is not None
    assert flow.outputs["f1"].description == "Token overlap."


def test_what_cannot_be_a_variable_of_the_environment_is_reported_and_left_out(tmp_path: Path) -> None:
    text = 'nodes: []\nenvironment_variables:\n  A: 1\n  "": x\n  b=c: x\n  D: "a\\0b"\n'
    flow, problems = read_flow(write(tmp_path, text))
    assert flow is not None
    assert flow.environment_variables == {"A": "1"}
    assert [(problem.code, problem.span.line) for problem in problems if problem.span] == [
        ("F005", 4),
        ("F005", 5),
        ("F005", 6),
    ]
