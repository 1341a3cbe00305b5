from __future__ import annotations

import pytest

from headrace.formats.ignore_file import is_ignored, parse_ignore_file


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        ("*.tmp", "a.tmp", True),
        ("*.tmp", "deep/er/a.tmp", True),
        ("*.tmp", "a.tmp.py", False),
        ("/a.tmp", "a.tmp", True),
        ("/a.tmp", "deep/a.tmp", False),
        ("data/*.csv", "data/a.csv", True),
        ("data/*.csv", "other/data/a.csv", False),
        ("data/*.csv", "data/deep/a.csv", False),
        ("data/**/*.csv", "data/a.csv", True),
        ("data/**/*.csv", "data/deep/er/a.csv", True),
        ("data/**", "data/deep/a", True),
        ("a?.[ch]", "ab.c", True),
        ("a?.[!ch]", "ab.c", False),
        ("a.b", "aXb", False),
        ("# a comment\n\n  *.log  ", "x.log", True),
        ("*.log\n!keep.log", "keep.log", False),
        ("!keep.log\n*.log", "keep.log", True),
        ("", "anything", False),
    ],
)
def test_a_pattern_says_what_is_left_behind(patterns: str, path: str, expected: bool) -> None:
    assert is_ignored(path, parse_ignore_file(patterns), is_folder=False) is expected


def test_a_pattern_that_ends_with_a_slash_is_about_folders() -> None:
    patterns = parse_ignore_file("build/")
    assert is_ignored("deep/build", patterns, is_folder=True)
    assert not is_ignored("deep/build", patterns, is_folder=False)
