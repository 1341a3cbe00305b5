"""Numbered migrations: each file of ``migrations/`` is applied once, in order, together with its number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.sql")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)

VERSION_TABLE = "schema_version"
"""The table that the first migration makes and that every applied migration is recorded in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema: its number, its name and its statements."""

    version: int
    name: str
    statements: tuple[str, ...]


@cache
def load_migrations() -> tuple[Migration, ...]:
    """Every migration in order of its number."""
    return tuple(_read_migrations(Path(__file__).with_name("migrations")))


def _read_migrations(folder: Path) -> Iterator[Migration]:
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match:
            yield Migration(
                version=int(match["version"]),
                name=match["name"],
                statements=split_statements(path.read_text("utf-8")),
            )


def split_statements(text: str) -> tuple[str, ...]:
    """The statements of a migration, without comments; a semicolon at the end of a line ends a statement."""
    parts = re.split(r";\s*$", _COMMENT.sub("", text), flags=re.MULTILINE)
    return tuple(part.strip() for part in parts if part.strip())
