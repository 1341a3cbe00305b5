"""``.env`` files: one ``NAME=value`` per line."""

from __future__ import annotations

import re
from pathlib import Path

from headrace.errors import DefinitionError, Problem
from headrace.source import Span, file_span

FILE_NAME = ".env"
_ASSIGNMENT = r"^(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$"
_QUOTED = r"""'([^']*)'|"((?:[^"\\]|\\.)*)\""""


def read_env_file(path: Path) -> dict[str, str]:
    """Read names and values; comments, blank lines, ``export`` and quotes around a value are dropped.

    Raises:
        DefinitionError: F001 when the file is missing, C506 for a line that is no assignment.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DefinitionError(
            Problem(
                code="F001",
                what=f"There is no file {path}.",
                span=file_span(str(path)),
                fix="Check the path.",
            )
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            Problem(
                code="F011",
                what=f"{path} cannot be read as UTF-8 text.",
                span=file_span(str(path)),
                fix="Save it as UTF-8.",
            )
        ) from error
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = re.match(_ASSIGNMENT, stripped)
        if not found:
            span = Span(file=str(path), line=number, column=1, end_line=number, end_column=len(line) + 1)
            raise DefinitionError(
                Problem(code="C506", what="This line is no assignment.", span=span, fix="Write NAME=value.")
            )
        values[found[1]] = _value(found[2])
    return values


def _value(text: str) -> str:
    found = re.match(_QUOTED, text)
    if found is None:
        return text.split(" #", 1)[0].rstrip()
    if found[1] is not None:
        return found[1]
    return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[2])


def find_env_file(folder: Path) -> Path | None:
    """The nearest ``.env`` at or above ``folder``."""
    return next(
        (path for parent in (folder, *folder.parents) if (path := parent / FILE_NAME).is_file()), None
    )
