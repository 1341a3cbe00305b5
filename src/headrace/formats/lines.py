"""Data files → :class:`~headrace.domain.dataset.Dataset`, every line with its place.

Values are taken as they are written: JSON Lines keep their types, CSV and TSV hold text only. (Stock prompt
flow reads JSON Lines as a table and so turns missing keys into NaN, whole numbers into floats and columns
that are named like dates into dates. Here its results are not reproduced, on purpose.)
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headrace.domain.dataset import Dataset, Line
from headrace.errors import DefinitionError, Problem
from headrace.formats.positions import decode_text, read_bytes
from headrace.source import Span, file_span

DATA_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json")

_MAX_SHOWN = 20
_TOO_MUCH = "The JSON is nested too deeply, or holds a number of thousands of digits."
_WHITESPACE = " \t\n\r"
# Documents in a column are longer than the module's limit of 128 KiB.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


def read_dataset(path: Path, shown: str | None = None) -> Dataset:
    """Read a data file, or all data files in a folder and below it in the order of their names.

    Args:
        path: ``.jsonl``, ``.csv``, ``.tsv`` or ``.json`` (a list of objects), or a folder of such files.
        shown: How the user named it; used in spans instead of ``path``.

    Raises:
        DefinitionError: D401 for every broken line (the first 20, then a count), D402 when there is no line,
            D405 for another kind of file, F003 for a repeated column, F001 and F011.
    """
    name = shown or str(path)
    rows: list[tuple[dict[str, Any], Span]] = []
    problems: list[Problem] = []
    digest = hashlib.sha256()
    for file, file_name in _data_files(path, name):
        content = read_bytes(file, file_name)
        digest.update(content)
        text = decode_text(content, file_name)
        for item in _READERS[file.suffix](text, file_name):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                rows.append(item)
    if problems:
        raise DefinitionError(*_capped(problems))
    if not rows:
        raise DefinitionError(_empty(path, name))
    lines = tuple(Line(number=number, columns=row, span=span) for number, (row, span) in enumerate(rows))
    columns = tuple(dict.fromkeys(column for row, _ in rows for column in row))
    return Dataset(path=name, lines=lines, columns=columns, digest=digest.hexdigest())


def _data_files(path: Path, name: str) -> list[tuple[Path, str]]:
    if not path.is_dir():
        if path.suffix not in DATA_SUFFIXES and path.exists():
            raise DefinitionError(_unknown_format(name))
        return [(path, name)]
    found = []
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in relative.parts):
            found.append((file, f"{name.rstrip('/')}/{relative.as_posix()}"))
    strangers = [_unknown_format(file_name) for file, file_name in found if file.suffix not in DATA_SUFFIXES]
    if strangers:
        raise DefinitionError(*_capped(strangers))
    return found


def _unknown_format(name: str) -> Problem:
    return Problem(
        code="D405",
        what=f"{name} is not of a format that data can be read from.",
        span=file_span(name),
        fix=f"Use one of {', '.join(DATA_SUFFIXES)}; in a data folder, move other files out of it.",
    )


def _empty(path: Path, name: str) -> Problem:
    what = (
        f"{name} holds no line of data." if not path.is_dir() else f"The folder {name} holds no line of data."
    )
    return Problem(code="D402", what=what, span=file_span(name), fix="Add at least one line.")


def _capped(problems: Sequence[Problem]) -> Sequence[Problem]:
    """The first problems; the rest is only counted."""
    rest = problems[_MAX_SHOWN:]
    if not rest:
        return problems
    what = f"And {len(rest)} more of the same kind." if len(rest) > 1 else "And one more of the same kind."
    last = Problem(code=rest[0].code, what=what, span=rest[0].span, fix="Fix the ones above first.")
    return (*problems[:_MAX_SHOWN], last)


Rows = Iterator[tuple[dict[str, Any], Span] | Problem]
"""What a reader yields: a row with its place, or what is wrong with it."""


def _read_jsonl(text: str, file: str) -> Rows:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.isspace():
            continue
        span = Span(file=file, line=number, column=1, end_line=number, end_column=len(line.rstrip("\r")) + 1)
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield _broken_json(file, number, error.colno, error.msg)
            continue
        except (ValueError, RecursionError):
            yield _broken(span, _TOO_MUCH, "Write such values as text.")
            continue
        if isinstance(row, dict):
            yield row, span
        else:
            yield _broken(span, "The line is JSON, but not an object.", 'Write {"column": value, …}.')


def _read_json(text: str, file: str) -> Rows:
    """A list of objects, read one by one so that each keeps its place."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        if position < len(text):
            what = "The file should hold a list of objects."
            yield _broken(_place(text, file, position, position + 1), what, "Write [{…}, {…}].")
        return
    position = _skip(text, position + 1)
    is_first = True
    while text[position : position + 1] != "]":
        if not is_first:
            if text[position : position + 1] != ",":
                yield _broken_json(file, *_line_column(text, position), "Expecting ',' or ']'")
                return
            position = _skip(text, position + 1)
        is_first = False
        try:
            row, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            yield _broken_json(file, error.lineno, error.colno, error.msg)
            return
        except (ValueError, RecursionError):
            yield _broken(_place(text, file, position, position + 1), _TOO_MUCH, "Write such values as text.")
            return
        span = _place(text, file, position, end)
        if isinstance(row, dict):
            yield row, span
        else:
            yield _broken(span, "The item is JSON, but not an object.", 'Write {"column": value, …}.')
        position = _skip(text, end)
    rest = _skip(text, position + 1)
    if rest < len(text):
        yield _broken_json(file, *_line_column(text, rest), "Extra data")


