"""Data files: values as they are written, every broken line with its place."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.dataset import Dataset
from headrace.errors import DefinitionError, Problem
from headrace.formats.lines import read_dataset


def read(tmp_path: Path, content: str | bytes, name: str = "d.jsonl") -> Dataset:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_dataset(file, name)


def problems_of(tmp_path: Path, content: str | bytes, name: str = "d.jsonl") -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path, content, name)
    return caught.value.problems


def test_json_lines_keep_their_types(tmp_path: Path) -> None:
    text = '{"a": 1, "date": "2024-01-01", "big": 9007199254740993}\r\n\n  \n{"b": null, "a": 1.5, "l": [1, {"x": true}]}'
    dataset = read(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert [dict(line.columns) for line in dataset.lines] == [
        {"a": 1, "date": "2024-01-01", "big": 9007199254740993},
        {"b": None, "a": 1.5, "l": [1, {"x": True}]},
    ]
    assert dataset.columns == ("a", "date", "big", "b", "l")
    assert [line.number for line in dataset.lines] == [0, 1]
    assert [str(line.span) for line in dataset.lines] == ["d.jsonl:1:1", "d.jsonl:4:1"]
    assert dataset.path == "d.jsonl"


def test_a_line_may_hold_unicode_line_separators(tmp_path: Path) -> None:
    dataset = read(tmp_path, '{"a": "x\u2028y\x85z"}\n')
    assert dataset.first.columns["a"] == "x\u2028y\x85z"


def test_broken_line_37(tmp_path: Path) -> None:
    lines = ['{"a": 1}'] * 40
    lines[36] = '{"a": 1, b: 2}'
    (problem,) = problems_of(tmp_path, "\n".join(lines))
    assert problem.code == "D401"
    assert str(problem.span) == "d.jsonl:37:10"
    assert problem.fix


def test_all_broken_lines_at_once_up_to_twenty(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "\n".join(["[1]", "{", *["5"] * 23, '{"a": 1}']))
    assert [problem.span.line for problem in problems if problem.span] == [*range(1, 21), 21]
    assert "not an object" in problems[0].what
    assert problems[-1].what == "And 5 more of the same kind."


@pytest.mark.parametrize("value", ["[" * 100_000, f'{{"a": {"9" * 5000}}}'])
@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
def test_json_that_is_too_much_is_a_problem(tmp_path: Path, name: str, value: str) -> None:
    text = value if name == "d.jsonl" else f'[{{"a": 1}},\n{value}]'
    (problem,) = problems_of(tmp_path, text, name)
    assert (problem.code, problem.span and problem.span.line) == ("D401", 1 if name == "d.jsonl" else 2)


@pytest.mark.parametrize(("name", "text"), [
    ("d.jsonl", ""), ("d.jsonl", "\n \r\n"), ("d.csv", "a,b\n"), ("d.csv", ""), ("d.json", "[]"), ("d.json", ""), ("d.tsv", "a\n"),
])  # fmt: skip
def test_empty_data(tmp_path: Path, name: str, text: str) -> None:
    (problem,) = problems_of(tmp_path, text, name)
    assert problem.code == "D402"
    assert problem.span is not None


def test_tables_hold_text(tmp_path: Path) -> None:
    dataset = read(tmp_path, 'a,b\r\n1,\n"x, ""y""\nz",NaN\n\n007,null\n', "d.csv")
    assert [dict(line.columns) for line in dataset.lines] == [
        {"a": "1", "b": ""},
        {"a": 'x, "y"\nz', "b": "NaN"},
        {"a": "007", "b": "null"},
    ]
    assert [line.span.line for line in dataset.lines if line.span] == [2, 3, 6]
    assert read(tmp_path, "a\tb\n1,5\tx\n", "d.tsv").first.columns == {"a": "1,5", "b": "x"}


def test_a_long_field_is_read(tmp_path: Path) -> None:
    assert len(read(tmp_path, f"a,b\n{'x' * 300_000},1\n", "d.csv").first.columns["a"]) == 300_000


@pytest.mark.parametrize(
    ("text", "place", "code", "what"),
    [
        ("a,b\n1,2,3\n", "d.csv:2:1", "D401", "3 fields"),
        ('a,b\n1,2\n3,"x\n5,6\n', "d.csv:3:1", "D401", "cannot be read"),
    ],
)
def test_broken_tables(tmp_path: Path, text: str, place: str, code: str, what: str) -> None:
    (problem,) = problems_of(tmp_path, text, "d.csv")
    assert (problem.code, str(problem.span)) == (code, place)
    assert what in problem.what


def test_columns_and_cells_that_are_missing_or_twice_are_read_as_prompt_flow_does(tmp_path: Path) -> None:
    dataset = read(tmp_path, "a,b,a,,a,a.1\n1,2,3,4,5,6\nx\n", "d.csv")
    assert dataset.columns == ("a", "b", "a.2", "Unnamed: 3", "a.3", "a.1")
    assert list(dataset.first.columns.values()) == ["1", "2", "3", "4", "5", "6"]
    assert list(list(dataset.lines)[1].columns.values()) == ["x", "", "", "", "", ""]


def test_json_list(tmp_path: Path) -> None:
    dataset = read(tmp_path, ' [\n {"a": 1},\n  {"a": "ü",\n "b": 2}]\n', "d.json")
    assert [dict(line.columns) for line in dataset.lines] == [{"a": 1}, {"a": "ü", "b": 2}]
    assert [str(line.span) for line in dataset.lines] == ["d.json:2:2", "d.json:3:3"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1}', "d.json:1:1"),
        ('[{"a": 1},\n 5]', "d.json:2:2"),
        ('[{"a": 1}\n {"a": 2}]', "d.json:2:2"),
        ('[{"a": 1},\n{"a" 2}]', "d.json:2:6"),
        ('[{"a": 1}', "d.json:1:10"),
        ('[{"a": 1}] x', "d.json:1:12"),
        ('[{"a": 1},]', "d.json:1:11"),
        ("x", "d.json:1:1"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, place: str) -> None:
    (problem,) = problems_of(tmp_path, text, "d.json")
    assert (problem.code, str(problem.span)) == ("D401", place)


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, text in {
        "b.jsonl": '{"n": 2}',
        "a/z.csv": "n\n1\n",
        ".hidden/x.jsonl": "{",
        ".x.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    dataset = read_dataset(tmp_path, "data/")
    assert [line.columns["n"] for line in dataset.lines] == [2, "1"]
    assert [line.number for line in dataset.lines] == [0, 1]
    assert [str(line.span) for line in dataset.lines] == ["data/b.jsonl:1:1", "data/a/z.csv:2:1"]


def test_other_files_in_a_folder_are_left_out_unless_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}')
    (tmp_path / "b.xlsx").write_text("")
    assert len(read_dataset(tmp_path, "data").lines) == 1
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(DefinitionError) as caught:
        read_dataset(tmp_path, "data")
    assert [(problem.code, str(problem.span)) for problem in caught.value.problems] == [
        ("D405", "data/b.xlsx:1:1")
    ]


def test_unknown_format_missing_file_and_encoding(tmp_path: Path) -> None:
    assert [problem.code for problem in problems_of(tmp_path, "x", "d.xlsx")] == ["D405"]
    with pytest.raises(DefinitionError, match="F001"):
        read_dataset(tmp_path / "none.jsonl")
    with pytest.raises(DefinitionError, match="F001"):
        read_dataset(tmp_path / "none.xlsx")
    (problem,) = problems_of(tmp_path, b'{"a": 1}\n{"a": "\xe9"}\n')
    assert (problem.code, str(problem.span)) == ("F011", "d.jsonl:2:8")


def test_digest_is_that_of_the_content(tmp_path: Path) -> None:
    one, two = read(tmp_path, '{"a": 1}'), read(tmp_path, '{"a": 2}')
    assert one.digest != two.digest
    assert read(tmp_path, '{"a": 1}', "other.jsonl").digest == one.digest


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=6), st.booleans())
def test_any_rows_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], is_list: bool
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    text = json.dumps(rows) if is_list else "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    dataset = read(
        folder, text.encode("utf-8", "surrogatepass") if is_list else text, "d.json" if is_list else "d.jsonl"
    )
    assert [line.columns for line in dataset.lines] == rows


def test_patterns_name_files_and_folders(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "deep/er/c.jsonl", ".hidden.jsonl", "other.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            json.dumps({"name": name}) + "\n" if "jsonl" in name else "name\nother.csv\n"
        )

    def names(pattern: str) -> list[str]:
        return [line.columns["name"] for line in read_dataset(tmp_path / pattern).lines]

    assert names("*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names("**/*.jsonl") == ["a.jsonl", "b.jsonl", "deep/er/c.jsonl"]
    assert names("[ab].jsonl") == ["a.jsonl", "b.jsonl"]
    assert names("d*") == ["deep/er/c.jsonl"]
    with pytest.raises(DefinitionError) as caught:
        read_dataset(tmp_path / "*.tsv", "*.tsv")
    assert caught.value.problems[0].code == "F001"
    assert caught.value.problems[0].what == "No file matches *.tsv."


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "d[1].jsonl").write_text('{"a": 1}\n')
    assert len(read_dataset(tmp_path / "d[1].jsonl").lines) == 1


def test_lines_are_read_anew_and_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    dataset = read(tmp_path, '{"a": 1}\n{"a": 2}\n')
    assert [line.columns["a"] for line in dataset.lines] == [1, 2]
    assert [line.number for line in dataset.lines] == [0, 1]
    (tmp_path / "d.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    with pytest.raises(DefinitionError, match="D408"):
        list(dataset.lines)
    (tmp_path / "d.jsonl").unlink()
    with pytest.raises(DefinitionError, match="D408"):
        list(dataset.lines)


def test_a_pipe_can_be_data_although_it_is_read_once_only(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=('{"a": 1}\n',))
    writer.start()
    dataset = read_dataset(path)
    writer.join()
    assert [line.columns for line in (*dataset.lines, *dataset.lines)] == [{"a": 1}, {"a": 1}]
