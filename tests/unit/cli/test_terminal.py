from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.terminal import Ink, crop, detect_terminal, one_line, pad, text_width, wrap_text


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("naïve", 5), ("한글", 4)]
)
def test_text_is_measured_in_cells(text: str, cells: int) -> None:
    assert text_width(text) == cells


@given(st.text(), st.integers(min_value=1, max_value=30))
def test_cropped_text_fits(text: str, width: int) -> None:
    assert text_width(crop(text, width)) <= width


@given(st.text(max_size=20), st.integers(min_value=0, max_value=30), st.booleans())
def test_padded_text_is_at_least_as_wide_as_asked(text: str, width: int, is_right: bool) -> None:
    padded = pad(text, width, is_right=is_right)
    assert text_width(padded) == max(width, text_width(text))
    assert padded.strip(" ") == text.strip(" ")


def test_crop_marks_what_is_missing() -> None:
    assert crop("abcdef", 4) == "abc…"
    assert crop("日本語", 5) == "日本…"
    assert crop("abcd", 4) == "abcd"


@given(st.text())
def test_one_line_holds_no_control_characters(text: str) -> None:
    assert one_line(text).isprintable()


def test_one_line_shows_line_ends() -> None:
    assert one_line("a\r\nb\nc\td\x1b[31m") == "a↵b↵c d[31m"


def test_ink_paints_only_where_colors_are_wanted() -> None:
    assert Ink(has_color=False).paint("x", "red") == "x"
    assert Ink(has_color=True).paint("x", "red", "bold") == "\x1b[31;1mx\x1b[0m"
    assert Ink(has_color=True).paint("", "red") == ""


class _Tty:
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class _Ascii(_Tty):
    encoding = "ascii"


@pytest.mark.parametrize(
    ("environment", "wants_color", "has_color"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({}, False, False),
    ],
)
def test_colors_need_a_terminal_and_no_objection(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], wants_color: bool, has_color: bool
) -> None:
    monkeypatch.setattr("sys.stdout", _Tty())
    monkeypatch.setattr("sys.stderr", _Tty())
    terminal = detect_terminal(environment, wants_color=wants_color)
    assert terminal.out.has_color is has_color
    assert terminal.err.has_color is has_color


def test_a_pipe_has_no_colors_and_an_ascii_stream_no_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", _Ascii())
    terminal = detect_terminal({})
    assert terminal.has_tty_out
    assert not terminal.has_unicode
    assert not terminal.err.has_color  # pytest's own stderr is no terminal


@given(
    st.lists(st.text("aé丁\u0301下", min_size=1, max_size=8), min_size=1).map(" ".join), st.integers(16, 40)
)
def test_wrapped_lines_keep_their_words_and_fit_whatever_the_script(text: str, width: int) -> None:
    lines = wrap_text(text, width, lead="! ")
    assert all(text_width(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines) == f"! {text}"
    assert all(line.startswith("  ") for line in lines[1:])
