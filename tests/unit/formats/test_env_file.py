from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import DefinitionError
from headrace.formats.env_file import find_env_file, read_env_file


def read(tmp_path: Path, text: str, **environment: str) -> dict[str, str]:
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    return read_env_file(path, environment)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("\ufeff# a comment\n\nA=one two # and a comment\n", {"A": "one two"}),
        ("export A=x\nexport B\nC\n", {"A": "x"}),
        ("A=\nB='' \nC= # c\nD=#x", {"A": "", "B": "", "C": "", "D": "#x"}),
        ("A=a#b\nB=a=b\nC=x'y\n", {"A": "a#b", "B": "a=b", "C": "x'y"}),
        ("  A = y  \n1X=3\n'q n'=5", {"A": "y", "1X": "3", "q n": "5"}),
        ("A='a # b\\n' # c\nB='it\\'s'", {"A": "a # b\\n", "B": "it's"}),
        ('A="x\\ty \\"q\\" \\\\n \\q"', {"A": 'x\ty "q" \\n \\q'}),
        ("A=\"two\nlines\"\nB='and\n# more'\nC=1", {"A": "two\nlines", "B": "and\n# more", "C": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=1\nB=${A}-${X}${NONE}'\nC='${A}'\nD=${NONE:-d}", {"A": "1", "B": "1-x'", "C": "1", "D": "d"}),
        ("X=own\nA=${X}", {"X": "own", "A": "own"}),
        ("", {}),
    ],
)
def test_entries_are_read_as_python_dotenv_reads_them(
    tmp_path: Path, text: str, values: dict[str, str]
) -> None:
    assert read(tmp_path, text, X="x") == values


@pytest.mark.parametrize("line", ["M: 2", 'A="unclosed', "A='it''s'", 'A="q"w', "=x"])
def test_what_is_no_entry_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path, f"OK=1\n\n{line}\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.span and problem.span.line) == ("C506", 3)


def test_a_line_that_is_no_assignment_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nhidden-word: x\n", encoding="utf-8")
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
