"""Runs in one SQLite file, in write-ahead-log mode: readers never wait for the writer, whatever its process.

One connection per store, guarded by a lock. A commit is in the log before the call returns: a killed process
loses nothing that was committed. A power failure may lose the last commits, but does not damage the file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from headrace.errors import StateError
from headrace.store.content_files import FileContents
from headrace.store.database import Connection, Nothing
from headrace.store.failures import (
    CLOSED,
    DAMAGED,
    DISK_FULL,
    OTHER,
    TOO_LARGE,
    Cause,
    store_failure,
    unmoved_log,
)
from headrace.store.folders import make_folder
from headrace.store.queries import SQLITE, load_queries
from headrace.store.schema import VERSION_TABLE, load_migrations
from headrace.store.sql import SqlStore, apply_migrations, check_version

ValueT = TypeVar("ValueT")

_RETRY_S = 0.005
_POLL_MS = 20
# SQLite waits longer and longer between its looks, up to 0.1 s, and starves beside writers that come again at once: so
# it is asked to begin anew after each 20 ms of waiting.
_NOT_FORCED = "PRAGMA synchronous = NORMAL"
# 40 MB of log: moving it into the file more often costs up to half of the writing speed of a large run.
_CHECKPOINT_PAGES = 10_000

_LOCKED = Cause(
    what="it is locked by another process", fix="Wait until the other process has finished, then try again."
)
_NOT_WRITABLE = "Make the file and its folder writable, or set HEADRACE_STORE to another path."
_OUT_OF_REACH = Cause(what="the file or its folder cannot be opened", fix=_NOT_WRITABLE)
_NOT_OURS = Cause(
    what="the file is the database of another program", fix="Set HEADRACE_STORE to another path."
)
# SQLite's primary result codes, whatever the extended one.
_CAUSES: Mapping[str, Cause] = {
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "FULL": DISK_FULL,
    "IOERR": Cause(
        what="the disk reported an error", fix="Check the disk and its free space, then try again."
    ),
    "READONLY": Cause(what="it is read-only", fix=_NOT_WRITABLE),
    "PERM": Cause(what="access is denied", fix=_NOT_WRITABLE),
    "CANTOPEN": _OUT_OF_REACH,
    "NOTADB": Cause(
        what="the file is not a database", fix="Set HEADRACE_STORE to another path, or move the file away."
    ),
    "CORRUPT": DAMAGED,
    "TOOBIG": TOO_LARGE,
}


def open_sqlite(location: str) -> SqlStore:
    """The store in the file at ``location``; it and its folder are created with the first run."""
    return make_store(SqliteDatabase(Path(location)))


def make_store(database: SqliteDatabase) -> SqlStore:
    """The store over ``database``, with long texts in a folder beside its file."""
    return SqlStore(database, FileContents(Path(f"{database.place}.contents")))


class SqliteDatabase:
    """Implements :class:`~headrace.store.database.Database` in one file.

    Args:
        path: The file; it and its folder are created by the first change. Reading before that finds nothing.
        busy_timeout_s: How long to wait for another process that is writing, seconds.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 30.0) -> None:
        self._path = path
        self._busy_timeout_ms = round(busy_timeout_s * 1000)
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    @property
    def place(self) -> str:
        """Path of the file."""
        return str(self._path)

    def read(self, work: Callable[[Connection], ValueT]) -> ValueT:
        """What ``work`` returns; see the protocol."""
        with self._lock, self._translated():
            return work(_Statements(self._connect()) if self._is_there() else Nothing())

    def write(
        self,
        work: Callable[[Connection], ValueT],
        *,
        is_repeatable: bool,
        makes: bool = False,
        is_lasting: bool = False,
    ) -> ValueT:
        """What ``work`` returns, committed; see the protocol. A commit that failed is known to have failed."""
        del is_repeatable
        with self._lock, self._translated():
            if not makes and not self._is_there():
                return work(Nothing())
            connection = self._connect()
            with _forced(connection) if is_lasting else nullcontext(), self._transaction(connection):
                return work(_Statements(connection))

    def close(self) -> None:
        """Move the log into the file and close it; see the protocol."""
        with self._lock:
            self._is_closed = True
            connection, self._connection = self._connection, None
            if connection is None:
                return
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error as error:
                raise unmoved_log(self.place, _cause(error), str(error)) from error
            finally:
                connection.close()

    def _is_there(self) -> bool:
        return self._connection is not None or self._path.exists()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the database and the file system raise into a :class:`StateError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._failure(_cause(error), error) from error
        except OSError as error:
            raise self._failure(_OUT_OF_REACH, error) from error
        except OverflowError as error:
            raise self._failure(TOO_LARGE, error) from error

    def _failure(self, cause: Cause, error: Exception) -> StateError:
        return store_failure(self.place, cause, str(error))

    def _connect(self) -> sqlite3.Connection:
        if self._is_closed:
            raise store_failure(self.place, CLOSED)
        if self._connection is None:
            make_folder(self._path.parent)
            connection = sqlite3.connect(
                self._path,
                timeout=self._busy_timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute(_NOT_FORCED)
                connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        migrations = load_migrations(SQLITE)
        if check_version(self._version(connection), migrations, self.place):
            return
        self._use_log(connection)
        with self._transaction(connection):
            # Read again under the write lock: another process may have done it in the meantime.
            version = self._version(connection)
            if not check_version(version, migrations, self.place):
                apply_migrations(
                    migrations,
                    version=version,
                    connection=_Statements(connection),
                    execute=connection.execute,
                )

    def _use_log(self, connection: sqlite3.Connection) -> None:
        # Two processes that make the same file at once: for this statement alone SQLite does not wait by itself.
        self._until_free(lambda: connection.execute("PRAGMA journal_mode = WAL"))

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute(f"PRAGMA busy_timeout = {min(_POLL_MS, self._busy_timeout_ms)}")
        try:
            self._until_free(lambda: connection.execute("BEGIN IMMEDIATE"))
        finally:
            connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, a full disk for one.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _until_free(self, execute: Callable[[], object]) -> None:
        """Execute a statement again while another process has the file, for as long as that is waited for."""
        end = time.monotonic() + self._busy_timeout_ms / 1000
        while True:
            try:
                execute()
                return
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > end:
                    raise
            time.sleep(_RETRY_S)

    def _version(self, connection: sqlite3.Connection) -> int:
        """The schema version of the file: 0 for an empty file.

        Raises:
            StateError: S803 for the database of another program.
        """
        tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            return 0
        if VERSION_TABLE not in tables:
            raise store_failure(self.place, _NOT_OURS)
        return int(_Statements(connection).rows("schema_version", {})[0]["version"])


def _cause(error: sqlite3.Error) -> Cause:
    name = str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_")
    return _CAUSES.get(name.partition("_")[0], OTHER)


class _Statements:
    """Implements :class:`~headrace.store.database.Connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, row: Mapping[str, Any]) -> int:
        return self._run(query, row).rowcount

    def execute_many(self, query: str, rows: Sequence[Mapping[str, Any]]) -> int:
        statement = load_queries(SQLITE)[query]
        values = [statement.bind(row) for row in rows]
        n_before = self._connection.total_changes
        try:
            self._connection.executemany(statement.sql, values)
        except UnicodeEncodeError:  # what was changed before the value that is not UTF-8 counts as well
            self._connection.executemany(statement.sql, map(_encodable, values))
        return self._connection.total_changes - n_before

    def rows(self, query: str, row: Mapping[str, Any]) -> Sequence[sqlite3.Row]:
        return self._run(query, row).fetchall()

    def _run(self, query: str, row: Mapping[str, Any]) -> sqlite3.Cursor:
        statement = load_queries(SQLITE)[query]
        values = statement.bind(row)
        try:
            return self._connection.execute(statement.sql, values)
        except UnicodeEncodeError:
            return self._connection.execute(statement.sql, _encodable(values))


def _encodable(values: Sequence[Any]) -> tuple[Any, ...]:
    # A lone surrogate, as in a file name or half of an emoji, is not UTF-8. Written as \udXXX it is what JSON
    # itself would escape it to, so plain data reads back unchanged.
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for value in values
    )


@contextmanager
def _forced(connection: sqlite3.Connection) -> Iterator[None]:
    """Force the log to the disk with the commits of a block, and all that was committed before."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection.execute(_NOT_FORCED)
