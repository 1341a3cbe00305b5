"""Columns to inputs: the default rule, joins by line number, and columns that are nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.dataset import Dataset, Line, SourceLine
from headrace.domain.flow import Flow
from headrace.errors import Problem
from headrace.formats.flow_file import load_flow
from headrace.formats.mapping import parse_mapping
from headrace.planning.columns import map_lines
from headrace.source import Span, file_span


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs:\n  q: {type: string}\n  truth: {type: string}\n  k: {type: int, default: 3}\nnodes: []\n"
    )
    return load_flow(tmp_path)


def data(*rows: Mapping[str, Any]) -> Dataset:
    spans = [
        Span(file="d.jsonl", line=number + 1, column=1, end_line=number + 1, end_column=2)
        for number in range(len(rows))
    ]
    lines = tuple(Line(number=number, columns=row, span=spans[number]) for number, row in enumerate(rows))
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Dataset(path="d.jsonl", lines=lines, columns=columns, digest="")


def done(
    *outputs: Mapping[str, Any] | None, inputs: Mapping[int, Mapping[str, Any]] | None = None
) -> list[SourceLine]:
    """Lines of an earlier run; ``None`` for one that did not complete."""
    return [
        SourceLine(number=number, inputs=(inputs or {}).get(number, {}), outputs=row)
        for number, row in enumerate(outputs)
        if row is not None
    ]


def lines_of(flow: Flow, texts: Mapping[str, Any], *args: Any) -> list[tuple[int, dict[str, Any]]]:
    lines, problems = map_lines(flow, parse_mapping(texts), *args)
    assert [problem for problem in problems if problem.severity == "error"] == []
    return [(line.number, dict(line.columns)) for line in lines]


def problems_of(flow: Flow, texts: Mapping[str, Any], *args: Any, **named: Any) -> Sequence[Problem]:
    lines, problems = map_lines(flow, parse_mapping(texts), *args, **named)
    if any(problem.severity == "error" for problem in problems):
        assert lines == ()
    return problems


def test_inputs_read_the_column_of_their_name_unless_they_have_a_default(flow: Flow) -> None:
    dataset = data({"q": "a", "truth": "b", "k": 9}, {"q": "c", "truth": None, "k": 8})
    assert lines_of(flow, {}, dataset, None) == [
        (0, {"q": "a", "truth": "b"}),
        (1, {"q": "c", "truth": None}),
    ]
    assert lines_of(flow, {"k": "${data.k}"}, dataset, None)[1] == (
        1,
        {"q": "c", "truth": None, "k": 8},
    )


def test_mapped_columns_and_literals(flow: Flow) -> None:
    dataset = data({"question.text": "a", "t": 5})
    mapping = {"q": "${data.question.text}", "truth": "${data.t}", "k": 0.5}
    lines, _ = map_lines(flow, parse_mapping(mapping), dataset, None)
    assert list(lines) == [Line(number=0, columns={"q": "a", "truth": 5, "k": 0.5}, span=dataset.first.span)]


def test_lines_do_not_share_what_is_written_in_the_mapping(flow: Flow) -> None:
    texts = {"q": "${data.question}", "truth": {"seen": []}}
    lines, _ = map_lines(flow, parse_mapping(texts), data({"question": "one"}, {"question": "two"}), None)
    first, second = (line.columns["truth"] for line in lines)
    first["seen"].append("one")
    assert second == {"seen": []}


def test_a_line_without_the_column_goes_without_the_input(flow: Flow) -> None:
    assert lines_of(flow, {}, data({"q": "a", "truth": "b"}, {"q": "c"}), None)[1] == (1, {"q": "c"})


def test_runs_and_data_are_joined_by_line_number(flow: Flow) -> None:
    dataset = data({"answer": "A"}, {"answer": "B"}, {"answer": "C"}, {"answer": "D"})
    columns = {0: {"question": "x"}, 1: {"question": "y"}, 2: {"question": "z"}}
    source = done({"o": 1}, None, {"o": 3}, inputs=columns)
    mapping = {"q": "${run.inputs.question}", "truth": "${data.answer}", "k": "${run.outputs.o}"}
    assert lines_of(flow, mapping, dataset, source) == [
        (0, {"q": "x", "truth": "A", "k": 1}),
        (2, {"q": "z", "truth": "C", "k": 3}),
    ]


def test_data_that_names_its_lines_is_joined_by_them(flow: Flow) -> None:
    dataset = data({"line_number": 2, "answer": "C"}, {"line_number": 0, "answer": "A"})
    mapping = {"q": "${run.outputs.o}", "truth": "${data.answer}"}
    lines, _ = map_lines(flow, parse_mapping(mapping), dataset, done({"o": 1}, {"o": 2}, {"o": 3}))
    assert [(line.number, line.columns["truth"], line.span and line.span.line) for line in lines] == [
        (0, "A", 2),
        (2, "C", 1),
    ]
    alone = lines_of(flow, {"q": "${data.answer}", "truth": "x"}, dataset, None)
    assert [number for number, _ in alone] == [0, 1]


def test_a_column_that_is_nowhere(flow: Flow) -> None:
    dataset = data({"question": "a", "truth": "b"})
    (problem,) = problems_of(flow, {"q": "${data.qestion}"}, dataset, None)
    assert problem.code == "D403"
    assert "${data.question}" in (problem.fix or "")
    assert str(problem.span) == "d.jsonl:1:1"
    assert str(problem.related[0][1]).endswith("flow.dag.yaml:2:3")
    (written,) = problems_of(
        flow, {"q": "${data.qestion}"}, dataset, None, place=lambda name: file_span(f"{name}.yaml")
    )
    assert str(written.span) == "q.yaml:1:1"


def test_an_input_that_nothing_feeds(flow: Flow) -> None:
    first, second = problems_of(flow, {}, data({"question": "a"}), None)
    assert "is not mapped" in first.what
    assert (first.code, second.code) == ("D403", "D403")
    assert "Columns: question." in (first.fix or "")


@pytest.mark.parametrize(
    ("texts", "has_data", "has_run", "fix"),
    [
        ({"q": "${run.outputs.o}", "truth": "x"}, True, False, "--run"),
        ({"q": "${run.inputs.o}", "truth": "x"}, True, False, "--run"),
        ({"q": "${data.o}", "truth": "x"}, False, True, "${run.inputs.column}"),
        ({"truth": "x"}, False, True, "Add --data"),
        ({"q": "${run.outputs.oo}", "truth": "x"}, False, True, "${run.outputs.o}"),
    ],
)
def test_a_source_that_was_not_given(
    flow: Flow, texts: dict[str, str], has_data: bool, has_run: bool, fix: str
) -> None:
    (problem,) = problems_of(
        flow, texts, data({"q": 1}) if has_data else None, done({"o": 1}) if has_run else None
    )
    assert problem.code == "D403"
    assert fix in (problem.fix or "")
    assert problem.span is not None


def test_a_mapping_that_reads_nothing(flow: Flow, tmp_path: Path) -> None:
    (problem,) = problems_of(flow, {"q": "a", "truth": "b"}, data({"q": 1}), None)
    assert problem.code == "D406"
    (tmp_path / "flow.dag.yaml").write_text("nodes: []\n")
    (problem,) = problems_of(load_flow(tmp_path), {}, data({"q": 1}), None)
    assert (problem.code, problem.what) == (
        "D406",
        "The flow has no inputs, so there is nothing to run it over.",
    )


def test_without_any_mapping_every_line_runs_on_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text("inputs: {q: {type: string, default: d}}\nnodes: []\n")
    lines, problems = map_lines(load_flow(tmp_path), {}, data({"q": 1}, {"q": 2}), None)
    assert [(line.number, dict(line.columns)) for line in lines] == [(0, {}), (1, {})]
    assert [(problem.code, problem.severity) for problem in problems] == [("D406", "warning")]


def test_literals_beside_data_are_fine(flow: Flow) -> None:
    assert lines_of(flow, {"truth": "b"}, data({"q": 1}), None) == [(0, {"q": 1, "truth": "b"})]


def test_nothing_to_join(flow: Flow) -> None:
    mapping = {"q": "${run.outputs.o}", "truth": "${data.a}"}
    assert [p.code for p in problems_of(flow, mapping, data({"a": 1}), done(None, None))] == ["D402"]
    assert [p.code for p in problems_of(flow, mapping, data({"a": 1}), done(None, {"o": 1}))] == ["D402"]


def test_a_mapping_for_an_unknown_input_warns(flow: Flow) -> None:
    problems = problems_of(
        flow, {"quer": "${data.x}", "truth": "b", "q": "${data.q}", "trut": "x"}, data({"q": 1}), None
    )
    assert [(problem.code, problem.severity) for problem in problems] == [("T204", "warning")] * 2
    assert '"truth"' in (problems[1].fix or "")
    mapping = {"extra": "x", "more": "${data.q}", "none": "${data.z}", "truth": "b"}
    columns = {"q": 1, "truth": "b", "extra": "x", "more": 1}
    assert lines_of(flow, mapping, data({"q": 1}), None) == [(0, columns)]
