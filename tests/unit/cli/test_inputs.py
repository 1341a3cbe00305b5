from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.cli.inputs import read_inputs, read_variables
from headrace.errors import DefinitionError, UsageError


def test_pairs_are_always_texts() -> None:
    assert read_inputs(["n=3", "question=a=b"]) == {"n": "3", "question": "a=b"}
    assert read_inputs([]) == {}


def test_a_json_file_is_taken_whole_and_of_jsonl_the_first_line(tmp_path: Path) -> None:
    whole = tmp_path / "in.json"
    whole.write_text(json.dumps({"n": 3, "items": [1, None]}), encoding="utf-8")
    assert read_inputs([str(whole)]) == {"n": 3, "items": [1, None]}
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"n": 1}\n{"n": 2}\n', encoding="utf-8")
    assert read_inputs([str(lines)]) == {"n": 1}


def test_a_file_named_in_a_pair_is_a_value() -> None:
    assert read_inputs(["path=in.json"]) == {"path": "in.json"}


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("in.json", '{\n "a": 1\n "b"}', "D401", 3),
        ("in.json", "[1]", "D401", 1),
        ("in.jsonl", '{"a": 1}\n{"a"\n', "D401", 2),
        ("in.jsonl", "", "D402", 1),
    ],
)
def test_what_is_wrong_in_a_file_has_a_place(
    tmp_path: Path, name: str, content: str, code: str, line: int
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        read_inputs([str(tmp_path / name)])
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.span is not None
    assert problem.span.line == line


def test_a_missing_file_and_a_bare_word_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_inputs([str(tmp_path / "none.json")])
    assert caught.value.problems[0].code == "F001"
    with pytest.raises(UsageError):
        read_inputs(["word"])


def test_variables_come_from_pairs_and_env_files_later_ones_win(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=nearest\nB=2\n", encoding="utf-8")
    (tmp_path / "other.env").write_text("B=3\n", encoding="utf-8")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert read_variables(["", str(tmp_path / "other.env"), "C=4"], inner) == {
        "A": "nearest",
        "B": "3",
        "C": "4",
    }
    assert read_variables([], inner) == {}
    with pytest.raises(UsageError):
        read_variables(["word"], inner)


def test_without_any_env_file_the_bare_flag_sets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.cli.inputs.find_env_file", lambda _: None)
    assert read_variables([""], tmp_path) == {}
