"""Evidence and revisions that last as long as the process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

from headrace.domain.evidence import Arrival, Evidence, Exposure
from headrace.domain.traffic import Revision
from headrace.store.evidence_records import (
    EvidenceRow,
    arrival_from_row,
    evidence_from_row,
    evidence_row,
    request_key,
    revision_from_row,
    revision_row,
)


class MemoryEvidence:
    """The methods of :class:`~headrace.store.base.RunStore` that keep evidence and revisions."""

    def __init__(self) -> None:
        super().__init__()
        self._evidence_lock = Lock()
        self._last_place = 0
        self._evidence: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._exposed: dict[str, str] = {}
        self._placed: dict[str, list[dict[str, Any]]] = {}
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._answered: dict[str, dict[str, Any]] = {}
        self._revisions: dict[str, list[dict[str, Any]]] = {}

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        """Keep what is new; see the protocol."""
        rows = [dict(evidence_row(record)) for record in records]
        n_new = 0
        with self._evidence_lock:
            for row in rows:
                row["test"] = row["test"] or self._exposed.get(row["exposure"], "")
                n_new += self._place(row)
            self._settle_feedback(row["id"] for row in rows if row["kind"] == "exposure")
        return n_new

    def _place(self, row: dict[str, Any]) -> bool:
        """Give a new row its place; feedback of which the test is not known waits there for its exposure."""
        key = (row["test"], row["kind"], row["id"])
        if key in self._evidence:
            return False
        self._evidence[key] = row
        self._last_place += 1
        row["place"] = self._last_place
        if not row["test"]:
            self._waiting.setdefault(row["exposure"], []).append(row)
            return True
        self._placed.setdefault(row["test"], []).append(row)
        if row["kind"] == "exposure":
            self._exposed.setdefault(row["id"], row["test"])
        if row["request_id"] is not None:
            self._answered.setdefault(row["request_id"], row)
        return True

    def _settle_feedback(self, exposures: Iterable[str]) -> None:
        if self._waiting:
            settled = [row for exposure in exposures for row in self._waiting.pop(exposure, ())]
            for row in sorted(settled, key=_place_of):
                del self._evidence["", row["kind"], row["id"]]
                row["test"] = self._exposed[row["exposure"]]
                self._place(row)

    def read_arrivals(self, test: str, *, after: int = 0, limit: int = 10_000) -> tuple[Arrival, ...]:
        """The next records; see the protocol."""
        with self._evidence_lock:
            placed = self._placed.get(test, [])
            start = bisect_right(placed, after, key=_place_of)
            rows = placed[start : start + limit]
        return tuple(map(arrival_from_row, rows))

    def find_exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request; see the protocol."""
        with self._evidence_lock:
            found = self._answered.get(request_key(request_id))
        exposure = None if found is None else evidence_from_row(found)
        return exposure if isinstance(exposure, Exposure) else None

    def append_revision(self, revision: Revision) -> bool:
        """Make the next revision; see the protocol."""
        row = revision_row(revision)
        with self._evidence_lock:
            known = self._revisions.setdefault(revision.test, [])
            if revision.number != len(known) + 1:
                return False
            known.append(row)
            return True

    def latest_revision(self, test: str) -> Revision | None:
        """The revision that holds; see the protocol."""
        with self._evidence_lock:
            rows = self._revisions.get(test, [])[-1:]
        return revision_from_row(rows[0]) if rows else None

    def list_revisions(self, test: str) -> tuple[Revision, ...]:
        """All revisions of a test; see the protocol."""
        with self._evidence_lock:
            rows = tuple(self._revisions.get(test, ()))
        return tuple(map(revision_from_row, rows))

    def list_ab_tests(self) -> tuple[str, ...]:
        """Names of tests; see the protocol."""
        with self._evidence_lock:
            return tuple(sorted(test for test, rows in self._revisions.items() if rows))

    def delete_ab_test(self, test: str) -> None:
        """Delete a test; see the protocol."""
        with self._evidence_lock:
            self._revisions.pop(test, None)
            for row in self._placed.pop(test, ()):
                del self._evidence[test, row["kind"], row["id"]]
            self._exposed = {key: of for key, of in self._exposed.items() if of != test}
            self._answered = {key: row for key, row in self._answered.items() if row["test"] != test}


def _place_of(row: dict[str, Any]) -> int:
    place: int = row["place"]
    return place
