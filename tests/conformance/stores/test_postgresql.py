"""What only the PostgreSQL store does; what every store does is in the other modules of this folder."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.support.postgresql import PASSWORD, USER, Server
from tests.support.runs import a_line, a_spec, a_time

from headrace.errors import HeadraceError
from headrace.store.database import Connection
from headrace.store.opening import open_store
from headrace.store.postgresql import PostgresqlDatabase, make_store, parse_address
from headrace.store.queries import Dialect
from headrace.store.schema import Migration, load_migrations
from headrace.store.sql import SqlStore

Open = Callable[..., SqlStore]


@pytest.fixture
def location(postgresql: Server) -> str:
    return postgresql.new_location()


@pytest.fixture
def schema(location: str) -> str:
    return parse_address(location.partition("://")[2]).schema


@pytest.fixture
def open_it(location: str) -> Iterator[Open]:
    opened: list[SqlStore] = []

    def open_one(at: str = location, *, patience_s: float = 20.0) -> SqlStore:
        address = parse_address(at.partition("://")[2])
        opened.append(make_store(PostgresqlDatabase(address, patience_s=patience_s)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def filled(open_it: Open) -> SqlStore:
    store = open_it()
    store.create_run(a_spec(), n_lines=3, created_at=a_time())
    store.append_lines("first", [a_line(0), a_line(1)])
    return store


@contextmanager
def failing(code: str, *texts: str) -> Iterator[None]:
    with pytest.raises(HeadraceError) as raised:
        yield
    problem = raised.value.problems[0]
    assert problem.code == code
    assert problem.fix
    for text in texts:
        assert text in problem.what
    assert PASSWORD not in str(problem.to_json())


def end_sessions(server: Server) -> None:
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headrace'")


def fail_at(server: Server, schema: str, table: str, action: str, *, when: str = "", times: int = 1) -> None:
    """Let inserting into a table do ``action`` the first ``times`` times: rolled back, a sequence counts on."""
    server.sql(
        f'CREATE SEQUENCE "{schema}".attempts',
        f'CREATE FUNCTION "{schema}".fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN'
        f" IF nextval('\"{schema}\".attempts') <= {times} THEN {action}; END IF; RETURN NEW; END $$",
        f'CREATE {"CONSTRAINT " if when else ""}TRIGGER fail AFTER INSERT ON "{schema}".{table} {when}'
        f' FOR EACH ROW EXECUTE FUNCTION "{schema}".fail()',
    )


AT_COMMIT = "DEFERRABLE INITIALLY DEFERRED"
END_SESSION = "PERFORM pg_terminate_backend(pg_backend_pid())"


# Schemas


def test_reading_makes_nothing(open_it: Open, postgresql: Server, schema: str) -> None:
    store = open_it()
    assert store.list_runs() == ()
    with failing("S801"):
        store.read_run("first")
    with failing("S801"):
        store.append_lines("first", [a_line()])
    assert postgresql.sql(f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'") == ""


def test_a_store_that_was_open_before_the_first_run_sees_it(open_it: Open) -> None:
    early = open_it()
    assert early.list_runs() == ()
    open_it().create_run(a_spec(), n_lines=1, created_at=a_time())
    assert early.read_run("first").n_lines == 1


def test_the_schema_is_named_after_headrace_unless_the_address_says_otherwise(postgresql: Server) -> None:
    with closing(open_store(postgresql.location("x").partition("&schema")[0])) as store:
        store.create_run(a_spec(), n_lines=1, created_at=a_time())
        assert postgresql.sql("SELECT name FROM headrace.run") == "first"
        store.delete_run("first")


def test_both_databases_have_the_same_columns(
    filled: SqlStore, postgresql: Server, schema: str, tmp_path: Path
) -> None:
    found = postgresql.sql(
        "SELECT table_name || '.' || column_name FROM information_schema.columns"
        f" WHERE table_schema = '{schema}'"
    )
    path = tmp_path / "runs.sqlite"
    with closing(open_store(path)) as store:
        store.create_run(a_spec(), n_lines=1, created_at=a_time())
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        )
        assert {name for (name,) in rows} == set(found.splitlines()) - {"content.digest", "content.data"}


def test_a_store_of_a_newer_version_is_refused(
    filled: SqlStore, open_it: Open, postgresql: Server, schema: str
) -> None:
    postgresql.sql(f"INSERT INTO \"{schema}\".schema_version VALUES (99, 'future', 'now')")
    with failing("S804", "99", schema):
        open_it().list_runs()
    with failing("S804", "99"):
        open_it().create_run(a_spec("second"), n_lines=1, created_at=a_time())


def with_more(more: Migration) -> Callable[[Dialect], tuple[Migration, ...]]:
    return lambda dialect: (*load_migrations(dialect), more)


def test_a_store_of_an_older_version_is_brought_up_to_date_once(
    filled: SqlStore, open_it: Open, postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = len(load_migrations(Dialect(name="postgresql", mark="%s")))
    more = Migration(version=newest + 1, name="more", statements=("CREATE TABLE more (x INTEGER)",))
    monkeypatch.setattr("headrace.store.postgresql.load_migrations", with_more(more))
    for _ in range(2):
        assert open_it().read_run("first").n_completed == 2
    assert postgresql.sql(f'SELECT MAX(version) FROM "{schema}".schema_version') == str(newest + 1)


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    filled: SqlStore, open_it: Open, postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Migration(
        version=98, name="bad", statements=("CREATE TABLE more (x INTEGER)", "CREATE TABLE run (x INTEGER)")
    )
    with monkeypatch.context() as patched:
        patched.setattr("headrace.store.postgresql.load_migrations", with_more(bad))
        with failing("S803", schema):
            open_it().list_runs()
    assert open_it().read_run("first").n_completed == 2
    assert postgresql.sql(f"SELECT to_regclass('\"{schema}\".more') IS NULL") == "t"


def test_a_run_goes_on_while_a_newer_version_adds_columns(
    filled: SqlStore, postgresql: Server, schema: str
) -> None:
    for _ in range(8):  # the driver prepares a statement that is executed often
        filled.read_run("first")
    postgresql.sql(f'ALTER TABLE "{schema}".run ADD COLUMN more INTEGER')
    assert filled.read_run("first").n_completed == 2


def test_the_schema_of_another_program_is_not_touched(open_it: Open, postgresql: Server, schema: str) -> None:
    postgresql.sql(f'CREATE SCHEMA "{schema}"', f'CREATE TABLE "{schema}".theirs (x INTEGER)')
    with failing("S803", "another program", schema):
        open_it().create_run(a_spec(), n_lines=1, created_at=a_time())
    assert postgresql.sql(f"SELECT to_regclass('\"{schema}\".run') IS NULL") == "t"


def test_a_database_without_unicode_is_refused(open_it: Open, postgresql: Server) -> None:
    postgresql.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with failing("S803", "Unicode"):
        open_it(postgresql.location("x", database="latin")).list_runs()


# Rights and secrets


def test_a_password_with_odd_letters_opens_the_store(open_it: Open, postgresql: Server) -> None:
    store = open_it(postgresql.location("team", user="team"))
    store.create_run(a_spec(), n_lines=1, created_at=a_time())
    database = store._database
    assert isinstance(database, PostgresqlDatabase)
    for text in (
        database.place,
        repr(store),
        repr(database),
        repr(database._address),
        str(database._address),
    ):
        assert PASSWORD not in text
        assert "team:" not in text


def test_a_wrong_password_is_refused_without_showing_it(open_it: Open, postgresql: Server) -> None:
    location = postgresql.location("team", user="team").replace("team:", "team:Wr0ng")
    with pytest.raises(HeadraceError) as raised:
        open_it(location).list_runs()
    problem = raised.value.problems[0]
    assert problem.code == "S803"
    assert "Wr0ng" not in str(problem.to_json())
    assert "team" in problem.detail[0]


def test_a_user_without_rights_is_told_so(
    filled: SqlStore, open_it: Open, postgresql: Server, schema: str
) -> None:
    team = open_it(postgresql.location(schema, user="team"))
    with failing("S803", "may not see them"):
        team.list_runs()
    postgresql.sql(f'GRANT USAGE ON SCHEMA "{schema}" TO team')
    with failing("S803", "access is denied"):
        team.list_runs()
    postgresql.sql(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO team')
    assert team.read_run("first").n_completed == 2
    with failing("S803", "access is denied"):
        team.append_lines("first", [a_line(2)])


def test_a_user_who_may_only_read_can_read(filled: SqlStore, open_it: Open, location: str) -> None:
    reader = open_it(location + "&options=-cdefault_transaction_read_only%3Don")
    assert reader.read_run("first").n_completed == 2
    with failing("S803", "read-only"):
        reader.append_lines("first", [a_line(2)])


def test_a_lock_that_lasts_says_so_and_changes_nothing(
    filled: SqlStore, open_it: Open, location: str
) -> None:
    hasty = open_it(location + "&options=-clock_timeout%3D50ms")

    def hold(connection: Connection) -> None:
        connection.execute("delete_run", {"name": "first"})
        with failing("S803", "locked"):
            hasty.update_run("first", description="x")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        filled._database.write(hold, is_repeatable=False)
    assert hasty.update_run("first", description="y").n_completed == 2


def test_a_session_neither_waits_nor_holds_up_others_for_ever(
    filled: SqlStore, open_it: Open, location: str
) -> None:
    def limits(store: SqlStore) -> list[str]:
        database = store._database
        assert isinstance(database, PostgresqlDatabase)
        assert database._session is not None
        names = ("lock_timeout", "idle_in_transaction_session_timeout")
        rows = [
            database._session.execute("SELECT current_setting(%s) AS it", (name,)).fetchone()
            for name in names
        ]
        return [row["it"] for row in rows if row]

    assert limits(filled) == ["30s", "1min"]
    chosen = open_it(location + "&options=-clock_timeout%3D5s")
    chosen.list_runs()
    assert limits(chosen) == ["5s", "1min"]


# Lost connections


def test_a_server_that_does_not_run_is_out_of_reach_at_once(open_it: Open, tmp_path: Path) -> None:
    began = time.monotonic()
    with failing("S803", "no connection could be made", "/runs"):
        open_it(f"postgresql://{USER}@/runs?host={tmp_path}").list_runs()
    assert time.monotonic() - began < 5


def test_a_session_that_was_ended_is_made_again(filled: SqlStore, postgresql: Server) -> None:
    end_sessions(postgresql)
    filled.append_lines("first", [a_line(2)])
    end_sessions(postgresql)
    assert filled.line_statuses("first").keys() == {0, 1, 2}


def test_a_run_goes_on_after_the_server_was_restarted(filled: SqlStore, postgresql: Server) -> None:
    reading = filled.read_lines("first")
    assert next(reading).line_number == 0
    postgresql.stop()
    # The thread that starts the server must live as long as the server: the kernel stops it with its parent.
    appending = threading.Thread(target=filled.append_lines, args=("first", [a_line(2)]))
    appending.start()
    postgresql.start()
    appending.join()
    assert filled.line_statuses("first").keys() == {0, 1, 2}
    assert [line.line_number for line in reading] == [1, 2]


def test_a_server_that_stays_away_ends_with_a_clear_error_and_what_was_recorded_is_there(
    open_it: Open, filled: SqlStore, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = open_it(patience_s=0.1)
    assert hasty.read_run("first").n_completed == 2
    postgresql.stop()
    with failing("S803", "connection was lost", "postgres"):
        hasty.append_lines("first", [a_line(2)])
    attempts, connect = [], psycopg.connect
    monkeypatch.setattr(psycopg, "connect", lambda **given: attempts.append(given) or connect(**given))
    with failing("S803", "connection was lost", "postgres"):
        hasty.append_lines("first", [a_line(2)])
    assert len(attempts) == 1  # the end of a run does not wait as long again for each thing that it records
    postgresql.start()
    hasty.append_lines("first", [a_line(2)])
    assert filled.line_statuses("first").keys() == {0, 1, 2}


def test_lines_whose_commit_was_not_heard_of_are_recorded_again(
    filled: SqlStore, postgresql: Server, schema: str
) -> None:
    fail_at(postgresql, schema, "line", END_SESSION, when=AT_COMMIT)
    filled.append_lines("first", [a_line(2), a_line(3)])
    assert filled.line_statuses("first").keys() == {0, 1, 2, 3}


def test_a_run_whose_commit_was_not_heard_of_is_not_made_twice(
    filled: SqlStore, postgresql: Server, schema: str
) -> None:
    fail_at(postgresql, schema, "run", END_SESSION, when=AT_COMMIT)
    with failing("S803", "may have happened or not"):
        filled.create_run(a_spec("second"), n_lines=1, created_at=a_time())
    filled.create_run(a_spec("second"), n_lines=1, created_at=a_time())


def test_a_run_that_was_lost_before_its_commit_is_made_again(
    filled: SqlStore, postgresql: Server, schema: str
) -> None:
    fail_at(postgresql, schema, "run", END_SESSION)
    assert filled.create_run(a_spec("second"), n_lines=1, created_at=a_time()).n_lines == 1


# What the server reports


def raise_code(code: str) -> str:
    return f"RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '{code}', DETAIL = 'a secret value'"


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_deadlock_is_resolved_by_doing_it_again(
    filled: SqlStore, postgresql: Server, schema: str, code: str
) -> None:
    fail_at(postgresql, schema, "line", raise_code(code), times=2)
    filled.append_lines("first", [a_line(2), a_line(3)])
    assert filled.line_statuses("first").keys() == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("53100", "disk is full"),
        ("53200", "out of connections or memory"),
        ("54000", "too large"),
        ("55P03", "locked"),
        ("57014", "locked"),
        ("XX001", "damaged"),
        ("23514", "the database failed"),
    ],
)
def test_what_fails_says_so_and_changes_nothing(
    filled: SqlStore, postgresql: Server, schema: str, code: str, text: str
) -> None:
    fail_at(postgresql, schema, "line", raise_code(code))
    with pytest.raises(HeadraceError) as raised:
        filled.append_lines("first", [a_line(2)])
    problem = raised.value.problems[0]
    assert (problem.code, problem.detail) == ("S803", ("as the test wants it",))
    assert text in problem.what
    assert filled.line_statuses("first").keys() == {0, 1}


def test_a_value_beyond_the_limits_of_the_database_says_so(filled: SqlStore) -> None:
    with failing("S803", "too large"):
        filled.append_lines("first", [a_line(2, start_ns=2**70)])
    assert filled.line_statuses("first").keys() == {0, 1}


def test_a_row_that_cannot_be_decoded_says_damaged(filled: SqlStore, postgresql: Server, schema: str) -> None:
    postgresql.sql(f"UPDATE \"{schema}\".line SET nodes = '[1]' WHERE line_number = 1")
    assert filled.read_line("first", 0) == a_line(0)
    with failing("S803", "damaged"):
        filled.read_line("first", 1)


def test_a_closed_store_says_so(filled: SqlStore) -> None:
    filled.close()
    with failing("S803", "closed"):
        filled.read_run("first")


def test_deleting_a_run_leaves_no_rows_behind(filled: SqlStore, postgresql: Server, schema: str) -> None:
    filled.delete_run("first")
    assert (
        postgresql.sql(
            f'SELECT (SELECT COUNT(*) FROM "{schema}".line) + (SELECT COUNT(*) FROM "{schema}".trace)'
        )
        == "0"
    )
