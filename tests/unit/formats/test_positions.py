"""YAML with positions, on both parsers; the writer reads back what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DefinitionError, Problem
from headrace.formats import positions
from headrace.formats.positions import decode_text, dump_yaml, load_yaml, read_text, read_yaml

PARSERS = ["CBaseLoader", "BaseLoader"]


@pytest.fixture(params=PARSERS)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(yaml, request.param):
        pytest.skip("this PyYAML has no libyaml")
    monkeypatch.setattr(positions, "_Loader", getattr(yaml, request.param))


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        load_yaml(text, "flow.yaml")
    return caught.value.problems


DOCUMENTS: list[tuple[str, Any]] = [
    ("", None),
    ("# only a comment\n", None),
    ("a: 1", {"a": 1}),
    ("a: 1\r\nb:\r\n  - x\r\n", {"a": 1, "b": ["x"]}),
    ("---\na: no\n...\n", {"a": "no"}),
    ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
    ("a: '1'\nb: \"2\"\nc: !!str 3\nd: !!int '4'\ne: !!float 5\n", {"a": "1", "b": "2", "c": "3", "d": 4, "e": 5}),
    ("a: {b: [1, 'x', {c: ~}], }\n", {"a": {"b": [1, "x", {"c": None}]}}),
    ("a: |\n  x\n\n  y\nb: >-\n  u\n  v\n", {"a": "x\n\ny\n", "b": "u v"}),
    ("a: &x {k: 1}\nb: *x\n", {"a": {"k": 1}, "b": {"k": 1}}),
    ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
    ("a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  <<: [*x, *y]\n", {"a": {"k": 1}, "b": {"k": 2, "m": 3}, "c": {"k": 1, "m": 3}}),
    ("a: &x {k: 1}\nb: &y {<<: *x, l: 2}\nc: {<<: *y}\n", {"a": {"k": 1}, "b": {"l": 2, "k": 1}, "c": {"l": 2, "k": 1}}),
    ("'<<': 1\n", {"<<": 1}),
    ("1: a\n1.5: b\n", {1: "a", 1.5: "b"}),
    ("déjà: vu 😀\n", {"déjà": "vu 😀"}),
    ("- - 1\n  - 2\n-\n  - 3\n", [[1, 2], [3]]),
    ("url: http://host:1/a?b#c\n", {"url": "http://host:1/a?b#c"}),
]  # fmt: skip


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(("text", "data"), DOCUMENTS)
def test_reads_documents(text: str, data: Any) -> None:
    assert load_yaml(text, "f")[0] == data


FLOW = """\
inputs:
  question: {type: string, default: "ü😀", x: 1}
nodes:
- name: answer
  inputs:
    context: ${retreive.output}
    long: >
      some
      text
  shared: &s {a: 1}
  again: *s
  merged:
    <<: *s
    b: 2
