"""Data files → :class:`~headrace.domain.dataset.Dataset`, every line with its place.

Values are taken as they are written: JSON Lines keep their types, CSV and TSV hold text only, Parquet has types of
its own. (Stock prompt flow reads JSON Lines as a table and so turns missing keys into NaN, whole numbers into floats
and columns that are named like dates into dates. Here its results are not reproduced, on purpose.)
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from headrace.domain.dataset import Dataset, LazyLines, Line
from headrace.errors import DefinitionError, Problem
from headrace.formats.data_choice import choose_lines, split_choice
from headrace.formats.paths import exists, is_folder
from headrace.formats.positions import decode_text, open_bytes
from headrace.source import Span, file_span

DATA_SUFFIXES = (".jsonl", ".csv", ".tsv", ".json", ".parquet")

_PARQUET = "headrace.formats.parquet"
"""Reached by name: few read it, and it looks for a package that is not always there."""

_MAX_SHOWN = 20
_PIECE_BYTES = 2**20
_TOO_MUCH = "The JSON is nested too deeply, or holds a number of thousands of digits."
_WHITESPACE = " \t\n\r"
# Documents in a column are longer than the module's limit of 128 KiB.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _DataFile:
    """A file of a dataset.

    Attributes:
        name: How the user named it; used in spans.
        version: Size and time of change, bytes and nanoseconds, when it was first read.
        content: All of it, where it can be read once only: a pipe.
    """

    path: Path
    name: str
    version: tuple[int, int]
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """The file from its beginning."""
        return open_bytes(self.path, self.name) if self.content is None else io.BytesIO(self.content)


def read_dataset(path: Path, shown: str | None = None) -> Dataset:
    """Read a data file, or all data files in a folder and below it: in the order of their names, folders last.

    Everything is read once to check it. Going through the lines reads the files again, line by line (``.json`` files
    whole), and raises DefinitionError D408 when a file has been changed in between.

    Args:
        path: ``.jsonl``, ``.csv``, ``.tsv``, ``.json`` (a list of objects) or ``.parquet``, a folder of such files, or
            a pattern such as ``data/*.jsonl`` or ``data/**/*.csv``; behind it may stand which lines are read, see
            :mod:`headrace.formats.data_choice`.
        shown: How the user named it; used in spans instead of ``path``.

    Raises:
        DefinitionError: D401 for every broken line (the first 20, then a count), D402 when there is no line,
            D405 for another kind of file where there is nothing else, C505 for Parquet without its extra, F001, F011.
    """
    name = shown or str(path)
    if not exists(path):
        whole, choice = split_choice(path)
        if choice is not None:
            return choose_lines(read_dataset(whole, name.rpartition("#")[0]), choice, name)
    files = [_data_file(file, file_name) for file, file_name in _data_files(path, name)]
    digest = hashlib.sha256()
    columns: dict[str, None] = {}
    problems: list[Problem] = []
    n_lines = 0
    for file in files:
        with file.open() as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
        for item in _read_rows(file):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                n_lines += 1
                columns.update(dict.fromkeys(item[0]))
    if problems:
        raise DefinitionError(*_capped(problems))
    if not n_lines:
        raise DefinitionError(_empty(path, name))
    return Dataset(
        path=name,
        lines=LazyLines(lambda: _read_lines(files), n_lines),
        columns=tuple(columns),
        digest=digest.hexdigest(),
    )


def dataset_files(path: Path) -> tuple[tuple[str, Path], ...]:
    """The files that :func:`read_dataset` reads, in order.

    Args:
        path: As there, without a choice of lines.

    Returns:
        Each with a name under which a folder keeps that order, empty where the path is that of the file itself; nothing
        where one of them can be read once only.

    Raises:
        DefinitionError: F001, D405 as there.
    """
    files = [file for file, _ in _data_files(path, str(path))]
    if not all(file.is_file() for file in files):
        return ()
    if is_folder(path):
        return tuple((file.relative_to(path).as_posix(), file) for file in files)
    if exists(path):
        return (("", path),)
    digits = len(str(len(files)))
    return tuple((f"{number:0{digits}}_{file.name}", file) for number, file in enumerate(files))


def _data_file(path: Path, name: str) -> _DataFile:
    with open_bytes(path, name) as stream:
        status = os.fstat(stream.fileno())
        content = None if stat.S_ISREG(status.st_mode) else stream.read()
    # Absolute, because lines are read while the working directory is the flow's.
    return _DataFile(path=path.absolute(), name=name, version=_version(status), content=content)


def _version(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _read_lines(files: Sequence[_DataFile]) -> Iterator[Line]:
    number = 0
    for file in files:
        _check_unchanged(file)
        for item in _read_rows(file):
            if isinstance(item, Problem):
                raise DefinitionError(_changed(file))
            columns, span = item
            yield Line(number=number, columns=columns, span=span)
            number += 1
        _check_unchanged(file)


def _check_unchanged(file: _DataFile) -> None:
    if file.content is not None:
        return
    try:
        is_same = _version(file.path.stat()) == file.version
    except OSError:
        is_same = False
    if not is_same:
        raise DefinitionError(_changed(file))


def _changed(file: _DataFile) -> Problem:
    return Problem(
        code="D408",
        what=f"{file.name} has been changed or removed while its lines were being read.",
        span=file_span(file.name),
        fix="Leave the data alone while a run reads it, then run again.",
    )


def _read_rows(file: _DataFile) -> Rows:
    try:
        yield from _READERS[file.path.suffix](file)
    except UnicodeDecodeError:
        with file.open() as stream:  # whole, to say where it is
            decode_text(stream.read(), file.name)
        raise


def _data_files(path: Path, name: str) -> list[tuple[Path, str]]:
    if is_folder(path):
        found = list(_files_below(path, name))
    elif glob.has_magic(str(path)) and not exists(path):
        found = list(_matching_files(path, name))
    else:
        found = [(path, name)]
    known = [
        (file, file_name) for file, file_name in found if file.suffix in DATA_SUFFIXES or not exists(file)
    ]
    if found and not known:
        raise DefinitionError(*_capped([_unknown_format(file_name) for _, file_name in found]))
    return known


def _files_below(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    inside = sorted(item for item in folder.iterdir() if not item.name.startswith("."))
    for item in sorted(inside, key=Path.is_dir):
        item_name = f"{name.rstrip('/')}/{item.name}"
        if item.is_dir():
            yield from _files_below(item, item_name)
        else:
            yield item, item_name


def _matching_files(pattern: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Files that a pattern names, and those in folders that it names.

    Raises:
        DefinitionError: F001 when there is none.
    """
    found_paths = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - a pattern may be absolute
    matches = sorted(map(Path, found_paths))
    if not matches:
        fix = "Check the pattern; capital letters count, and ** stands for folders at any depth."
        raise DefinitionError(Problem(code="F001", what=f"No file matches {name}.", fix=fix))
    found: dict[Path, str] = {}
    for match in matches:
        found.update(_files_below(match, str(match)) if match.is_dir() else [(match, str(match))])
    yield from found.items()


