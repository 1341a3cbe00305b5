"""Runs in one schema of a PostgreSQL database, for a team that shares them. Needs the extra ``postgres``.

One connection per store, guarded by a lock. Where it is lost, it is made again for a while, and what was being done
is done again: a run goes on after the server was restarted. Only a change whose commit may have arrived although its
answer was lost, and that must not be made twice, ends with an error instead.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.string import StrDumper

from headrace.errors import Problem, StateError, UsageError
from headrace.store.database import Connection, Database, Nothing
from headrace.store.failures import CLOSED, DAMAGED, DISK_FULL, OTHER, TOO_LARGE, Cause, store_failure
from headrace.store.queries import POSTGRESQL, load_queries
from headrace.store.schema import VERSION_TABLE, load_migrations
from headrace.store.sql import SqlStore, apply_migrations, check_version

ValueT = TypeVar("ValueT")
Session = psycopg.Connection[DictRow]

DEFAULT_SCHEMA = "headrace"
PATIENCE_S = 30.0
"""How long a lost connection is made again before the store counts as out of reach: a restart takes seconds."""

_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
# Keys of advisory locks: "headrace" for making or changing a schema, the next one for deleting contents.
_MIGRATION_LOCK = 0x6865616472616365
_CONTENTS_LOCK = _MIGRATION_LOCK + 1


# What libpq is asked for unless the address says otherwise; a network that swallows packets is noticed in a minute.
_DEFAULTS: Mapping[str, str] = {
    "application_name": "headrace",
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

# How long a session waits for a lock, and how long the server lets it hold one when its machine has gone to sleep in
# the middle of a transaction; what the address, the user or the database says wins.
_LIMITS: Mapping[str, str] = {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}
_SET_LIMIT = "SELECT set_config(%(name)s, %(value)s, false) WHERE current_setting(%(name)s) = '0'"

_UNREACHABLE = Cause(
    what="no connection could be made",
    fix="Check the address, user and password in HEADRACE_STORE, and that the server runs.",
)
_LOST = Cause(
    what="the connection was lost and could not be made again",
    fix="See that the server runs, then go on; what was recorded before is safe.",
)
_UNCERTAIN = Cause(
    what="the connection was lost while a change was committed, which may have happened or not",
    fix="Look whether the change is there, then make it again if it is not.",
)
_LOCKED = Cause(
    what="it is locked by another session", fix="Wait until the other session has finished, then try again."
)
_DENIED = Cause(
    what="access is denied",
    fix="Let the database's owner make the schema and give the user of the address all rights in it.",
)
_OUT_OF_SIGHT = Cause(
    what="its tables are gone, or the user of the address may not see them",
    fix="Give the user of the address all rights in the schema and on its tables.",
)
_READ_ONLY = Cause(
    what="it is read-only", fix="Set HEADRACE_STORE to the primary server and to a user who may write."
)
_BUSY = Cause(what="the server is out of connections or memory", fix="Try again when it has less to do.")
_NOT_OURS = Cause(
    what="the schema holds the tables of another program",
    fix="Name another schema at the end of HEADRACE_STORE, for example ?schema=runs.",
)
_NOT_UTF8 = Cause(
    what="the database does not hold Unicode",
    fix="Create a database with: createdb --encoding=UTF8 --template=template0 NAME.",
)
# By the beginnings of SQLSTATE codes; the longest that fits wins.
_CAUSES: Mapping[str, Cause] = {
    "08": _LOST,
    "22": TOO_LARGE,
    "25006": _READ_ONLY,
    "42501": _DENIED,
    "42P01": _OUT_OF_SIGHT,
    "42P07": _NOT_OURS,
    "42703": _NOT_OURS,
    "53": _BUSY,
    "53100": DISK_FULL,
    "54": TOO_LARGE,
    "55P03": _LOCKED,
    "57014": _LOCKED,
    "57P": _LOST,
    "XX": DAMAGED,
}
# A transaction that ended with one of these can be done again: a deadlock, or two that cannot have come in turn.
_ROLLED_BACK = ("40001", "40P01")
# A newer headrace has added columns while this session had its statements prepared; a new session knows nothing of it.
_PLAN_OUTDATED = "0A000"


_BAD_ADDRESS = Problem(
    code="C506",
    what="The location of the store is not an address of PostgreSQL.",
    fix="Give postgresql://user:password@host/database, with special characters of the password as %-codes.",
)


class _UncertainError(Exception):
    """The connection was lost between asking for a commit and hearing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is.

    Attributes:
        parameters: What libpq is given; may hold a password, so it is never shown.
        schema: The schema that holds the tables.
        place: The same without user and password.
    """

    parameters: Mapping[str, Any]
    schema: str
    place: str

    def __repr__(self) -> str:
        return f"Address({self.place!r})"


def open_postgresql(location: str) -> SqlStore:
    """The store at ``user:password@host:port/database?option=value``; no connection is made yet.

    The option ``schema`` is ours; all others are libpq's. The schema is made with the first run.

    Raises:
        UsageError: C506 for an address that cannot be read.
    """
    return make_store(PostgresqlDatabase(parse_address(location)))


def make_store(database: PostgresqlDatabase) -> SqlStore:
    """The store over ``database``, with long texts in a table of it."""
    return SqlStore(database, _TableContents(database.place))


def parse_address(location: str) -> Address:
    """The address that follows ``postgresql://``.

    Raises:
        UsageError: C506 when it cannot be read; the message shows nothing of it.
    """
    # As libpq does: whatever comes before the first @ is user and password, where no slash comes before it.
    match = re.fullmatch(r"(?P<base>(?:[^@/]*@)?[^?]*)(?:\?(?P<options>.*))?", location, re.DOTALL)
    base, options = (match["base"], match["options"] or "") if match else (location, "")
    pairs = [pair for pair in options.split("&") if pair]
    schemas = [unquote(pair.partition("=")[2]) for pair in pairs if pair.partition("=")[0] == "schema"]
    others = "&".join(pair for pair in pairs if pair.partition("=")[0] != "schema")
    try:
        parameters = conninfo_to_dict(f"postgresql://{base}?{others}")
    except psycopg.Error:
        # Neither the cause nor its message is kept: libpq quotes the part that it cannot read.
        raise UsageError(_BAD_ADDRESS) from None
    schema = schemas[-1] if schemas else DEFAULT_SCHEMA
    # Another @ means that libpq has taken a part of the password for the host or the database, which are shown.
    if "@" in re.sub("^[^@/]*@", "", base) or not schema or "\0" in schema or "\0" in location:
        raise UsageError(_BAD_ADDRESS)
    return Address(
        parameters={**_DEFAULTS, **parameters},
        schema=schema,
        place=_place(parameters, schema if schemas else None),
    )


def _place(parameters: Mapping[str, Any], schema: str | None) -> str:
    host = str(parameters.get("host") or parameters.get("hostaddr") or "")
    port = f":{parameters['port']}" if "port" in parameters else ""
    shown = [f"host={host}"] if host.startswith("/") else []
    shown += [f"schema={schema}"] if schema else []
    return (
        f"postgresql://{'' if host.startswith('/') else host}{port}/{parameters.get('dbname', '')}"
        + ("?" if shown else "")
        + "&".join(shown)
    )


class PostgresqlDatabase:
    """Implements :class:`~headrace.store.database.Database` in one schema.

    Args:
        address: Where it is. The schema is made by the first change; reading before that finds nothing.
        patience_s: How long a lost connection is made again, seconds.
    """

    def __init__(self, address: Address, *, patience_s: float = PATIENCE_S) -> None:
        self._address = address
        self._patience_s = patience_s
        self._lock = Lock()
        self._session: Session | None = None
        self._was_connected = False
        self._is_gone = False
        """Whether a lost connection has been waited for in vain: then nobody waits for it again."""
        self._is_up_to_date = False
        self._is_closed = False

    @property
    def place(self) -> str:
        """Host, database and schema."""
        return self._address.place

    def read(self, work: Callable[[Connection], ValueT]) -> ValueT:
        """What ``work`` returns; see the protocol."""

        def read(session: Session) -> ValueT:
            return work(_Statements(session) if self._prepare(session, makes=False) else Nothing())

        return self._insist(read, is_repeatable=True)

    def write(
        self,
        work: Callable[[Connection], ValueT],
        *,
        is_repeatable: bool,
        makes: bool = False,
        is_lasting: bool = False,
    ) -> ValueT:
        """What ``work`` returns, committed; see the protocol. Every commit lasts, as servers are set up by default."""
        del is_lasting

        def write(session: Session) -> ValueT:
            if not self._prepare(session, makes=makes):
                return work(Nothing())
            with _transaction(session):
                return work(_Statements(session))

        return self._insist(write, is_repeatable=is_repeatable)

    def close(self) -> None:
        """Close the connection; see the protocol."""
        with self._lock:
            self._is_closed = True
            session, self._session = self._session, None
            if session is not None:
                session.close()

    def _insist(self, work: Callable[[Session], ValueT], *, is_repeatable: bool) -> ValueT:
        """What ``work`` returns, which is called again after a lost connection or a deadlock."""
        end: float | None = None
        pause_s = _SHORTEST_PAUSE_S
        while True:
            try:
                with self._lock:
                    return work(self._connect())
            except _UncertainError as error:
                if not is_repeatable:
                    raise store_failure(self.place, _UNCERTAIN) from error
                last: Exception = error
            except psycopg.Error as error:
                if not self._may_pass(error):
                    raise self._failure(error) from error
                last = error
            end = end or time.monotonic() + self._patience_s
            if self._is_gone or time.monotonic() > end:
                self._is_gone = self._session is None or self._session.closed
                raise self._failure(last) from last
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _may_pass(self, error: psycopg.Error) -> bool:
        """Whether what failed may be done again: it left nothing behind, and a later attempt may succeed."""
        if error.sqlstate in _ROLLED_BACK:
            return True
        if error.sqlstate == _PLAN_OUTDATED and self._session is not None:
            self._session.close()
        return self._was_connected and (self._session is None or self._session.closed)

    def _failure(self, error: Exception) -> StateError:
        if not isinstance(error, psycopg.Error) or error.sqlstate is None:
            cause = _LOST if self._was_connected else _UNREACHABLE
            return store_failure(self.place, cause, str(error).strip())
        fitting = [start for start in _CAUSES if error.sqlstate.startswith(start)]
        cause = _CAUSES[max(fitting, key=len)] if fitting else OTHER
        # Not the whole text: its second line may quote values.
        return store_failure(self.place, cause, error.diag.message_primary or type(error).__name__)

    def _connect(self) -> Session:
        if self._is_closed:
            raise store_failure(self.place, CLOSED)
        if self._session is None or self._session.closed:
            self._session = None
            session: Session = psycopg.connect(
                **{**self._address.parameters, "client_encoding": "utf8"},
                autocommit=True,
                row_factory=dict_row,
            )
            try:
                if session.info.parameter_status("server_encoding") != "UTF8":
                    raise store_failure(self.place, _NOT_UTF8)
                session.adapters.register_dumper(str, _TextDumper)
                session.execute("SELECT set_config('search_path', quote_ident(%s), false)", (self._schema,))
                for name, value in _LIMITS.items():
                    session.execute(_SET_LIMIT, {"name": name, "value": value})
            except BaseException:
                session.close()
                raise
            self._session = session
            self._was_connected, self._is_gone = True, False
        return self._session

    @property
    def _schema(self) -> str:
        return self._address.schema

    def _prepare(self, session: Session, *, makes: bool) -> bool:
        """Bring the schema up to date; whether there is one, which ``makes`` sees to."""
        if not self._is_up_to_date:
            version = self._version(session)
            migrations = load_migrations(POSTGRESQL)
            self._is_up_to_date = check_version(version, migrations, self.place)
            if not self._is_up_to_date and (version > 0 or makes):
                self._migrate(session)
                self._is_up_to_date = True
        return self._is_up_to_date

    def _migrate(self, session: Session) -> None:
        migrations = load_migrations(POSTGRESQL)
        with _transaction(session):
            session.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            # Read again under the lock: another process may have done it in the meantime.
            version = self._version(session)
            if check_version(version, migrations, self.place):
                return
            if not session.execute(
                "SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,)
            ).fetchone():
                session.execute(SQL("CREATE SCHEMA {}").format(Identifier(self._schema)))
            apply_migrations(
                migrations,
                version=version,
                connection=_Statements(session),
                execute=lambda statement: session.execute(statement.encode()),
            )

    def _version(self, session: Session) -> int:
        """The version of the schema: 0 where it is not there or empty.

        Raises:
            StateError: S803 when it holds the tables of another program.
        """
        found = session.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
            (self._schema,),
        ).fetchall()
        tables = {row["relname"] for row in found}
        if not tables:
            return 0
        if VERSION_TABLE not in tables:
            raise store_failure(self.place, _NOT_OURS)
        return int(_Statements(session).rows("schema_version", {})[0]["version"])


class _Statements:
    """Implements :class:`~headrace.store.database.Connection`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def execute(self, query: str, row: Mapping[str, Any]) -> int:
        return self._run(query, row).rowcount

    def execute_many(self, query: str, rows: Sequence[Mapping[str, Any]]) -> int:
        statement = load_queries(POSTGRESQL)[query]
        with self._session.cursor() as cursor:
            cursor.executemany(statement.sql.encode(), [statement.bind(row) for row in rows])
            return cursor.rowcount

    def rows(self, query: str, row: Mapping[str, Any]) -> Sequence[DictRow]:
        return self._run(query, row).fetchall()

    def _run(self, query: str, row: Mapping[str, Any]) -> psycopg.Cursor[DictRow]:
        statement = load_queries(POSTGRESQL)[query]
        return self._session.execute(statement.sql.encode(), statement.bind(row))


