from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import DefinitionError
from headrace.formats.env_file import find_env_file, read_env_file


def test_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "\ufeff# a comment\n\nPLAIN=one two # and a comment\nexport EXPORTED=x\nSINGLE='a # b\\n'\n"
        'DOUBLE="line\\nnext \\"quoted\\""\nEMPTY=\nWITH_EQUALS=a=b\n  SPACED = y  \n',
        encoding="utf-8",
    )
    assert read_env_file(path) == {
        "PLAIN": "one two",
        "EXPORTED": "x",
        "SINGLE": "a # b\\n",
        "DOUBLE": 'line\nnext "quoted"'.replace('\\"', '"'),
        "EMPTY": "",
        "WITH_EQUALS": "a=b",
        "SPACED": "y",
    }


def test_a_line_that_is_no_assignment_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nhidden-word\n", encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        read_env_file(path)
    problem = caught.value.problems[0]
    assert (problem.code, problem.span and problem.span.line) == ("C506", 2)
    assert "hidden" not in problem.what


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_env_file(tmp_path / "none.env")
    assert caught.value.problems[0].code == "F001"


def test_a_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(DefinitionError) as caught:
        read_env_file(tmp_path / "x.env")
    assert caught.value.problems[0].code == "F011"


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n", encoding="utf-8")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_env_file(inner) == tmp_path / ".env"
    (tmp_path / "a" / ".env").write_text("A=2\n", encoding="utf-8")
    assert find_env_file(inner) == tmp_path / "a" / ".env"
