from __future__ import annotations

import importlib
import sys

import pytest

from headrace.errors import UsageError
from headrace.store.opening import open_store
from headrace.store.postgresql import parse_address


@pytest.mark.parametrize(
    ("location", "expected", "schema", "place"),
    [
        (
            "ann:s%2Fcret@db.example:5433/runs",
            {"user": "ann", "password": "s/cret", "host": "db.example", "port": "5433", "dbname": "runs"},
            "headrace",
            "postgresql://db.example:5433/runs",
        ),
        (
            "ann:a?b&schema=no@db/runs?schema=team%20a&sslmode=require",
            {"password": "a?b&schema=no", "host": "db", "sslmode": "require"},
            "team a",
            "postgresql://db/runs?schema=team a",
        ),
        ("/runs?host=%2Frun", {"host": "/run", "dbname": "runs"}, "headrace", "postgresql:///runs?host=/run"),
        ("a:1,b:2/runs", {"host": "a,b", "port": "1,2"}, "headrace", "postgresql://a,b:1,2/runs"),
        (
            "[::1]/runs?connect_timeout=3",
            {"host": "::1", "connect_timeout": "3"},
            "headrace",
            "postgresql://::1/runs",
        ),
        ("", {}, "headrace", "postgresql:///"),
    ],
)
def test_an_address_is_libpqs_with_a_schema(
    location: str, expected: dict[str, str], schema: str, place: str
) -> None:
    address = parse_address(location)
    assert expected.items() <= address.parameters.items()
    assert (address.schema, address.place) == (schema, place)
    assert "schema" not in address.parameters
    assert address.parameters["application_name"] == "headrace"


@pytest.mark.parametrize(
    "location",
    [
        "ann:secret%zz@db/runs",
        "db/runs?secret=1",
        "db/runs?schema=",
        "ann:secret@[::1/db",
        "db/%00secret",
        "ann:pa@secret@db/runs",
        "ann:pa/secret@db/runs",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_showing_it(location: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_address(location)
    problem = raised.value.problems[0]
    assert problem.code == "C506"
    assert "secret" not in str(problem.to_json())
    assert raised.value.__cause__ is None


def test_without_its_extra_postgresql_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "headrace.store.postgresql")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError) as raised:
        open_store("postgresql://ann:secret@db/runs")
    problem = raised.value.problems[0]
    assert problem.code == "C505"
    assert "headrace[postgres]" in (problem.fix or "")
    assert "secret" not in str(problem.to_json())
    monkeypatch.undo()
    importlib.import_module("headrace.store.postgresql")
