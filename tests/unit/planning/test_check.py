"""Findings of a flow's definition: the right code at the right place, with the nearest name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import Problem
from headrace.formats.flow_file import read_flow
from headrace.planning.check import check_flow


def findings(tmp_path: Path, text: str, specs: Mapping[str, ToolSpec] | None = None) -> tuple[Problem, ...]:
    (tmp_path / "flow.dag.yaml").write_text(text)
    flow, _ = read_flow(tmp_path)
    assert flow is not None
    return check_flow(flow, specs or {})


START = """\
inputs:
  question: {type: string}
nodes:
- {name: retrieve, type: python, source: {path: r.py}}
- {name: total, type: python, source: {path: t.py}, aggregation: true, inputs: {a: "${retrieve.output}"}}
"""
NODE = "- {name: n, type: python, source: {path: n.py}, inputs: {x: %s}}\n"


@pytest.mark.parametrize(
    ("value", "code", "severity", "fix"),
    [
        ('"${retreive.output}"', "R102", "error", 'Did you mean "retrieve" (line 4)?'),
        ('"${zzz.output}"', "R102", "error", "Nodes of this flow: retrieve, total, n."),
        ('"${ retrieve.output }"', "R102", "error", '"retrieve" without spaces'),
        ('"${question}"', "R102", "error", "${inputs.question}"),
        ('"${inputs}"', "R102", "error", "Nodes of this flow"),
        ('"${inputs.qestion}"', "R103", "error", 'Did you mean "question"?'),
        ('"${inputs.question.text}"', "R103", "error", "no properties"),
        ('"${inputs.question }"', "R103", "error", "without spaces"),
        ('"${flow.other}"', "R103", "error", "Declared: question."),
        ('"${inputs.}"', "R101", "error", "${inputs.name}"),
        ('"${}"', "R101", "error", "${inputs.name}"),
        ('"${retrieve.result}"', "R101", "warning", "${retrieve.output}"),
        ('"${retrieve.outputs.x}"', "R101", "warning", "${retrieve.output}"),
        ('"${retrieve.output.}"', "R101", "warning", "${retrieve.output}"),
        ('"${retrieve.output[0]}"', "R101", "warning", "${retrieve.output}"),
        ('"${total.output}"', "R105", "error", "aggregation: true on n"),
        ('"a ${retrieve.output} b"', "R101", "warning", "whole value"),
        ('["${inputs.question}"]', "R101", "warning", "whole value"),
        ('{k: "${retrieve.output}"}', "R101", "warning", "whole value"),
    ],
)
def test_references(tmp_path: Path, value: str, code: str, severity: str, fix: str) -> None:
    (problem,) = findings(tmp_path, START + NODE % value)
    assert (problem.code, problem.severity) == (code, severity)
    assert fix in (problem.fix or "")
    assert problem.span is not None
    assert (problem.span.line, problem.pointer[:4]) == (6, ("nodes", 2, "inputs", "x"))
    assert problem.span.column == 61 + (1 if value.startswith("[") else 4 if value.startswith("{") else 0)


@pytest.mark.parametrize(
    "value",
    [
        '"${retrieve.output}"',
        '"${retrieve}"',
        "\"${retrieve.output.a[0]['b c']}\"",
        '"${inputs.question}"',
        '"${flow.question}"',
        '"$"',
        '"${a"',
        '"cost: ${5}"',
    ],
)
def test_sound_references(tmp_path: Path, value: str) -> None:
    assert findings(tmp_path, START + NODE % value) == ()


def test_conditions(tmp_path: Path) -> None:
    nodes = """\
- {name: a, type: python, source: {path: a.py}, activate: {when: "${nope.output}", is: 1}}
- {name: b, type: python, source: {path: a.py}, activate: {when: "${total.output}", is: 1}}
- {name: c, type: python, source: {path: a.py}, aggregation: true, activate: {when: "${retrieve.output}", is: 1}}
- {name: d, type: python, source: {path: a.py}, aggregation: true, activate: {when: "${total.output}", is: 1}}
- {name: e, type: python, source: {path: a.py}, activate: {when: "${inputs.question}", is: 1}}
- {name: f, type: python, source: {path: a.py}, activate: {when: "x ${inputs.question}", is: 1}}
"""
    found = [
        (problem.code, problem.span and problem.span.line, problem.pointer[2:])
        for problem in findings(tmp_path, START + nodes)
    ]
    assert found == [
        ("R102", 6, ("activate", "when")),
        ("R105", 7, ("activate", "when")),
        ("R105", 8, ("activate", "when")),
        ("R101", 11, ("activate", "when")),
    ]


def test_outputs(tmp_path: Path) -> None:
    text = (
        START
        + """\
outputs:
  good: {type: string, reference: "${retrieve.output}"}
  fixed: {type: string, reference: text}
  gone: {type: string, reference: "${retrive.output}"}
  lost: {type: string, reference: "${inputs.x}"}
  odd: {type: string, reference: "${retrieve.foo}"}
  late: {type: string, reference: "${total.output}"}
  text: {type: string, reference: "a ${retrieve.output}"}
"""
    )
    found = [
        (problem.code, problem.severity, problem.span and problem.span.line)
        for problem in findings(tmp_path, text)
    ]
    assert found == [
        ("R102", "error", 9), ("R103", "error", 10), ("R101", "warning", 11), ("R105", "warning", 12), ("R101", "warning", 13),
    ]  # fmt: skip


def test_a_circle_is_named_once_with_all_places(tmp_path: Path) -> None:
    nodes = """\
