"""What a database has to do so that :class:`~headrace.store.sql.SqlStore` can keep runs in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from headrace.store.records import Row

ValueT = TypeVar("ValueT")


class Connection(Protocol):
    """Executes the statements of ``queries.sql`` by name; columns are bound by name."""

    def execute(self, query: str, row: Mapping[str, Any]) -> int:
        """Execute a statement and return how many rows it changed."""
        ...

    def execute_many(self, query: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute a statement once for each of ``rows`` and return how many rows it changed in all."""
        ...

    def rows(self, query: str, row: Mapping[str, Any]) -> Sequence[Row]:
        """Execute a statement and return the rows that it finds."""
        ...


class Nothing:
    """The connection of a database that has not been made yet: it has no rows."""

    def execute(self, _query: str, _row: Mapping[str, Any]) -> int:
        """Change nothing."""
        return 0

    def execute_many(self, _query: str, _rows: Sequence[Mapping[str, Any]]) -> int:
        """Change nothing."""
        return 0

    def rows(self, _query: str, _row: Mapping[str, Any]) -> Sequence[Row]:
        """No rows."""
        return ()


class Database(Protocol):
    """One database, whose methods may be called from any thread. They raise ``StateError`` as stores do.

    Attributes:
        place: Where it is, as people may see it: without a password.
    """

    @property
    def place(self) -> str:
        """Where it is, as people may see it: without a password."""
        ...

    def read(self, work: Callable[[Connection], ValueT]) -> ValueT:
        """What ``work`` returns; it changes nothing and may be called again after a failure."""
        ...

    def write(
        self,
        work: Callable[[Connection], ValueT],
        *,
        is_repeatable: bool,
        makes: bool = False,
        is_lasting: bool = False,
    ) -> ValueT:
        """What ``work`` returns, committed in one transaction; it may be called again after one that failed.

        Args:
            work: What to do.
            is_repeatable: Whether doing it twice is the same as once; without that it is not called again where
                the database may have committed it before its answer was lost.
            makes: Whether the database is made where there is none; otherwise ``work`` sees one without rows.
            is_lasting: Whether it outlasts a loss of power that follows, and not only the death of processes.
        """
        ...

    def close(self) -> None:
        """Give back files and connections; a second call does nothing."""
        ...


class Contents(Protocol):
    """Where long texts and pieces of data are kept, once for all rows that refer to them, by their SHA-256."""

    def prepare(self, contents: Mapping[str, bytes]) -> None:
        """Do what can be done for :meth:`keep` before there is a transaction."""
        ...

    def keep(self, connection: Connection, contents: Mapping[str, bytes]) -> None:
        """Keep contents, in the transaction that records the rows which refer to them."""
        ...

    def read(self, connection: Connection, digest: str) -> bytes | None:
        """One content as it is kept, whole or not; ``None`` when it is missing."""
        ...

    def name(self, digest: str) -> str:
        """What people call one content: its file, or its row."""
        ...

    def collect(self, database: Database) -> None:
        """Delete the contents that nothing refers to; a concurrent writer keeps what it needs."""
        ...
