"""The named statements of ``queries.sql``, read once for each dialect.

Statements that only one database needs stand in ``queries.sqlite.sql`` and ``queries.postgresql.sql``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

_HEADER = re.compile(r"^-- name: (?P<name>\w+)\n-- (?P<description>.+)\n", re.MULTILINE)
_PARAMETER = re.compile(r":([a-z_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between two databases that share their statements.

    Attributes:
        name: Stands in the names of the files that only this database reads.
        mark: How a statement marks a parameter.
    """

    name: str
    mark: str


SQLITE = Dialect(name="sqlite", mark="?")
POSTGRESQL = Dialect(name="postgresql", mark="%s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement.

    Attributes:
        description: What it is for.
        sql: Its SQL, with the dialect's mark for each parameter.
        parameters: Names of the parameters in the order of the marks; a name may occur more than once.
    """

    name: str
    description: str
    sql: str
    parameters: tuple[str, ...]

    def bind(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of the parameters, taken from the columns of ``row`` by name."""
        return tuple([row[name] for name in self.parameters])


@cache
def load_queries(dialect: Dialect) -> Mapping[str, Query]:
    """Every statement by name, as ``dialect`` writes it."""
    names = ("queries.sql", f"queries.{dialect.name}.sql")
    text = "".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)
    return parse_queries(text, dialect.mark)


def parse_queries(text: str, mark: str) -> Mapping[str, Query]:
    """Split ``text`` into statements by their ``-- name:`` headers.

    Raises:
        ValueError: When two statements share a name.
    """
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    queries: dict[str, Query] = {}
    for header, end in zip(headers, ends, strict=True):
        name = header["name"]
        if name in queries:
            what = f"two statements are named {name}"
            raise ValueError(what)
        sql = text[header.end() : end].strip().removesuffix(";")
        queries[name] = Query(
            name=name,
            description=header["description"],
            sql=_PARAMETER.sub(mark, sql),
            parameters=tuple(_PARAMETER.findall(sql)),
        )
    return MappingProxyType(queries)
