"""What every SQL database does the same for evidence of live traffic and the revisions of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from headrace.domain.evidence import Arrival, Evidence, Exposure
from headrace.domain.traffic import Revision
from headrace.store.database import Connection, Database
from headrace.store.evidence_records import (
    EvidenceRow,
    arrival_from_row,
    evidence_from_row,
    evidence_row,
    request_key,
    revision_from_row,
    revision_row,
)
from headrace.store.failures import DAMAGED, store_failure
from headrace.store.records import Row

ValueT = TypeVar("ValueT")

_DELETED_AT_ONCE = 2000


class SqlEvidence:
    """The methods of :class:`~headrace.store.base.RunStore` that keep evidence and revisions."""

    _database: Database

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        """Keep what is new; see the protocol."""
        rows = [evidence_row(record) for record in records]

        def append(connection: Connection) -> int:
            last = _take_places(connection, len(rows)) - len(rows)
            placed = [{**row, "place": place} for place, row in enumerate(rows, last + 1)]
            n_new = connection.execute_many("append_evidence", placed)
            _settle_feedback(connection, last)
            return n_new

        return self._database.write(append, is_repeatable=True, makes=True) if rows else 0

    def read_arrivals(self, test: str, *, after: int = 0, limit: int = 10_000) -> tuple[Arrival, ...]:
        """The next records; see the protocol."""
        row = {"test": test, "after": after, "limit": limit}
        rows = self._database.read(lambda connection: connection.rows("read_arrivals", row))
        return self._decode_all(arrival_from_row, rows)

    def find_exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request; see the protocol."""
        row = {"request_id": request_key(request_id)}
        rows = self._database.read(lambda connection: connection.rows("find_exposure", row))
        found = self._decode_all(evidence_from_row, rows)
        return found[0] if found and isinstance(found[0], Exposure) else None

    def append_revision(self, revision: Revision) -> bool:
        """Make the next revision; see the protocol."""
        row = revision_row(revision)
        return (
            self._database.write(
                lambda connection: connection.execute("append_revision", row), is_repeatable=False, makes=True
            )
            == 1
        )

    def latest_revision(self, test: str) -> Revision | None:
        """The revision that holds; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("latest_revision", {"test": test}))
        return next(iter(self._decode_all(revision_from_row, rows)), None)

    def list_revisions(self, test: str) -> tuple[Revision, ...]:
        """All revisions of a test; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("list_revisions", {"test": test}))
        return self._decode_all(revision_from_row, rows)

    def list_ab_tests(self) -> tuple[str, ...]:
        """Names of tests; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("list_ab_tests", {}))
        return tuple(row["test"] for row in rows)

    def delete_ab_test(self, test: str) -> None:
        """Delete a test; see the protocol."""
        # A piece at a time: a million records take a minute, and servers want to write meanwhile.
        piece = {"test": test, "limit": _DELETED_AT_ONCE}
        while self._database.write(
            lambda connection: connection.execute("delete_evidence", piece), is_repeatable=True
        ):
            pass
        self._database.write(
            lambda connection: connection.execute("delete_revisions", {"test": test}), is_repeatable=True
        )

    def _decode_all(self, read: Callable[[Row], ValueT], rows: Sequence[Row]) -> tuple[ValueT, ...]:
        try:
            return tuple(map(read, rows))
        except (ValueError, KeyError, TypeError) as error:
            what = f"a row does not hold what it should: {type(error).__name__}"
            raise store_failure(self._database.place, DAMAGED, what) from error


def _take_places(connection: Connection, n_places: int) -> int:
    """Take the next places, and with them the right to commit before anybody else; the last one of them."""
    connection.execute("move_evidence_end", {"n_places": n_places})
    return int(connection.rows("read_evidence_end", {})[0]["last_place"])


def _settle_feedback(connection: Connection, after: int) -> None:
    """Give feedback that waited for one of the exposures behind a place the test of that."""
    awaited = connection.rows("find_awaited", {"after": after})
    if awaited:
        first = _take_places(connection, len(awaited)) - len(awaited) + 1
        moved = [
            {"place": row["place"], "test": row["test"], "new_place": new_place}
            for new_place, row in enumerate(awaited, first)
        ]
        connection.execute_many("settle_feedback", moved)
