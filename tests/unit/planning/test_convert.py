"""Conversion of inputs and literals: prompt flow's table, leniencies included."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.flow import Flow
from headrace.domain.values import INPUT_TYPES
from headrace.formats.flow_file import load_flow
from headrace.planning.convert import ConversionError, convert_input, convert_literal, make_inputs
from headrace.source import Span

CONVERTED: list[tuple[str, Any, Any]] = [
    ("int", 3, 3), ("int", "3", 3), ("int", 2.7, 2), ("int", True, 1), ("int", " 4 ", 4), ("int", "-1_0", -10),
    ("double", "1e3", 1000.0), ("double", 2, 2.0), ("double", "inf", math.inf), ("double", False, 0.0),
    ("bool", True, True), ("bool", "TRUE", True), ("bool", "false", False),
    ("string", "x", "x"), ("string", 5, "5"), ("string", None, "None"), ("string", {"a": [1]}, "{'a': [1]}"),
    ("string", math.nan, "nan"), ("string", True, "True"), ("string", "", ""),
    ("list", [1], [1]), ("list", '["a", 1]', ["a", 1]), ("list", "[]", []),
    ("object", {"a": 1}, {"a": 1}), ("object", '{"a": 1}', {"a": 1}), ("object", "5", 5), ("object", "plain", "plain"),
    ("object", [1], [1]), ("object", None, None), ("object", "", ""),
    ("secret", 5, 5), ("file_path", "a", "a"), ("prompt_template", "x", "x"), ("image", {"a": 1}, {"a": 1}),
    ("assistant_definition", 1, 1), ("AzureOpenAIConnection", "name", "name"),
]  # fmt: skip

REFUSED: list[tuple[str, Any, str]] = [
    ("int", "3.0", "a whole number is needed, but text"), ("int", "abc", "text"), ("int", None, "null"), ("int", [1], "a list"),
    ("int", math.inf, "a number"), ("int", math.nan, "a number"), ("int", "", "empty text"),
    ("double", "x", "a number is needed, but text"), ("double", None, "null"), ("double", {}, "a mapping"),
    ("bool", 1, "true or false is needed, but a number"), ("bool", "yes", "text"), ("bool", None, "null"), ("bool", "", "empty"),
    ("list", "x", "a list is needed, but text"), ("list", '{"a": 1}', "text"), ("list", 5, "a number"), ("list", None, "null"),
    ("list", {"a": 1}, "a mapping"), ("list", "[" * 100_000, "text"), ("int", "9" * 5000, "text"), ("list", True, "true or false"), ("list", (1,), "a tuple"),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "value", "result"), CONVERTED)
def test_converts(type_name: str, value: Any, result: Any) -> None:
    found = convert_input(value, type_name)
    assert found == result
    assert type(found) is type(result)
    assert convert_literal(value, (type_name, "int")) == result


@pytest.mark.parametrize(("type_name", "value", "message"), REFUSED)
def test_refuses(type_name: str, value: Any, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        convert_input(value, type_name)
    assert message in str(caught.value)
    assert "abc" not in str(caught.value)


def test_no_declared_type_leaves_a_literal_alone() -> None:
    assert convert_literal("5", ()) == "5"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(INPUT_TYPES), plain)
def test_any_value_is_converted_or_refused(type_name: str, value: Any) -> None:
    wanted = {"int": int, "double": float, "bool": bool, "string": str, "list": list}.get(type_name, object)
    with suppress(ConversionError):
        assert isinstance(convert_input(value, type_name), wanted)


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs:\n  q: {type: string}\n  n: {type: int}\n  l: {type: list, default: '[1]'}\n  bad: {type: int, default: x}\nnodes: []\n"
    )
    return load_flow(tmp_path)


PLACE = Span(file="d.jsonl", line=5, column=1, end_line=5, end_column=9)


def test_inputs_of_a_line(flow: Flow) -> None:
    values, problems = make_inputs(flow, {"n": "5", "q": None, "bad": 7}, PLACE)
    assert values == {"q": "None", "n": 5, "l": [1], "bad": 7}
    assert list(values) == ["q", "n", "l", "bad"]
    assert problems == ()


def test_problems_of_a_line_name_the_line_and_the_declaration(flow: Flow) -> None:
    values, problems = make_inputs(flow, {"n": "secret", "bda": 1}, PLACE)
    assert values == {"l": [1]}
    assert [(item.code, item.severity) for item in problems] == [
        ("T202", "error"),
        ("T201", "error"),
        ("T201", "error"),
        ("T204", "warning"),
    ]
    missing, wrong, default, unknown = problems
    assert (missing.span, wrong.span, unknown.span) == (PLACE, PLACE, PLACE)
    assert [str(span).rpartition("/")[2] for _, span in missing.related + wrong.related] == [
        "flow.dag.yaml:2:3",
        "flow.dag.yaml:3:3",
    ]
    assert str(default.span).endswith("flow.dag.yaml:5:8")  # the default is in the flow file, not in the data
    assert '"bad"' in (unknown.fix or "")
    assert "secret" not in "".join(problem.headline() + str(problem.fix) for problem in problems)


def test_without_a_place_problems_stand_at_the_declaration(flow: Flow) -> None:
    _, problems = make_inputs(flow, {"n": 1})
    assert str(problems[0].span).endswith("flow.dag.yaml:2:3")
    assert problems[0].related == ()