def _unknown_format(name: str) -> Problem:
    return Problem(
        code="D405",
        what=f"{name} is not of a format that data can be read from.",
        span=file_span(name),
        fix=f"Use one of {', '.join(DATA_SUFFIXES)}.",
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


def _read_parquet(file: _DataFile) -> Rows:
    with file.open() as stream:
        rows: Rows = import_module(_PARQUET).read_parquet(stream, file.name)
        yield from rows


def _read_jsonl(data: _DataFile) -> Rows:
    with data.open() as stream:
        for number, content in enumerate(stream, start=1):
            line = content.decode("utf-8").removesuffix("\n")
            if number == 1:
                line = line.removeprefix("\ufeff")
            if line and not line.isspace():
                yield _read_object(line, data.name, number)


def _read_object(line: str, file: str, number: int) -> tuple[dict[str, Any], Span] | Problem:
    span = Span(file=file, line=number, column=1, end_line=number, end_column=len(line.rstrip("\r")) + 1)
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return _broken_json(file, number, error.colno, error.msg)
    except (ValueError, RecursionError):
        return _broken(span, _TOO_MUCH, "Write such values as text.")
    if isinstance(row, dict):
        return row, span
    return _broken(span, "The line is JSON, but not an object.", 'Write {"column": value, …}.')


def _read_json(data: _DataFile) -> Rows:
    """A list of objects, read one by one so that each keeps its place."""
    with data.open() as stream:
        text, file = decode_text(stream.read(), data.name), data.name
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


def _read_csv(data: _DataFile) -> Rows:
    return _read_table(data, ",")


def _read_tsv(data: _DataFile) -> Rows:
    return _read_table(data, "\t")


_READERS: Mapping[str, Callable[[_DataFile], Rows]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}


def _read_table(data: _DataFile, delimiter: str) -> Rows:
    with data.open() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
        yield from _read_records(lines, data.name, delimiter)


def _read_records(lines: Iterable[str], file: str, delimiter: str) -> Rows:
    """Rows of text under a header; a quoted field may hold line ends."""
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
            header = _column_names(row)
        elif len(row) <= len(header):
            # Prompt flow reads cells that are missing at the end as empty ones.
            yield dict(zip_longest(header, row, fillvalue="")), span
        else:
            what = f"The row has {len(row)} fields, but the header has {len(header)}."
            yield _broken(span, what, 'Quote fields that hold the delimiter with ".')


def _column_names(header: Sequence[str]) -> list[str]:
    """The columns as prompt flow names them: ``b``, ``b.1`` for a second ``b``, ``Unnamed: 2`` for none."""
    names: dict[str, None] = {}
    for index, text in enumerate(header):
        name = first = text or f"Unnamed: {index}"
        number = 0
        while name in names or (number and name in header):
            number += 1
            name = f"{first}.{number}"
        names[name] = None
    return list(names)


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
