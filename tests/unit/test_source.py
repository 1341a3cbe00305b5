from __future__ import annotations

from headrace.source import SourceMap, Span, file_span, pointer_text


def a_span(line: int, column: int) -> Span:
    return Span(file="f.yaml", line=line, column=column, end_line=line, end_column=column + 1)


def test_a_value_without_a_span_of_its_own_has_its_nearest_parents() -> None:
    nodes, first = a_span(2, 1), a_span(3, 3)
    source_map = SourceMap(file="f.yaml", values={("nodes",): nodes, ("nodes", 0): first}, keys={})
    assert source_map.span(("nodes", 0, "inputs", "q")) == first
    assert source_map.span(("nodes", 7)) == nodes
    assert source_map.span(("outputs",)) == file_span("f.yaml")


def test_a_key_has_a_place_of_its_own() -> None:
    key, value = a_span(2, 1), a_span(2, 8)
    source_map = SourceMap(file="f.yaml", values={("type",): value}, keys={("type",): key})
    assert source_map.key_span(("type",)) == key
    assert source_map.key_span(("type", "deeper")) == value


def test_places_and_pointers_as_people_write_them() -> None:
    assert str(a_span(11, 14)) == "f.yaml:11:14"
    assert pointer_text(("nodes", 2, "inputs", "question")) == "nodes[2].inputs.question"
    assert pointer_text(()) == ""
