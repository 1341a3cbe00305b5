"""Runs in one SQLite file, in write-ahead-log mode: readers never wait for the writer, whatever its process.

One connection per store, guarded by a lock. A commit is in the log before the call returns: a killed process
loses nothing that was committed. A power failure may lose the last commits, but does not damage the file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from headrace.config import STATE_FOLDER
from headrace.domain.run import LineResult, NodeResult, Run, RunSpec
from headrace.domain.span import SpanRecord
from headrace.errors import Problem, StateError, UsageError
from headrace.store.base import AGGREGATION_LINE, taken_run, unknown_run
from headrace.store.queries import load_queries
from headrace.store.records import (
    decode_spans,
    encode_spans,
    finish_row,
    line_from_row,
    line_row,
    run_from_row,
    run_row,
    update_row,
)
from headrace.store.schema import VERSION_TABLE, Migration, load_migrations

ValueT = TypeVar("ValueT")

_PAGE_LINES = 64
_NO_LIMIT = 2**62
_RETRY_S = 0.005
# 40 MB of log: moving it into the file more often costs up to half of the writing speed of a large run.
_CHECKPOINT_PAGES = 10_000

_LOCKED = ("it is locked by another process", "Wait until the other process has finished, then try again.")
_NOT_WRITABLE = "Make the file and its folder writable, or set HEADRACE_STORE to another path."
# SQLite's primary result codes, whatever the extended one: what happened, and what to do about it.
_CAUSES: Mapping[str, tuple[str, str]] = {
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "FULL": ("the disk is full", "Free some space, then try again; what was recorded before is safe."),
    "IOERR": ("the disk reported an error", "Check the disk and its free space, then try again."),
    "READONLY": ("it is read-only", _NOT_WRITABLE),
    "PERM": ("access is denied", _NOT_WRITABLE),
    "CANTOPEN": ("the file or its folder cannot be opened", _NOT_WRITABLE),
    "NOTADB": ("the file is not a database", "Set HEADRACE_STORE to another path, or move the file away."),
    "CORRUPT": ("the file is damaged", "Move the file away to start a new store, or restore it from a copy."),
    "TOOBIG": ("a value is too large for it", "Let the flow give back less: a path instead of content."),
}
_OTHER = ("the database failed", "Try again; if it stays, move the file away to start a new store.")


class _DamagedRowError(Exception):
    """A row that SQLite reads but that does not hold one of our records."""


def open_sqlite(location: str) -> SqliteStore:
    """The store in the file at ``location``."""
    return SqliteStore(Path(location))


class SqliteStore:
    """Implements :class:`~headrace.store.base.RunStore` in one file. Safe for use from several threads.

    Args:
        path: The file; it and its folder are created with the first run. Reading before that finds no runs.
        busy_timeout_s: How long to wait for another process that is writing, seconds.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 10.0) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    def create_run(self, spec: RunSpec, *, n_lines: int, created_at: datetime) -> Run:
        """Create a run; see the protocol."""
        row = run_row(spec, n_lines=n_lines, created_at=created_at)
        with self._lock, self._translated():
            connection = self._connect()
            with _transaction(connection):
                if _execute(connection, "create_run", row).rowcount == 0:
                    raise taken_run(spec.name)
        return self.read_run(spec.name)

    def append_lines(self, run: str, results: Sequence[LineResult]) -> None:
        """Record line results; see the protocol."""
        rows = [line_row(result) for result in results]
        with self._changing(run) as (connection, run_id):
            for row in rows:
                row["run_id"] = run_id
            _execute_many(connection, "append_line", rows)
            _execute_many(connection, "append_trace", rows)

    def finish_run(
        self,
        run: str,
        *,
        status: str,
        finished_at: datetime,
        metrics: Mapping[str, Any],
        aggregation: Sequence[NodeResult] = (),
        problem: Problem | None = None,
        spans: Sequence[SpanRecord] = (),
    ) -> Run:
        """Close a run; see the protocol."""
        row = finish_row(
            status=status,
            finished_at=finished_at,
            metrics=metrics,
            aggregation=aggregation,
            problem=problem,
        )
        trace = {"line_number": AGGREGATION_LINE, "spans": encode_spans(spans)}
        with self._changing(run) as (connection, run_id):
            _execute(connection, "finish_run", {"name": run, **row})
            _execute(connection, "append_trace", {"run_id": run_id, **trace})
        return self.read_run(run)

    def update_run(
        self,
        run: str,
        *,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        is_archived: bool | None = None,
    ) -> Run:
        """Change what people note about a run; see the protocol."""
        row = update_row(
            display_name=display_name, description=description, tags=tags, is_archived=is_archived
        )
        with self._changing(run) as (connection, _):
            _execute(connection, "update_run", {"name": run, **row})
        return self.read_run(run)

    def read_run(self, run: str) -> Run:
        """One run; see the protocol."""
        with self._reading() as connection:
            rows = _rows(connection, "read_run", {"name": run})
            if not rows:
                raise _unknown(connection, run)
            return _decoded(run_from_row, rows[0])

    def list_runs(
        self,
        *,
        limit: int | None = None,
        experiment: str | None = None,
        source_run: str | None = None,
        is_archived: bool | None = None,
    ) -> tuple[Run, ...]:
        """Runs, newest first; see the protocol."""
        wanted = {
            "limit": _NO_LIMIT if limit is None else limit,
            "experiment": experiment,
            "source_run": source_run,
            "is_archived": is_archived,
        }
        with self._reading() as connection:
            return tuple(_decoded(run_from_row, row) for row in _rows(connection, "list_runs", wanted))

    def read_lines(self, run: str, *, limit: int | None = None) -> Iterator[LineResult]:
        """Line results in order; see the protocol."""
        with self._reading() as connection:
            run_id = _run_id(connection, run)
        return self._iterate_lines(run_id, _NO_LIMIT if limit is None else limit)

    def read_line(self, run: str, line_number: int) -> LineResult | None:
        """One line result with its spans; see the protocol."""
        with self._reading() as connection:
            place = {"run_id": _run_id(connection, run), "line_number": line_number}
            rows = _rows(connection, "read_line", place)
            if not rows:
                return None
            traces = _rows(connection, "read_trace", place)
            return replace(_decoded(line_from_row, rows[0]), spans=_spans(traces))

    def read_spans(self, run: str, line_number: int = AGGREGATION_LINE) -> tuple[SpanRecord, ...]:
        """Spans of one line or of the aggregation; see the protocol."""
        with self._reading() as connection:
            place = {"run_id": _run_id(connection, run), "line_number": line_number}
            return _spans(_rows(connection, "read_trace", place))

    def line_statuses(self, run: str) -> Mapping[int, str]:
        """The status of every line; see the protocol."""
        with self._reading() as connection:
            rows = _rows(connection, "line_statuses", {"run_id": _run_id(connection, run)})
            return {row["line_number"]: row["status"] for row in rows}

    def delete_spans(self, run: str, *, started_before_ns: int | None = None) -> int:
        """Delete the spans of a run; see the protocol."""
        with self._changing(run) as (connection, run_id):
            row = {"run_id": run_id, "started_before_ns": started_before_ns, "none": encode_spans(())}
            return _execute(connection, "delete_spans", row).rowcount

    def delete_run(self, run: str) -> None:
        """Delete a run; see the protocol."""
        with self._changing(run) as (connection, _):
            _execute(connection, "delete_run", {"name": run})

    def close(self) -> None:
        """Move the log into the file and close it; see the protocol."""
        with self._lock:
            self._is_closed = True
            connection, self._connection = self._connection, None
            if connection is None:
                return
            with self._translated():
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                finally:
                    connection.close()

    def _iterate_lines(self, run_id: int, limit: int) -> Iterator[LineResult]:
        # A page at a time: no read transaction stays open between lines, memory does not grow with the run.
        after = AGGREGATION_LINE
        while limit > 0:
            page = {"run_id": run_id, "after": after, "limit": min(limit, _PAGE_LINES)}
            with self._reading() as connection:
                results = [_decoded(line_from_row, row) for row in _rows(connection, "read_lines", page)]
            if not results:
                return
            yield from results
            after = results[-1].line_number
            limit -= len(results)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection under the lock; ``None`` while there is no file."""
        with self._lock, self._translated():
            if self._connection is None and not self._path.exists():
                yield None
            else:
                yield self._connect()

    @contextmanager
    def _changing(self, run: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        """The connection under the lock, in one transaction, with the row id of an existing run."""
        with self._reading() as connection:
            if connection is None:
                raise unknown_run(run, ())
            with _transaction(connection):
                yield connection, _run_id(connection, run)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the database, the file system and the decoding raise into a :class:`StateError`."""
        try:
            yield
        except sqlite3.Error as error:
            name = str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_")
            cause, fix = _CAUSES.get(name.partition("_")[0], _OTHER)
            raise self._failure(cause, fix, error) from error
        except OSError as error:
            raise self._failure(*_CAUSES["CANTOPEN"], error) from error
        except OverflowError as error:
            raise self._failure(*_CAUSES["TOOBIG"], error) from error
        except _DamagedRowError as error:
            raise self._failure(*_CAUSES["CORRUPT"], error) from error

    def _failure(self, cause: str, fix: str, error: Exception) -> StateError:
        what = f"The store {self._path} cannot be used: {cause}."
        return StateError(Problem(code="S803", what=what, fix=fix, detail=(str(error),)))

    def _connect(self) -> sqlite3.Connection:
        if self._is_closed:
            what = f"The store {self._path} cannot be used: it has been closed."
            raise StateError(Problem(code="S803", what=what, fix="Open the store again."))
        if self._connection is None:
            _make_folder(self._path.parent)
            connection = sqlite3.connect(
                self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        newest = load_migrations()[-1].version
        if self._version(connection, newest) == newest:
            return
        self._use_log(connection)
        with _transaction(connection):
            # Read again under the write lock: another process may have done it in the meantime.
            version = self._version(connection, newest)
            for migration in load_migrations():
                if migration.version > version:
                    _apply(connection, migration)

    def _use_log(self, connection: sqlite3.Connection) -> None:
        # Two processes that make the same file at once: for this statement alone SQLite does not wait by itself.
        end = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > end:
                    raise
            time.sleep(_RETRY_S)

    def _version(self, connection: sqlite3.Connection, newest: int) -> int:
        """The schema version of the file: 0 for an empty file.

        Raises:
            StateError: S804 for the file of a newer headrace, S803 for the database of another program.
        """
        tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            return 0
        if VERSION_TABLE not in tables:
            what = f"The store {self._path} cannot be used: the file is the database of another program."
            raise StateError(Problem(code="S803", what=what, fix="Set HEADRACE_STORE to another path."))
        version = int(_rows(connection, "schema_version", {})[0]["version"])
        if version > newest:
            what = f"The store {self._path} has schema version {version}; this headrace knows up to {newest}."
            fix = "Update headrace, or set HEADRACE_STORE to another path."
            raise StateError(Problem(code="S804", what=what, fix=fix))
        return version


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder.name == STATE_FOLDER:
        folder.joinpath(".gitignore").write_text("*\n", "utf-8")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in migration.statements:
        connection.execute(statement)
    _execute(connection, "record_migration", {"version": migration.version, "name": migration.name})


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk for one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _execute(connection: sqlite3.Connection, name: str, row: Mapping[str, Any]) -> sqlite3.Cursor:
    query = load_queries()[name]
    values = query.bind(row)
    try:
        return connection.execute(query.sql, values)
    except UnicodeEncodeError:
        return connection.execute(query.sql, _encodable(values))


def _execute_many(connection: sqlite3.Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    query = load_queries()[name]
    values = [query.bind(row) for row in rows]
    try:
        connection.executemany(query.sql, values)
    except UnicodeEncodeError:
        connection.executemany(query.sql, map(_encodable, values))


def _encodable(values: Sequence[Any]) -> tuple[Any, ...]:
    # A lone surrogate, as in a file name or half of an emoji, is not UTF-8. Written as \udXXX it is what JSON
    # itself would escape it to, so plain data reads back unchanged.
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for value in values
    )


def _rows(
    connection: sqlite3.Connection | None, query: str, parameters: Mapping[str, Any]
) -> Sequence[sqlite3.Row]:
    return [] if connection is None else _execute(connection, query, parameters).fetchall()


def _run_id(connection: sqlite3.Connection | None, run: str) -> int:
    rows = _rows(connection, "find_run", {"name": run})
    if not rows:
        raise _unknown(connection, run)
    return int(rows[0]["id"])


def _unknown(connection: sqlite3.Connection | None, run: str) -> UsageError:
    return unknown_run(run, tuple(row["name"] for row in _rows(connection, "run_names", {})))


def _spans(traces: Sequence[sqlite3.Row]) -> tuple[SpanRecord, ...]:
    return _decoded(lambda row: decode_spans(row["spans"]), traces[0]) if traces else ()


def _decoded(decode: Callable[[sqlite3.Row], ValueT], row: sqlite3.Row) -> ValueT:
    try:
        return decode(row)
    except (ValueError, KeyError, TypeError) as error:
        what = f"a row does not hold what it should: {type(error).__name__}"
        raise _DamagedRowError(what) from error