def _read_csv(text: str, file: str) -> Rows:
    return _read_table(text, file, ",")


def _read_tsv(text: str, file: str) -> Rows:
    return _read_table(text, file, "\t")


_READERS = {".jsonl": _read_jsonl, ".json": _read_json, ".csv": _read_csv, ".tsv": _read_tsv}


def _read_table(text: str, file: str, delimiter: str) -> Rows:
    """Rows of text under a header; a quoted field may hold line ends."""
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    first_line = 1
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            span = Span(file=file, line=first_line, column=1, end_line=first_line, end_column=2)
            yield _broken(
                span, f"The row cannot be read: {error}.", 'Quote fields with " and double a " inside.'
            )
            return
        if row is None:
            return
        span = Span(file=file, line=first_line, column=1, end_line=rows.line_num, end_column=1)
        first_line = rows.line_num + 1
        if not row:
            continue
        if header is None:
            header = row
            yield from _repeated_columns(header, span, delimiter)
        elif len(row) == len(header):
            yield dict(zip(header, row, strict=True)), span
        else:
            what = f"The row has {len(row)} fields, but the header has {len(header)}."
            yield _broken(
                span, what, 'Add the missing fields, or quote fields that hold the delimiter with ".'
            )


def _repeated_columns(header: list[str], span: Span, delimiter: str) -> Iterator[Problem]:
    places: dict[str, Span] = {}
    column = 1
    for name in header:
        place = Span(
            file=span.file, line=span.line, column=column, end_line=span.line, end_column=column + len(name)
        )
        column += len(name) + len(delimiter)
        if name in places:
            yield Problem(
                code="F003",
                what=f"The column {name!r} is in the header twice.",
                span=place,
                fix="Rename one of the two columns.",
                related=(("first column of this name", places[name]),),
            )
        places.setdefault(name, place)


def _broken_json(file: str, line: int, column: int, message: str) -> Problem:
    span = Span(file=file, line=line, column=column, end_line=line, end_column=column + 1)
    return _broken(
        span, f"This is not valid JSON: {message}.", "Correct the line; every line is one JSON object."
    )


def _broken(span: Span, what: str, fix: str) -> Problem:
    return Problem(code="D401", what=what, span=span, fix=fix)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def _line_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _place(text: str, file: str, start: int, end: int) -> Span:
    line, column = _line_column(text, start)
    end_line, end_column = _line_column(text, end)
    return Span(file=file, line=line, column=column, end_line=end_line, end_column=end_column)