nodes:
- {name: a, type: python, source: {path: a.py}, inputs: {x: "${c.output}"}}
- {name: b, type: python, source: {path: a.py}, inputs: {x: "${a.output}"}}
- {name: c, type: python, source: {path: a.py}, activate: {when: "${b.output}", is: 1}}
- {name: d, type: python, source: {path: a.py}, inputs: {x: "${c.output}"}}
"""
    (problem,) = findings(tmp_path, nodes)
    assert problem.code == "R104"
    assert "a → c → b → a" in problem.what
    assert [(note, span.line) for note, span in problem.related] == [("node c", 4), ("node b", 3)]


def test_model_nodes_need_an_api(tmp_path: Path) -> None:
    nodes = """\
nodes:
- {name: a, type: llm, source: {path: a.jinja2}}
- {name: b, type: llm, source: {path: a.jinja2}, api: chatt}
- {name: c, type: llm, source: {path: a.jinja2}, api: completion}
"""
    missing, unknown = findings(tmp_path, nodes)
    assert (missing.code, missing.span and missing.span.line) == ("F006", 2)
    assert (unknown.code, str(unknown.span).rpartition("/")[2]) == ("F007", "flow.dag.yaml:3:55")
    assert '"chat"' in (unknown.fix or "")


def test_a_variant_that_is_not_the_default_only_warns(tmp_path: Path) -> None:
    text = """\
nodes:
- {name: a, use_variants: true}
node_variants:
  a:
    default_variant_id: one
    variants:
      one: {node: {type: python, source: {path: a.py}, inputs: {x: "${no.output}"}}}
      two: {node: {type: python, source: {path: a.py}, inputs: {x: "${no.output}"}}}
"""
    found = [
        (problem.code, problem.severity, problem.span and problem.span.line)
        for problem in findings(tmp_path, text)
    ]
    assert found == [("R102", "error", 7), ("R102", "warning", 8)]


def test_no_unknown_node_is_reported_while_nodes_could_not_be_read(tmp_path: Path) -> None:
    assert findings(tmp_path, START + "- {name: broken, type: pyton}\n" + NODE % '"${broken.output}"') == ()


def test_broken_nodes_do_not_hide_a_reference_to_nothing(tmp_path: Path) -> None:
    (problem,) = findings(tmp_path, START + "- {name: broken, type: pyton}\n" + NODE % '"${brkn.output}"')
    assert problem.code == "R102"


def test_defaults_that_do_not_fit(tmp_path: Path) -> None:
    (problem,) = findings(
        tmp_path, "inputs:\n  a: {type: list, default: x}\n  b: {type: list, default: '[1]'}\nnodes: []\n"
    )
    assert (problem.code, problem.severity, str(problem.span).rpartition("/")[2]) == (
        "T201",
        "warning",
        "flow.dag.yaml:2:28",
    )


SPEC = ToolSpec(
    name="t",
    parameters=(
        ToolParameter(name="count", types=("int",)),
        ToolParameter(name="text", types=("string",), default=""),
        ToolParameter(name="conn", types=("AzureOpenAIConnection",)),
    ),
)


def test_parameters_of_python_tools(tmp_path: Path) -> None:
    nodes = """\
nodes:
- {name: a, type: python, source: {path: a.py}, inputs: {count: secret, txt: x, conn: c}}
- {name: b, type: python, source: {path: a.py}, inputs: {count: "", text: 5, conn: "${a.output}"}}
- {name: c, type: python, source: {path: a.py}, inputs: {count: "5", conn: c}}
- {name: d, type: python, source: {path: a.py}}
"""
    literal, unknown, missing = findings(tmp_path, nodes, dict.fromkeys("abc", SPEC))
    assert (literal.code, str(literal.span).rpartition("/")[2]) == ("T203", "flow.dag.yaml:2:65")
    assert "secret" not in literal.headline()
    assert (unknown.code, str(unknown.span).rpartition("/")[2]) == ("T204", "flow.dag.yaml:2:73")
    assert unknown.severity == "error"
    assert '"text"' in (unknown.fix or "")
    assert (missing.code, missing.span and missing.span.line) == ("T205", 3)
    assert "count" in missing.what


def test_any_keyword_is_taken_where_the_tool_says_so(tmp_path: Path) -> None:
    spec = ToolSpec(name="t", parameters=(), takes_any=True)
    nodes = "nodes:\n- {name: a, type: python, source: {path: a.py}, inputs: {x: 1}}\n"
    assert findings(tmp_path, nodes, {"a": spec}) == ()


def test_template_variables(tmp_path: Path) -> None:
    nodes = """\
nodes:
- {name: a, type: llm, api: chat, source: {path: a.jinja2}, inputs: {qestion: x, other: y, model: m}}
"""
    spec = ToolSpec(
        name="llm",
        parameters=(ToolParameter(name="model", types=("string",), default=""),),
        takes_any=True,
        reserved=("model", "user"),
        template_variables=("question", "user", "model"),
    )
    misspelled, reserved_set, reserved_unset = sorted(
        findings(tmp_path, nodes, {"a": spec}), key=lambda item: (item.code, item.what)
    )
    assert (misspelled.code, misspelled.severity) == ("T204", "warning")
    assert '"question"' in (misspelled.fix or "")
    assert (reserved_set.code, reserved_set.pointer[-1]) == ("T208", "model")
    assert (reserved_unset.code, reserved_unset.pointer[-1]) == ("T208", "path")


def test_findings_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = START + NODE % '"${no.output}"' + 'outputs: {o: {type: string, reference: "${no.output}"}}\n'
    text = text.replace("question: {type: string}", "question: {type: int, default: x}")
    assert [problem.span and problem.span.line for problem in findings(tmp_path, text)] == [2, 6, 7]
