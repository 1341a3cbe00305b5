from __future__ import annotations

from headrace.cli.crash import render_crash, render_traceback, write_crash


def an_error() -> ValueError:
    try:
        raise ValueError("inner")
    except ValueError as error:
        return error


def test_a_report_has_versions_and_traceback_and_no_values_of_the_command() -> None:
    arguments = ["connection", "create", "--set", "api_key=sk-hidden", "--name=hidden", "hidden"]
    text = render_crash(an_error(), arguments)
    assert "hidden" not in text
    assert "command: headrace connection create --set … --name …" in text
    assert "command: headrace compare …" in render_crash(an_error(), ["compare", "hidden"])
    assert "click " in text
    assert "Python 3." in text
    assert text.endswith("ValueError: inner")


def test_a_report_is_written_to_a_file_of_its_own() -> None:
    first, second = write_crash(an_error(), []), write_crash(an_error(), [])
    assert first is not None
    assert second is not None
    assert first != second
    assert "ValueError" in first.read_text(encoding="utf-8")
    for path in (first, second):
        path.unlink()


def test_causes_are_part_of_a_traceback() -> None:
    error = RuntimeError("outer")
    error.__cause__ = an_error()
    assert "inner" in render_traceback(error)
