from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runs import a_spec, a_time

from headrace.errors import UsageError
from headrace.store.memory import MemoryStore
from headrace.store.opening import open_store


@pytest.mark.parametrize(
    ("location", "file"),
    [
        ("runs.sqlite", "runs.sqlite"),
        ("deep/er/runs.sqlite", "deep/er/runs.sqlite"),
        ("sqlite:///runs.sqlite", "runs.sqlite"),
        ("SQLite:///deep/runs.sqlite", "deep/runs.sqlite"),
        ("sqlite:///{folder}/absolute.sqlite", "absolute.sqlite"),
        ("{folder}/absolute.sqlite", "absolute.sqlite"),
        ("with:colon.sqlite", "with:colon.sqlite"),
        (Path("path.sqlite"), "path.sqlite"),
        ("ümlaut ?%#.sqlite", "ümlaut ?%#.sqlite"),
    ],
)
def test_a_path_or_sqlite_url_opens_that_file(
    location: str | Path, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(location.format(folder=tmp_path) if isinstance(location, str) else location)
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    store.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / file]


@pytest.mark.parametrize("location", ["runs.sqlite", "sqlite:///runs.sqlite", Path("runs.sqlite")])
def test_a_relative_path_begins_at_the_folder(location: str | Path, tmp_path: Path) -> None:
    store = open_store(location, tmp_path)
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    store.close()
    assert tmp_path.joinpath("runs.sqlite").is_file()


@pytest.mark.parametrize("location", ["memory:", "memory://"])
def test_memory_opens_a_new_store_each_time(location: str) -> None:
    store = open_store(location)
    assert isinstance(store, MemoryStore)
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    assert open_store(location).list_runs() == ()


@pytest.mark.parametrize(
    ("location", "code", "text"),
    [
        ("postgresql://user:s3cret%zz@host/db", "C506", "PostgreSQL"),
        ("postgres://user:pw@host/db?s3cret=1", "C506", "PostgreSQL"),
        ("postgres://user:s3cret@host/db?schema=", "C506", "PostgreSQL"),
        ("postgresq://user:s3cret@host/db", "C506", '"postgresql"'),
        ("sqlit:///s3cret.db", "C506", '"sqlite"'),
        ("redis://user:s3cret@host/0", "C506", '"redis"'),
        ("sqlite://", "C506", "names no file"),
        ("sqlite:///", "C506", "names no file"),
        ("", "C506", "empty"),
        (" ", "C506", "empty"),
    ],
)
def test_any_other_location_is_refused_without_showing_it(location: str, code: str, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_store(location)
    problem = raised.value.problems[0]
    assert problem.code == code
    assert text in problem.what
    assert problem.fix
    assert "s3cret" not in str(problem)
