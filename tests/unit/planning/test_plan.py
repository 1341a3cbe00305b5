"""Plans: order, bindings, what is converted, dropped and escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.domain.flow import Flow
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.planning.plan import Plan, make_plan


def make_flow(tmp_path: Path, nodes: str) -> Flow:
    (tmp_path / "flow.dag.yaml").write_text(
        f"inputs: {{q: {{type: string}}, n: {{type: int}}}}\nnodes:\n{nodes}"
    )
    return load_flow(tmp_path)


def plan_of(tmp_path: Path, nodes: str, specs: Mapping[str, ToolSpec] | None = None) -> Plan:
    return make_plan(make_flow(tmp_path, nodes), specs or {})


PYTHON = "type: python, source: {path: a.py}"


def test_orders_both_stages(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        f"""\
- {{name: last, {PYTHON}, inputs: {{a: "${{middle.output.x}}", b: "${{middle}}"}}, activate: {{when: "${{first.output}}", is: 1}}}}
- {{name: sum2, {PYTHON}, aggregation: true, inputs: {{a: "${{sum1.output}}", b: "${{last.output}}"}}}}
- {{name: middle, {PYTHON}, inputs: {{a: "${{first.output}}"}}}}
- {{name: sum1, {PYTHON}, aggregation: true, inputs: {{a: "${{last.output}}", q: "${{inputs.q}}"}}}}
- {{name: first, {PYTHON}, activate: {{when: "${{inputs.q}}", is: x}}}}
""",
    )
    assert [step.node.name for step in plan.steps] == ["first", "middle", "last"]
    assert [step.node.name for step in plan.aggregation] == ["sum1", "sum2"]
    last = plan.steps[2]
    assert last.waits_for == ("middle", "first")
    assert last.feeders == ("middle",)
    assert plan.steps[0].waits_for == ()
    assert (plan.aggregation[0].waits_for, plan.aggregation[0].feeders) == ((), ())
    assert (plan.aggregation[1].waits_for, plan.aggregation[1].feeders) == (("sum1",), ("sum1",))


SPEC = ToolSpec(
    name="t",
    parameters=(
        ToolParameter(name="number", types=("int", "string")),
        ToolParameter(name="text", types=("string",), default="d"),
        ToolParameter(name="anything", types=("object",)),
        ToolParameter(name="conn", types=("AzureOpenAIConnection",)),
    ),
    takes_any=True,
)

INPUTS = """inputs: {number: "3", text: 5, anything: "5", conn: my, more: "5", none: , empty: "", zero: 0, no: false,
  q: "${inputs.q}", r: "${a.output}"}"""


def test_converts_literals_by_the_first_type_and_drops_empty_ones(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"- {{name: a, {PYTHON}}}\n- {{name: b, {PYTHON}, {INPUTS}}}\n", {"b": SPEC})
    bindings = {binding.parameter: binding for binding in plan.steps[1].bindings}
    literals = {name: binding.literal for name, binding in bindings.items() if binding.reference is None}
    assert literals == {
        "number": 3,
        "text": "5",
        "anything": 5,
        "conn": "my",
        "more": "5",
        "zero": 0,
        "no": False,
    }
    assert list(bindings) == ["number", "text", "anything", "conn", "more", "zero", "no", "q", "r"]
    assert {name for name, binding in bindings.items() if binding.has_default} == {"text"}
    assert plan.steps[1].inputs_to_escape == ()


def test_prompt_nodes_keep_their_literals(tmp_path: Path) -> None:
    spec = ToolSpec(name="p", parameters=(ToolParameter(name="number", types=("string",)),), takes_any=True)
    nodes = f"- {{name: a, {PYTHON}}}\n- {{name: b, type: prompt, source: {{path: p.jinja2}}, {INPUTS}}}\n"
    plan = plan_of(tmp_path, nodes, {"b": spec})
    literals = {
        binding.parameter: binding.literal for binding in plan.steps[1].bindings if binding.reference is None
    }
    assert literals == {
        "number": "3",
        "text": 5,
        "anything": "5",
        "conn": "my",
        "more": "5",
        "none": None,
        "empty": "",
        "zero": 0,
        "no": False,
    }
    assert plan.steps[1].inputs_to_escape == ("q",)


def test_a_reference_to_a_parameter_with_a_default_says_so(tmp_path: Path) -> None:
    nodes = f'- {{name: a, {PYTHON}}}\n- {{name: b, {PYTHON}, inputs: {{text: "${{a.output}}", number: "${{a.output}}"}}}}\n'
    text, number = plan_of(tmp_path, nodes, {"b": SPEC}).steps[1].bindings
    assert (text.has_default, number.has_default) == (True, False)


def test_reports_all_literals_that_do_not_fit_and_every_circle(tmp_path: Path) -> None:
    nodes = f"""\
- {{name: a, {PYTHON}, inputs: {{number: secret, anything: x}}}}
- {{name: b, {PYTHON}, inputs: {{number: [1]}}}}
- {{name: c, {PYTHON}, inputs: {{x: "${{d.output}}"}}}}
- {{name: d, {PYTHON}, inputs: {{x: "${{c.output}}"}}}}
"""
    with pytest.raises(DefinitionError) as caught:
        plan_of(tmp_path, nodes, {"a": SPEC, "b": SPEC})
    circle, first, second = caught.value.problems
    assert [problem.code for problem in caught.value.problems] == ["R104", "T203", "T203"]
    assert "c → d → c" in circle.what
    assert str(circle.span).endswith(":5:10")
    assert [str(span).rpartition(":")[0][-2:] for _, span in circle.related] == [":6"]
    assert str(first.span).endswith(":3:66")
    assert "secret" not in first.headline()
    assert str(second.span).endswith(":4:66")
