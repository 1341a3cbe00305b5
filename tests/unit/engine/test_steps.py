"""The truth table of activation and bypass, and what a tool receives from a bypassed node."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.flow import Activate, Node, ToolSource
from headrace.domain.reference import parse_reference
from headrace.engine.steps import LineState, Values, make_arguments, make_step_graph
from headrace.errors import NodeError
from headrace.planning.plan import Binding, Step


def a_step(name: str, *inputs: str, when: Any = None, equals: Any = None) -> Step:
    references = [parse_reference(text) for text in inputs]
    feeders = tuple(item.name for item in references if item.kind == "node")
    condition = parse_reference(when) if isinstance(when, str) and when.startswith("${") else when
    activate = None if when is None else Activate(when=condition, equals=equals)
    waits = [*feeders, *([condition.name] if hasattr(condition, "kind") and condition.kind == "node" else [])]
    return Step(
        node=Node(name=name, type="python", source=ToolSource(type="code"), inputs={}, activate=activate),
        bindings=tuple(Binding(parameter=f"p{i}", reference=item) for i, item in enumerate(references)),
        waits_for=tuple(dict.fromkeys(waits)),
        feeders=tuple(dict.fromkeys(feeders)),
    )


def play(
    steps: list[Step], outputs: dict[str, Any], inputs: dict[str, Any] | None = None
) -> tuple[list[str], set[str]]:
    """Run to the end in machine order; returns the order of execution and the bypassed nodes."""
    values = Values(inputs or {})
    state = LineState(make_step_graph(steps), values)
    order: list[str] = []
    ready, _ = state.start()
    while ready:
        step = ready.pop(0)
        order.append(step.node.name)
        more, _ = state.complete(step, outputs.get(step.node.name))
        ready.extend(more)
    return order, values.bypassed


def test_a_condition_that_holds_runs_and_one_that_does_not_bypasses() -> None:
    steps = [
        a_step("kind"),
        a_step("refund", when="${kind.output}", equals="refund"),
        a_step("other", when="${kind.output}", equals="other"),
    ]
    assert play(steps, {"kind": "refund"}) == (["kind", "refund"], {"other"})


def test_bypass_spreads_only_when_every_feeder_is_bypassed() -> None:
    steps = [
        a_step("a", when=False, equals=True),
        a_step("b", when=False, equals=True),
        a_step("live"),
        a_step("both", "${a.output}", "${b.output}"),
        a_step("one", "${a.output}", "${live.output}"),
        a_step("after", "${both.output}"),
    ]
    assert play(steps, {}) == (["live", "one"], {"a", "b", "both", "after"})


def test_a_condition_that_holds_runs_even_if_every_feeder_was_bypassed() -> None:
    steps = [a_step("off", when=1, equals=2), a_step("on", "${off.output}", when="${inputs.go}", equals=True)]
    assert play(steps, {}, {"go": 1}) == (["on"], {"off"})  # 1 == True holds


def test_a_condition_on_a_bypassed_node_bypasses_whatever_it_is_compared_with() -> None:
    steps = [a_step("off", when=1, equals=2), a_step("next", when="${off.output}", equals=None)]
    assert play(steps, {}) == ([], {"off", "next"})


def test_a_bypassed_source_gives_the_default_or_none() -> None:
    values = Values({"q": "hi"})
    values.bypassed.add("off")
    off = parse_reference("${off.output.deep}")
    bindings = [
        Binding(parameter="with_default", reference=off, has_default=True),
        Binding(parameter="without", reference=off),
        Binding(parameter="question", reference=parse_reference("${inputs.q}"), has_default=True),
        Binding(parameter="fixed", literal=3),
    ]
    assert make_arguments(bindings, values) == {"without": None, "question": "hi", "fixed": 3}


def test_flow_outputs_ignore_the_section_but_node_inputs_do_not() -> None:
    values = Values({})
    values.outputs["n"] = {"k": [1, 2]}
    assert values.resolve_output(parse_reference("${n.result}")) == {"k": [1, 2]}
    with pytest.raises(NodeError, match="R101"):
        values.resolve(parse_reference("${n.result}"))


def test_a_property_that_is_not_there_names_the_keys_that_are() -> None:
    values = Values({})
    values.outputs["n"] = {"label": "x"}
    with pytest.raises(NodeError) as caught:
        values.resolve(parse_reference("${n.output.lable}"))
    assert caught.value.problems[0].code == "R106"
    assert "label" in (caught.value.problems[0].fix or "")


def test_a_property_of_a_bypassed_node_fails_in_an_output() -> None:
    values = Values({})
    values.bypassed.add("n")
    assert values.resolve_output(parse_reference("${n.output}")) is None
    with pytest.raises(NodeError, match="bypassed"):
        values.resolve_output(parse_reference("${n.output.x}"))


@given(
    st.lists(st.sets(st.integers(0, 11), max_size=4), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_every_node_runs_once_and_after_what_it_reads(edges: list[set[int]], random: Any) -> None:
    steps = [
        a_step(f"n{i}", *(f"${{n{j}.output}}" for j in sorted(sources) if j < i))
        for i, sources in enumerate(edges)
    ]
    random.shuffle(steps)
    order, bypassed = play(steps, {})
    assert sorted(order) == sorted(step.node.name for step in steps)
    assert not bypassed
    for step in steps:
        assert all(order.index(source) < order.index(step.node.name) for source in step.waits_for)
