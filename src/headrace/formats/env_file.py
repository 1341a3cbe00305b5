r"""``.env`` files: one ``NAME=value`` per entry, as python-dotenv reads them for prompt flow.

::

    # a comment
    export REGION=eu               # "export" and comments are left out
    GREETING="two\nlines"           # double quotes know escapes; a quoted value may go on over lines
    ADDRESS=https://${REGION}.example/${VERSION:-v1}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import DefinitionError, Problem
from headrace.source import Span, file_span

FILE_NAME = ".env"
_NOTHING = re.compile(r"(?:\s|\#[^\n]*)*")
_ENTRY = re.compile(
    r"""
    (?:export[^\S\n]+)?
    (?:'(?P<quoted_name>[^'\n]+)' | (?P<name>[^=\#\s]+)) [^\S\n]*
    (?P<assigns>=
        (?: [^\S\n]* '(?P<single>(?:\\'|[^'])*)'
          | [^\S\n]* "(?P<double>(?:\\.|[^"\\])*)"
          | (?P<plain>(?![^\S\n]*['"])(?:(?![^\S\n]+\#)[^\n])*) )
    )? [^\S\n]*
    (?:\#[^\n]*)? (?:\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Mapping[str, str] = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")


def read_env_file(path: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Read names and values; a name without a value is left out.

    Args:
        path: The file.
        environment: What ``${NAME}`` in a value stands for where no earlier entry of the file has that name.

    Raises:
        DefinitionError: F001 when the file is missing, F011 when it is no text, C506 for what is no assignment.
    """
    text = _read(path)
    values: dict[str, str] = {}
    position = _skip(text, 0)
    while position < len(text):
        entry = _ENTRY.match(text, position)
        if entry is None:
            raise _no_assignment(path, text, position)
        if entry["assigns"] is not None:
            known = {**(environment or {}), **values}
            values[entry["quoted_name"] or entry["name"]] = _with_references(_value(entry), known)
        position = _skip(text, entry.end())
    return values


def _skip(text: str, position: int) -> int:
    found = _NOTHING.match(text, position)
    return found.end() if found else position


def _value(entry: re.Match[str]) -> str:
    if entry["single"] is not None:
        return re.sub(r"\\([\\'])", r"\1", entry["single"])
    if entry["double"] is not None:
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), entry["double"])
    return entry["plain"].strip()


def _with_references(value: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: known.get(found[1], found[2] or ""), value)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        what = f"There is no file {path}."
        problem = Problem(code="F001", what=what, span=file_span(str(path)), fix="Check the path.")
        raise DefinitionError(problem) from error
    except (OSError, UnicodeDecodeError) as error:
        what = f"{path} cannot be read as UTF-8 text."
        problem = Problem(code="F011", what=what, span=file_span(str(path)), fix="Save it as UTF-8.")
        raise DefinitionError(problem) from error


def _no_assignment(path: Path, text: str, position: int) -> DefinitionError:
    line = text.count("\n", 0, position) + 1
    end = text.find("\n", position)
    width = (end if end >= 0 else len(text)) - position
    span = Span(file=str(path), line=line, column=1, end_line=line, end_column=width + 1)
    return DefinitionError(
        Problem(code="C506", what="This line is no assignment.", span=span, fix="Write NAME=value.")
    )


def find_env_file(folder: Path) -> Path | None:
    """The nearest ``.env`` at or above ``folder``."""
    return next(
        (path for parent in (folder, *folder.parents) if (path := parent / FILE_NAME).is_file()), None
    )
