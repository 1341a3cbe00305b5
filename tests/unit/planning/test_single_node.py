from __future__ import annotations

from typing import Any

import pytest

from headrace.domain.flow import Flow, FlowInput, Node, ToolSource
from headrace.domain.reference import parse_reference
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import Problem, UsageError
from headrace.planning.plan import make_plan
from headrace.planning.single_node import make_single_node_plan
from headrace.source import SourceMap


def a_node(name: str, inputs: dict[str, Any], *, is_aggregation: bool = False) -> Node:
    texts = {
        key: parse_reference(value) if str(value).startswith("$") else value for key, value in inputs.items()
    }
    return Node(
        name=name,
        type="python",
        source=ToolSource(type="code", path="a.py"),
        inputs=texts,
        is_aggregation=is_aggregation,
    )


FLOW = Flow(
    name="f",
    file="f/flow.dag.yaml",
    folder="/f",
    inputs={
        "n": FlowInput(name="n", type="int", default=3),
        "t": FlowInput(name="t", type="string"),
    },
    outputs={},
    nodes=(
        a_node("up", {}),
        a_node("act", {"n": "${inputs.n}", "t": "${inputs.t}", "x": "${up.output}", "k": 7}),
        a_node("deep", {"x": "${up.output.k.z}"}),
        a_node("sum", {"xs": "${up.output}", "n": "${inputs.n}"}, is_aggregation=True),
        a_node("after", {"total": "${sum.output}"}, is_aggregation=True),
    ),
    node_variants={},
    environment_variables={},
    additional_includes=(),
    source_map=SourceMap(file="f/flow.dag.yaml", values={}, keys={}),
)


def spec(*types: tuple[str, str]) -> ToolSpec:
    return ToolSpec(
        name="tool", parameters=tuple(ToolParameter(name=name, types=(kind,)) for name, kind in types)
    )


SPECS = {
    "up": spec(),
    "act": spec(("n", "int"), ("t", "string"), ("x", "object"), ("k", "int")),
    "deep": spec(("x", "string")),
    "sum": spec(("xs", "list"), ("n", "list")),
    "after": spec(("total", "object")),
}
PLAN = make_plan(FLOW, SPECS)


def plan_alone(node: str, **given: Any) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    plan, problems = make_single_node_plan(
        PLAN, node, SPECS, {name.replace("__", "."): value for name, value in given.items()}
    )
    (step,) = plan.steps
    assert not step.node.is_aggregation
    assert list(plan.flow.outputs) == [node]
    return {binding.parameter: binding.literal for binding in step.bindings}, problems


@pytest.mark.parametrize("name", ["n", "inputs__n"])
def test_a_value_for_a_flow_input_has_its_type(name: str) -> None:
    values, problems = plan_alone("act", t="5", x="x", **{name: "5"})
    assert values == {"n": 5, "t": "5", "x": "x", "k": 7}
    assert problems == ()


def test_a_flow_input_that_is_not_given_has_its_default() -> None:
    assert plan_alone("act", t="", x="")[0]["n"] == 3


@pytest.mark.parametrize("name", ["x", "up__output", "up"])
@pytest.mark.parametrize(
    ("given", "value"), [("5", "5"), ('{"a": 1}', {"a": 1}), ("[1]", [1]), ("{", "{"), (5, 5)]
)
def test_an_output_is_text_unless_it_is_a_list_or_mapping(name: str, given: Any, value: Any) -> None:
    assert plan_alone("act", t="", **{name: given})[0]["x"] == value


def test_a_tool_that_wants_text_gets_text() -> None:
    assert plan_alone("deep", x='{"a": 1}')[0] == {"x": '{"a": 1}'}


def test_the_path_of_a_reference_is_followed_into_the_output_and_not_into_the_parameters_value() -> None:
    assert plan_alone("deep", up__output='{"k": {"z": "found"}}')[0] == {"x": "found"}
    assert plan_alone("deep", up__output={"k": {"z": 1}})[0] == {"x": 1}
    _, problems = plan_alone("deep", up__output='{"k": {}}')
    assert [(problem.code, problem.severity) for problem in problems] == [("T201", "error")]
    assert "asks it for z" in problems[0].what


def test_the_value_of_a_whole_reference_may_be_given_by_its_text_and_inside_what_holds_it() -> None:
    assert plan_alone("deep", up__output__k__z=5)[0] == {"x": 5}
    assert plan_alone("deep", x={"k": {"z": 5}})[0] == {"x": 5}
    assert plan_alone("deep", x={"k": 1})[0] == {"x": {"k": 1}}


def test_an_aggregation_node_sees_lists_of_one() -> None:
    assert plan_alone("sum", up__output="[1, 2]")[0] == {"xs": ["[1, 2]"], "n": [3]}
    assert plan_alone("after", sum__output="[1, 2]")[0] == {"total": "[1, 2]"}


def test_what_is_missing_is_said_at_once() -> None:
    _, problems = plan_alone("act")
    assert [problem.code for problem in problems] == ["T202", "T202"]
    assert "${up.output}" in problems[1].what


def test_a_value_that_does_not_fit_is_an_error() -> None:
    _, problems = plan_alone("act", n="three", t="", x="")
    assert [(problem.code, problem.severity) for problem in problems] == [("T201", "error")]


@pytest.mark.parametrize(("name", "says"), [("k", "fixed value"), ("zz", "no such input")])
def test_a_value_that_is_not_used_is_a_warning(name: str, says: str) -> None:
    values, problems = plan_alone("act", t="", x="", **{name: "9"})
    assert values["k"] == 7
    assert [(problem.code, problem.severity) for problem in problems] == [("T204", "warning")]
    assert says in problems[0].what


def test_values_for_other_nodes_are_no_mistake() -> None:
    assert plan_alone("deep", x="", t="x", inputs__t="x", act__output="1")[1] == ()


def test_a_node_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        plan_alone("atc")
    assert caught.value.problems[0].fix == "Did you mean 'act'?"
