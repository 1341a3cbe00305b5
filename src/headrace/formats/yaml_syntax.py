"""What a YAML parser's complaint means for the person who wrote the file."""

from __future__ import annotations

import re
from typing import Any

from headrace.errors import Problem
from headrace.source import Span

_MISSING_COLON = (
    "This line should be a key with a value, but it has no colon.",
    "Add the missing colon after the key, or indent the line as part of the value above it.",
)
# (pattern in the parser's words, what, fix); the first that fits is used. ``None`` keeps the parser's words.
_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    ("could not find expected ':'", *_MISSING_COLON),
    (
        "mapping values are not allowed",
        "A colon stands where no key can be.",
        'Put the value in quotes if it contains ": ", or fix the indentation of this line.',
    ),
    (
        "unexpected end of stream|found unexpected document indicator",
        "A quoted text is not closed.",
        "Add the closing quote.",
    ),
    (
        "cannot start any token|found character that cannot",
        "An unquoted value cannot begin with this character.",
        "Put the value in quotes.",
    ),
    (
        "expected ',' or '[\\]}]'",
        "A comma or the closing bracket is missing.",
        'Close the bracket, add the comma, or put the value in quotes; a reference must be "${…}" here.',
    ),
    (
        "expected <block end>|did not find expected '-' indicator|did not find expected key",
        "This line does not continue the block that it stands in.",
        "Align it with the lines above that belong to the same block; use spaces only.",
    ),
    (
        "unknown escape character",
        "A double-quoted text has an unknown escape.",
        "Use single quotes, or double the \\.",
    ),
    ("undefined alias", "The alias has no anchor before it.", "Put the text in quotes if no alias is meant."),
    ("undefined tag handle", "The tag is not known.", "Put the text in quotes if no tag is meant."),
    (
        "invalid leading UTF-8|special characters|control characters",
        "There is a control character here.",
        "Remove it.",
    ),
)
# Complaints that the parser makes lines after the place that matters, which is where it began to read.
_NOTICED_LATE = (
    "could not find expected ':'|found unexpected end of stream|found unexpected document indicator"
)
_TAB_INDENT = re.compile(r"[ ]*\t")
_OPEN_REFERENCE = re.compile(r"[\[{,:]\s*\$\{[^}]*\}")


def syntax_problem(error: Any, text: str, file: str) -> Problem:
    """Turn an error of the YAML parser into a problem.

    Args:
        error: A ``yaml.YAMLError``: with marks, or with a character position.
        text: The YAML.
        file: Name of the file for the span.
    """
    words = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    mark, start = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if start is not None and re.search(_NOTICED_LATE, words):
        mark, start = start, None
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else _place(error, text)
    above = _line(text, line - 1)
    if "mapping values are not allowed" in words and above.strip() and ":" not in above:
        line, column = line - 1, len(above) - len(above.lstrip()) + 1
        what, fix = _MISSING_COLON
    else:
        what, fix = _explain(words, _line(text, line), column)
    span = _character(file, line, column)
    related: tuple[tuple[str, Span], ...] = ()
    if start is not None and start.line + 1 != line:
        related = (("it began here", _character(file, start.line + 1, start.column + 1)),)
    return Problem(code="F002", what=what, span=span, fix=fix, related=related)


def _character(file: str, line: int, column: int) -> Span:
    return Span(file=file, line=line, column=column, end_line=line, end_column=column + 1)


def _place(error: Any, text: str) -> tuple[int, int]:
    """Line and column of an error without a mark: of the first character that YAML does not allow."""
    # The parsers count up to it in different units, but both name the character.
    before = text[: max(0, text.find(chr(error.character)))]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _explain(words: str, line: str, column: int) -> tuple[str, str]:
    if _TAB_INDENT.match(line) or line[column - 1 : column] == "\t":
        return "YAML does not allow a tab here.", "Replace the tab with spaces."
    if _OPEN_REFERENCE.search(line) and ("{" in line.split("${")[0] or "[" in line.split("${")[0]):
        return (
            "A reference without quotes cannot stand inside { } or [ ].",
            'Put quotes around the reference: "${…}".',
        )
    if re.search(r":\s*\{\{", line):
        return "An unquoted value cannot begin with {{.", "Put the value in quotes."
    for pattern, what, fix in _EXPLANATIONS:
        if re.search(pattern, words):
            return what, fix
    fix = "Check quotes, colons and indentation on this line and the one above."
    return f"The file is not valid YAML here: {words}.", fix