"""


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        (("inputs", "question"), (2, 13, 2, 48)),
        (("inputs", "question", "default"), (2, 37, 2, 41)),
        (("inputs", "question", "x"), (2, 46, 2, 47)),
        (("nodes", 0), (4, 3, 14, 9)),
        (("nodes", 0, "inputs", "context"), (6, 14, 6, 32)),
        (("nodes", 0, "shared", "a"), (10, 18, 10, 19)),
        (("nodes", 0, "again"), (11, 10, 11, 12)),
        (("nodes", 0, "again", "a"), (10, 18, 10, 19)),
        (("nodes", 0, "merged", "a"), (10, 18, 10, 19)),
        (("nodes", 0, "merged", "b"), (14, 8, 14, 9)),
        (("nodes", 0, "inputs", "context", "nothing"), (6, 14, 6, 32)),
        (("nothing",), (1, 1, 14, 9)),
    ],
)
def test_every_value_has_its_place(pointer: tuple[str | int, ...], place: tuple[int, ...]) -> None:
    span = load_yaml(FLOW, "flow.yaml")[1].span(pointer)
    assert (span.line, span.column, span.end_line, span.end_column) == place
    assert span.file == "flow.yaml"


def test_keys_have_places_too() -> None:
    span = load_yaml(FLOW, "flow.yaml")[1].key_span(("nodes", 0, "inputs", "context"))
    assert str(span) == "flow.yaml:6:5"


SYNTAX = [
    ("a: 1\n\tb: 2\n", 2, 1, "tab", "spaces"),
    ("inputs\n  question: 1\n", 1, 1, "no colon", "missing colon"),
    ("a: b: c\n", 1, 5, "colon", "quotes"),
    ("a: 'x\nb: 1\n", 1, 4, "not closed", "closing quote"),
    ("a:\n  - 1\n b: 2\n", 3, 2, "does not continue", "Align"),
    ("a: @x\n", 1, 4, "cannot begin", "quotes"),
    ("a: {b: ${inputs.x}}\n", 1, 9, "reference without quotes", '"${'),
    ("a: *nowhere\n", 1, 4, "no anchor", "&nowhere"),
    ("a: [1, 2\nb: 3\n", 2, 2, "bracket", "Close"),
    ("a: 1\n---\nb: 2\n", 2, 1, "second YAML document", "one document"),
    ("a: x\x01\n", 1, 5, "control character", "Remove"),
    ("éé: x\nüb: 😀\x01 c\n", 2, 6, "control character", "Remove"),
    ("a: !thing 1\n", 1, 4, "tag", "Remove"),
    ("a: !!int x\n", 1, 4, "tag", "Remove"),
    ("a: !!set {x: 1}\n", 1, 4, "tag", "Remove"),
    ("a: {{x}} b\n", 1, 10, "begin with {{", "quotes"),
    ("- a\n- - b\n  c: [}\n", 3, 3, "does not continue", "Align"),
    ("question: - a\n", 1, 11, "not valid YAML", "quotes, colons and indentation"),
    ('a: "\\q"\n', 1, 5, "escape", "single quotes"),
    ("key: >\n x\ny", 3, 1, "no colon", "missing colon"),
]


@pytest.mark.usefixtures("_parser")
@pytest.mark.parametrize(("text", "line", "column", "what", "fix"), SYNTAX)
def test_syntax_errors_say_where_and_how_to_fix(
    text: str, line: int, column: int, what: str, fix: str
) -> None:
    (problem,) = problems_of(text)
    assert problem.code == "F002"
    assert problem.span is not None
    assert problem.span.line == line
    assert abs(problem.span.column - column) <= 1  # the two parsers differ by one in places
    assert what in problem.what
    assert fix in (problem.fix or "")


def test_all_duplicate_keys_are_reported_with_both_places() -> None:
    first, second, third = problems_of("a: 1\nb: {c: 1, c: 2}\na: 2\nm:\n  <<: {x: 1, x: 2}\n")
    assert [problem.code for problem in (first, second, third)] == ["F003"] * 3
    assert [str(problem.span) for problem in (first, second, third)] == [
        "flow.yaml:2:11",
        "flow.yaml:3:1",
        "flow.yaml:5:14",
    ]
    assert str(second.related[0][1]) == "flow.yaml:1:1"


def test_two_merge_keys_are_duplicates() -> None:
    (problem,) = problems_of("a: {<<: {x: 1}, <<: {y: 1}}\n")
    assert problem.code == "F003"


def test_duplicates_beside_the_data() -> None:
    data, _, problems = read_yaml("a: 1\na: 2\nb: 3\n", "f")
    assert data == {"a": 1, "b": 3}
    assert [problem.code for problem in problems] == ["F003"]


def test_a_template_without_quotes_is_explained() -> None:
    (problem,) = problems_of("a: {{x}}\n")
    assert problem.code == "F005"
    assert "quotes" in (problem.fix or "")


def test_merging_something_else() -> None:
    (problem,) = problems_of("a: {<<: 5}\n")
    assert problem.code == "F005"


@pytest.mark.usefixtures("_parser")
def test_deep_nesting_is_refused() -> None:
    (problem,) = problems_of("[" * 500)
    assert problem.code == "F002"
    assert "nested" in problem.what


def test_alias_bombs_are_refused() -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    (problem,) = problems_of(text)
    assert problem.code == "F002"
    assert "aliases" in problem.what


def test_reads_text_without_byte_order_mark_and_with_plain_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(file) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("content", "line", "column", "what"),
    [
        (b"ab\n\xc3\xa9x\xff", 2, 3, "not UTF-8"),
        (b"\xff\xfea\x00", 1, 1, "UTF-16"),
        (b"\xef\xbb\xbfa\xff", 1, 2, "not UTF-8"),
    ],
)
def test_other_encodings(content: bytes, line: int, column: int, what: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        decode_text(content, "f.txt")
    (problem,) = caught.value.problems
    assert problem.code == "F011"
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (line, column)
    assert what in problem.what


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    cases = (
        (tmp_path / "no.yaml", "does not exist"),
        (tmp_path / "a\0b", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "cannot be opened"),
    )
    for path, what in cases:
        with pytest.raises(DefinitionError, match=what) as caught:
            read_text(path, "shown.yaml")
        (problem,) = caught.value.problems
        assert problem.code == "F001"
        assert problem.span is None
        assert problem.what.startswith("shown.yaml")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["no", "0o12", "1e3", "012", "2024-05-01", "12:30", "~", "", "a: b", "- x", "#", "=", "<<", "\ta", "a\nb\n", " x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(plain)
def test_what_is_written_is_read_back(data: Any) -> None:
    assert load_yaml(dump_yaml(data), "f")[0] == data


def test_writes_plain_yaml_in_order() -> None:
    text = dump_yaml(
        {"name": "a", "type": "x", "list": [1, "no", "0o12"], "text": "one\ntwo\n", "map": {"k": ()}}
    )
    assert text == "name: a\ntype: x\nlist:\n- 1\n- 'no'\n- '0o12'\ntext: |\n  one\n  two\nmap:\n  k: []\n"
