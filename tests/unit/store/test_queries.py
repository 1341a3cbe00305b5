from __future__ import annotations

import re
from pathlib import Path

import pytest

import headrace.store
from headrace.store.queries import POSTGRESQL, SQLITE, load_queries, parse_queries

TEXT = """-- A comment at the top.

-- name: one
-- Says what one is for.
SELECT a, b -- not a header
FROM t WHERE a = :first OR b = :second_part OR a = :first;

-- name: two
-- Says what two is for.
DELETE FROM t;
"""


def test_statements_are_split_by_their_headers() -> None:
    queries = parse_queries(TEXT, "?")
    assert list(queries) == ["one", "two"]
    assert queries["one"].description == "Says what one is for."
    assert queries["one"].sql.splitlines() == [
        "SELECT a, b -- not a header",
        "FROM t WHERE a = ? OR b = ? OR a = ?",
    ]
    assert queries["two"].sql == "DELETE FROM t"


def test_parameters_are_bound_by_name_in_the_order_of_their_marks() -> None:
    query = parse_queries(TEXT, "?")["one"]
    assert query.parameters == ("first", "second_part", "first")
    assert query.bind({"second_part": 2, "first": 1, "more": 3}) == (1, 2, 1)


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two statements are named two"):
        parse_queries(TEXT + TEXT[TEXT.index("-- name: two") :], "?")


def test_a_dialect_marks_parameters_its_own_way() -> None:
    assert (
        parse_queries(TEXT, "%s")["one"].sql.splitlines()[1]
        == "FROM t WHERE a = %s OR b = %s OR a = %s;"[:-1]
    )


def test_every_statement_has_a_name_and_a_description_and_is_used() -> None:
    folder = Path(next(iter(headrace.store.__path__)))
    source = {path.name: path.read_text("utf-8") for path in folder.glob("*.py")}
    used = {
        name: set(re.findall(r'\.(?:rows|execute|execute_many|_line_rows)\(\s*"(\w+)", ', text))
        for name, text in source.items()
    }
    listed = set(re.findall(r'_listed\("(\w+)", ', source["sql_versions.py"]))
    experiments = used["sql_experiments.py"]
    experiments |= set(re.findall(r'_change\(\s*"(\w+)", ', source["sql_experiments.py"]))
    shared = used["sql.py"] | used["sql_versions.py"] | used["sql_pieces.py"] | used["sql_evidence.py"]
    shared |= experiments | listed
    shared |= {"schema_version"}
    assert used["sqlite.py"] | used["content_files.py"] | shared == set(load_queries(SQLITE))
    assert used["postgresql.py"] | shared == set(load_queries(POSTGRESQL))
    texts = "".join(path.read_text("utf-8") for path in folder.glob("*.sql"))
    assert texts.count("-- name:") == len(load_queries(SQLITE).keys() | load_queries(POSTGRESQL).keys())
