from __future__ import annotations

import pytest

from headrace.store.queries import POSTGRESQL, SQLITE, Dialect
from headrace.store.schema import load_migrations, split_statements


def test_statements_are_split_at_semicolons_that_end_a_line() -> None:
    text = "-- a comment; with a semicolon\nCREATE TABLE a (\n    b TEXT DEFAULT ';' -- why\n);\n\n  -- more\nDROP TABLE c;\n"
    assert split_statements(text) == ("CREATE TABLE a (\n    b TEXT DEFAULT ';' -- why\n)", "DROP TABLE c")


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda dialect: dialect.name)
def test_migrations_are_numbered_without_gaps(dialect: Dialect) -> None:
    migrations = load_migrations(dialect)
    assert [migration.version for migration in migrations] == list(range(1, len(migrations) + 1))
    assert all(migration.name and migration.statements for migration in migrations)


def test_both_dialects_have_the_same_migrations() -> None:
    sqlite, postgresql = (
        [(migration.version, migration.name) for migration in load_migrations(dialect)]
        for dialect in (SQLITE, POSTGRESQL)
    )
    assert sqlite == postgresql
