"""Numbered migrations: each number of ``migrations/`` is applied once, in order, and recorded.

``0002_name.sql`` is for every database. Where they have to differ, a number has a file for each of them instead:
``0001_name.sqlite.sql`` and ``0001_name.postgresql.sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from headrace.store.queries import Dialect

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)(?:\.(?P<dialect>\w+))?\.sql")
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
def load_migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Every migration of ``dialect`` in order of its number."""
    return tuple(_read_migrations(Path(__file__).with_name("migrations"), dialect))


def _read_migrations(folder: Path, dialect: Dialect) -> Iterator[Migration]:
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match and match["dialect"] in (None, dialect.name):
            yield Migration(
                version=int(match["version"]),
                name=match["name"],
                statements=split_statements(path.read_text("utf-8")),
            )


def split_statements(text: str) -> tuple[str, ...]:
    """The statements of a migration, without comments; a semicolon at the end of a line ends a statement."""
    parts = re.split(r";\s*$", _COMMENT.sub("", text), flags=re.MULTILINE)
    return tuple(part.strip() for part in parts if part.strip())
