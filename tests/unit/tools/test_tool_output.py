# ruff: noqa: T201 - printing is what is tested here
from __future__ import annotations

import sys

import pytest

from headrace.tools.output import KEPT_CHARACTERS, capture_output, hidden_output


def test_hidden_output_is_kept_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logs: dict[str, str] = {}
    with hidden_output(), capture_output(logs):
        print("inside")
    print("after")
    assert logs == {"stdout": "inside\n"}
    assert capsys.readouterr().out == "after\n"


def test_text_printed_between_captures_belongs_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    with capture_output(first):
        with capture_output(second):
            print("in")
        print("out")
    print("neither")
    assert (first, second) == ({"stdout": "out\n"}, {"stdout": "in\n"})
    assert capsys.readouterr() == ("neither\n", "in\nout\n")


def test_nothing_is_lost_over_many_pieces_and_too_much_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs: dict[str, str] = {}
    with capture_output(logs):
        for number in range(10_000):
            sys.stdout.write(f"{number}\n")
        sys.stdout.writelines(["x\n", "y\n"])
    assert logs["stdout"] == capsys.readouterr().err
    with hidden_output(), capture_output(logs):
        sys.stdout.write("x" * (KEPT_CHARACTERS + 1))
        sys.stdout.write("more")
    assert len(logs["stdout"]) < KEPT_CHARACTERS + 100
    assert logs["stdout"].endswith("cut here\n")


def test_a_capture_is_there_before_it_ends() -> None:
    logs: dict[str, str] = {}
    with hidden_output(), capture_output(logs):
        print("first")
        assert logs == {"stdout": "first"} or logs == {"stdout": "first\n"}


def test_the_stream_is_otherwise_the_one_that_was_there() -> None:
    with capture_output({}):
        assert sys.stdout.encoding
        assert not sys.stdout.isatty()
        sys.stdout.flush()
