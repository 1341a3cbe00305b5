"""Column mappings: sources, column names with dots, literals, and what is no mapping."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.domain.dataset import MappedValue
from headrace.errors import DefinitionError
from headrace.formats.mapping import parse_mapping
from headrace.source import file_span


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        ("${data.question}", MappedValue(source="data", column="question")),
        ("${data.a.b}", MappedValue(source="data", column="a.b")),
        ("${data.with space}", MappedValue(source="data", column="with space")),
        ("${run.inputs.q}", MappedValue(source="run.inputs", column="q")),
        ("${run.outputs.answer.text}", MappedValue(source="run.outputs", column="answer.text")),
        ("plain", MappedValue(source="literal", literal="plain")),
        ("a ${data.q}", MappedValue(source="literal", literal="a ${data.q}")),
        ("${data.q} ", MappedValue(source="literal", literal="${data.q} ")),
        ("${}", MappedValue(source="literal", literal="${}")),
        ("", MappedValue(source="literal", literal="")),
        (0.5, MappedValue(source="literal", literal=0.5)),
        (["${data.q}"], MappedValue(source="literal", literal=["${data.q}"])),
        (None, MappedValue(source="literal", literal=None)),
    ],
)
def test_reads_values(value: Any, mapped: MappedValue) -> None:
    assert parse_mapping({"x": value}) == {"x": mapped}


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("${question}", "${data.question}"),
        ("${data}", "${data.column}"),
        ("${data.}", "${data.column}"),
        ("${run}", "${data.column}"),
        ("${run.outputs}", "${run.outputs.column}"),
        ("${run.outputs.}", "${run.outputs.column}"),
        ("${dta.question}", "${data.question}"),
        ("${run.output.answer}", "${run.outputs.answer}"),
        ("${inputs.question}", "${run.inputs.question}"),
        ("${outputs.answer}", "${run.outputs.answer}"),
        ("${zzz.q}", "${data.column}, ${run.inputs.column} or ${run.outputs.column}"),
    ],
)
def test_says_how_to_fix(value: str, fix: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_mapping({"x": value}, lambda name: file_span(f"{name}.yaml"))
    (problem,) = caught.value.problems
    assert problem.code == "D404"
    assert fix in (problem.fix or "")
    assert str(problem.span) == "x.yaml:1:1"


def test_reports_all() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_mapping({"a": "${x}", "b": "${data.y}", "c": "${z}"})
    assert [problem.pointer for problem in caught.value.problems] == [("a",), ("c",)]