class _TableContents:
    """Implements :class:`~headrace.store.database.Contents` in the table ``content``."""

    def __init__(self, place: str) -> None:
        self._place = place

    def prepare(self, contents: Mapping[str, bytes]) -> None:
        """Nothing: contents are committed with the rows that refer to them."""

    def keep(self, connection: Connection, contents: Mapping[str, bytes]) -> None:
        connection.rows("share_contents", {"key": _CONTENTS_LOCK})
        found = connection.rows("find_contents", {"digests": list(contents)})
        missing = contents.keys() - {row["digest"] for row in found}
        # In one order for everybody: two transactions that add the same contents never wait for each other.
        rows = [{"digest": digest, "data": contents[digest]} for digest in sorted(missing)]
        if rows:
            connection.execute_many("add_content", rows)

    def read(self, connection: Connection, digest: str) -> bytes | None:
        rows = connection.rows("read_content", {"digest": digest})
        return bytes(rows[0]["data"]) if rows else None

    def name(self, digest: str) -> str:
        return f"{digest} in the table content of {self._place}"

    def collect(self, database: Database) -> None:
        def delete(connection: Connection) -> None:
            connection.rows("lock_contents", {"key": _CONTENTS_LOCK})
            connection.execute("delete_unused_contents", {})

        database.write(delete, is_repeatable=True)


class _TextDumper(StrDumper):
    """Any text as UTF-8: lone surrogates are escaped as JSON would, and so is NUL, which PostgreSQL has no place for.

    Plain data reads back unchanged: in JSON text NUL is escaped already.
    """

    def dump(self, obj: str) -> bytes:
        return obj.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")


@contextmanager
def _transaction(session: Session) -> Iterator[None]:
    is_committing = False
    try:
        with session.transaction():
            yield
            is_committing = True
    except psycopg.OperationalError as error:
        if is_committing and session.closed:
            raise _UncertainError from error
        raise
