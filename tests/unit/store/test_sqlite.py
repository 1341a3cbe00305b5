"""What only the SQLite store does; what every store does is in tests/conformance/stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.runs import a_line, a_spec, a_time

from headrace.errors import HeadraceError
from headrace.store import schema
from headrace.store.queries import SQLITE, Dialect, load_queries
from headrace.store.schema import Migration, load_migrations
from headrace.store.sql import SqlStore
from headrace.store.sqlite import SqliteDatabase, make_store

MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".headrace" / "headrace.sqlite"


@pytest.fixture
def open_it(path: Path) -> Iterator[Callable[..., SqlStore]]:
    opened: list[SqlStore] = []

    def open_one(at: Path = path, *, busy_timeout_s: float = 5.0) -> SqlStore:
        opened.append(make_store(SqliteDatabase(at, busy_timeout_s=busy_timeout_s)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def filled(open_it: Callable[..., SqlStore]) -> SqlStore:
    store = open_it()
    store.create_run(a_spec(), n_lines=3, created_at=a_time())
    store.append_lines("first", [a_line(0), a_line(1)])
    return store


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def failing(code: str, *texts: str) -> Iterator[None]:
    with pytest.raises(HeadraceError) as raised:
        yield
    problem = raised.value.problems[0]
    assert problem.code == code
    assert problem.fix
    for text in texts:
        assert text in problem.what


# Files


def test_reading_creates_nothing(open_it: Callable[..., SqlStore], path: Path, tmp_path: Path) -> None:
    store = open_it()
    assert store.list_runs() == ()
    with failing("S801"):
        store.read_run("first")
    with failing("S801"):
        store.append_lines("first", [a_line()])
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_the_first_run_creates_the_folder_and_keeps_it_out_of_git(filled: SqlStore, path: Path) -> None:
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_of_another_name_is_created_without_a_gitignore(
    open_it: Callable[..., SqlStore], tmp_path: Path
) -> None:
    store = open_it(tmp_path / "runs" / "store.db")
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    store.close()
    assert [item.name for item in (tmp_path / "runs").iterdir()] == ["store.db"]


def test_a_folder_that_is_there_already_is_left_as_it_is(
    open_it: Callable[..., SqlStore], path: Path
) -> None:
    path.parent.mkdir(parents=True)
    open_it().create_run(a_spec(), n_lines=1, created_at=a_time())
    assert not (path.parent / ".gitignore").exists()


def test_closing_leaves_one_file_with_everything_in_it(filled: SqlStore, path: Path) -> None:
    assert path.with_name(path.name + "-wal").exists()
    filled.close()
    assert sorted(item.name for item in path.parent.iterdir()) == [".gitignore", path.name]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM line").fetchone() == (2,)


def test_closing_moves_the_log_into_the_file_even_while_another_reads(
    filled: SqlStore, open_it: Callable[..., SqlStore], path: Path
) -> None:
    other = open_it()
    assert other.line_statuses("first").keys() == {0, 1}
    filled.close()
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:  # reads no log
        assert connection.execute("SELECT COUNT(*) FROM line").fetchone() == (2,)


def test_deleting_a_run_leaves_no_rows_behind(filled: SqlStore, path: Path) -> None:
    filled.delete_run("first")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM line").fetchone() == (0,)
        assert connection.execute("SELECT COUNT(*) FROM trace").fetchone() == (0,)


def test_a_closed_store_says_so(filled: SqlStore) -> None:
    filled.close()
    with failing("S803", "closed"):
        filled.read_run("first")


def test_a_store_can_be_opened_again(filled: SqlStore, open_it: Callable[..., SqlStore]) -> None:
    run = filled.read_run("first")
    filled.close()
    assert open_it().read_run("first") == run


def test_an_empty_file_is_an_empty_store(open_it: Callable[..., SqlStore], path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    assert open_it().list_runs() == ()


# Speed that can be seen without a clock


def plan(path: Path, name: str, row: dict[str, object]) -> str:
    query = load_queries(SQLITE)[name]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.bind(row)).fetchall()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize("name", ["read_run", "list_runs", "line_statuses"])
def test_totals_are_read_from_the_index_alone(filled: SqlStore, path: Path, name: str) -> None:
    row = {"name": "first", "run_id": 1, "limit": 5, "experiment": None, "source_run": None}
    row |= {"is_archived": None}
    assert "line USING COVERING INDEX line_totals (run_id=?" in plan(path, name, row)


def test_lines_are_read_in_order_without_sorting(filled: SqlStore, path: Path) -> None:
    found = plan(path, "read_lines", {"run_id": 1, "after": -1, "limit": 5})
    assert "USING INDEX sqlite_autoindex_line_1 (run_id=? AND line_number>?)" in found
    assert "TEMP B-TREE" not in found


# Versions


def with_more(more: Migration) -> Callable[[Dialect], tuple[Migration, ...]]:
    return lambda dialect: (*load_migrations(dialect), more)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(
    filled: SqlStore, open_it: Callable[..., SqlStore], path: Path
) -> None:
    filled.close()
    change(path, "INSERT INTO schema_version VALUES (99, 'future', 'now')")
    before = path.read_bytes()
    with failing("S804", "99", str(path)):
        open_it().list_runs()
    with failing("S804", "99"):
        open_it().create_run(a_spec("second"), n_lines=1, created_at=a_time())
    assert path.read_bytes() == before


def test_a_store_of_an_older_version_is_brought_up_to_date(
    filled: SqlStore,
    open_it: Callable[..., SqlStore],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled.close()
    newest = load_migrations(SQLITE)[-1].version
    more = Migration(
        version=newest + 1, name="more", statements=("CREATE TABLE more (x)", "INSERT INTO more VALUES (1)")
    )
    monkeypatch.setattr("headrace.store.sqlite.load_migrations", with_more(more))
    store = open_it()
    assert store.read_run("first").n_completed == 2
    store.close()
    open_it().list_runs()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM more").fetchone() == (1,)
        assert connection.execute("SELECT MAX(version) FROM schema_version").fetchone() == (newest + 1,)


def test_a_store_of_the_first_version_keeps_its_runs(open_it: Callable[..., SqlStore], path: Path) -> None:
    path.parent.mkdir(parents=True)
    first = load_migrations(SQLITE)[0]
    change(
        path,
        *first.statements,
        "INSERT INTO schema_version VALUES (1, 'runs', 'then')",
        "INSERT INTO run (name, status, created_at, n_lines, flow_path, flow_name, flow_digest, column_mapping,"
        " judgement, repeat, tags) VALUES ('old', 'Completed', '2026-01-02T03:04:05.678901+00:00', 2, '/f', 'f',"
        " 'ab', '{}', '{}', 0, '{\"a\":\"b\"}')",
        "INSERT INTO line VALUES (1, 0, 'Completed', 0, 0, 0, NULL, 1, 2, '', '{}', '{\"a\":\"\\u0000sha256:\"}', NULL, '[]')",
    )
    store = open_it()
    run = store.read_run("old")
    assert (run.spec.tags, run.spec.properties, run.spec.init, run.spec.resume_from) == (
        {"a": "b"},
        {},
        {},
        None,
    )
    assert (run.spec.connections, run.spec.chosen_model, run.is_archived) == ({}, None, False)
    assert store.update_run("old", is_archived=True).is_archived
    # What looks like the mark of a content was a text when it was recorded.
    assert [line.outputs for line in store.read_lines("old")] == [{"a": "\0sha256:"}]


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    filled: SqlStore,
    open_it: Callable[..., SqlStore],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled.close()
    newest = load_migrations(SQLITE)[-1].version
    bad = Migration(
        version=newest + 1, name="bad", statements=("CREATE TABLE more (x)", "CREATE TABLE more (x)")
    )
    with monkeypatch.context() as patched:
        patched.setattr("headrace.store.sqlite.load_migrations", with_more(bad))
        with failing("S803", str(path)):
            open_it().list_runs()
    assert open_it().read_run("first").n_completed == 2
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "more" not in tables
    assert schema.VERSION_TABLE in tables


def test_the_database_of_another_program_is_not_touched(open_it: Callable[..., SqlStore], path: Path) -> None:
    path.parent.mkdir(parents=True)
    change(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with failing("S803", "another program", str(path)):
        open_it().create_run(a_spec(), n_lines=1, created_at=a_time())
    assert path.read_bytes() == before


# Failures


def connection_of(store: SqlStore) -> sqlite3.Connection:
    database = store._database
    assert isinstance(database, SqliteDatabase)
    assert database._connection is not None
    return database._connection


def test_lines_are_forced_to_the_disk_with_their_commit(filled: SqlStore) -> None:
    connection = connection_of(filled)
    seen: list[tuple[str, int]] = []

    def note(statement: str) -> None:
        if statement in ("COMMIT", "BEGIN IMMEDIATE"):
            seen.append((statement, forced[-1]))
        elif statement.startswith("PRAGMA synchronous = "):
            forced.append(["OFF", "NORMAL", "FULL"].index(statement.rpartition(" ")[2]))

    forced = [connection.execute("PRAGMA synchronous").fetchone()[0]]
    connection.set_trace_callback(note)
    filled.append_lines("first", [a_line(2)])
    filled.beat_run("first", owner="nobody", at=a_time())
    connection.set_trace_callback(None)
    assert [how for statement, how in seen if statement == "COMMIT"] == [2, 1]
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1


def test_a_store_that_is_locked_says_so_after_a_while(
    filled: SqlStore, open_it: Callable[..., SqlStore], path: Path
) -> None:
    hasty = open_it(busy_timeout_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with failing("S803", "locked", str(path)):
            hasty.append_lines("first", [a_line(2)])
        assert hasty.read_run("first").n_completed == 2
        other.execute("ROLLBACK")
    hasty.append_lines("first", [a_line(2)])
    assert filled.read_run("first").n_completed == 3


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look like something" * 100, b"\0" * 4096]
)
def test_a_file_that_is_not_a_database_is_refused_and_left_alone(
    open_it: Callable[..., SqlStore], path: Path, content: bytes
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with failing("S803", str(path), "not a database"):
        open_it().list_runs()
    assert path.read_bytes() == content


def test_a_damaged_file_says_so(filled: SqlStore, open_it: Callable[..., SqlStore], path: Path) -> None:
    filled.append_lines("first", [a_line(n) for n in range(500)])
    filled.close()
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    store = open_it()
    with failing("S803", str(path), "damaged"):
        list(store.read_lines("first"))


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', ""])
def test_a_row_that_cannot_be_decoded_says_damaged(filled: SqlStore, path: Path, text: str) -> None:
    statement = f"UPDATE line SET nodes = '[{text}]' WHERE line_number = 1"
    change(path, statement)
    assert filled.read_line("first", 0) == a_line(0)
    if text:
        with failing("S803", "damaged"):
            list(filled.read_lines("first"))
    else:
        assert len(list(filled.read_lines("first"))) == 2


def test_a_folder_that_cannot_be_made_says_so(open_it: Callable[..., SqlStore], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_it(tmp_path / "file" / "runs.sqlite")
    with failing("S803", "cannot be opened"):
        store.create_run(a_spec(), n_lines=1, created_at=a_time())


def test_a_folder_in_place_of_the_file_says_so(open_it: Callable[..., SqlStore], tmp_path: Path) -> None:
    with failing("S803", "cannot be opened", str(tmp_path)):
        open_it(tmp_path).list_runs()


def test_a_read_only_store_can_be_read_but_not_written(filled: SqlStore) -> None:
    # File permissions would not stop a privileged user, so the connection itself is made read-only.
    connection_of(filled).execute("PRAGMA query_only = ON")
    with failing("S803", "read-only"):
        filled.append_lines("first", [a_line(2)])
    assert filled.read_run("first").n_completed == 2


def test_a_full_disk_says_so_and_loses_nothing(filled: SqlStore, path: Path) -> None:
    connection = connection_of(filled)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with failing("S803", "disk is full", str(path)):
        filled.append_lines("first", [a_line(2), a_line(3, outputs={"texts": ["x" * 1024] * 1024})])
    assert filled.line_statuses("first").keys() == {0, 1}
    connection.execute("PRAGMA max_page_count = 1000000")
    filled.append_lines("first", [a_line(2)])
    assert filled.line_statuses("first").keys() == {0, 1, 2}


def test_a_file_size_limit_says_so_and_loses_nothing(filled: SqlStore, path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with failing("S803", "disk", str(path)):
            filled.append_lines("first", [a_line(2, outputs={"texts": ["x" * 1024] * 2048})])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert filled.line_statuses("first").keys() == {0, 1}
    filled.append_lines("first", [a_line(2, outputs={"texts": ["x" * 1024] * 2048})])
    assert filled.line_statuses("first").keys() == {0, 1, 2}


def test_a_value_beyond_the_limits_of_the_database_says_so(filled: SqlStore) -> None:
    with failing("S803", "too large"):
        filled.append_lines("first", [a_line(2, start_ns=2**70)])
    assert filled.line_statuses("first").keys() == {0, 1}
