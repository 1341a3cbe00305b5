"""Evidence and revisions that last as long as the process."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from headrace.domain.evidence import Arrival, Evidence, Exposure
from headrace.domain.traffic import Revision
from headrace.store.evidence_records import (
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
        self._evidence: dict[tuple[str, str], dict[str, Any]] = {}
        self._revisions: dict[str, list[dict[str, Any]]] = {}

    def append_evidence(self, records: Sequence[Evidence]) -> int:
        """Keep what is new; see the protocol."""
        rows = [evidence_row(record) for record in records]
        with self._evidence_lock:
            n_before = len(self._evidence)
            for row in rows:
                if (row["kind"], row["id"]) not in self._evidence:
                    self._place(row)
            self._settle_feedback({row["id"] for row in rows if row["kind"] == "exposure"})
            return len(self._evidence) - n_before

    def _place(self, row: dict[str, Any]) -> None:
        exposure = self._evidence.get(("exposure", row["exposure"]))
        test = row["test"] or (exposure["test"] if exposure else "")
        self._last_place += 1
        self._evidence[row["kind"], row["id"]] = {**row, "test": test, "place": self._last_place}

    def _settle_feedback(self, exposures: set[str]) -> None:
        waiting = [row for row in self._evidence.values() if not row["test"] and row["exposure"] in exposures]
        for row in waiting:
            del self._evidence[row["kind"], row["id"]]
            self._place(row)

    def read_arrivals(self, test: str, *, after: int = 0, limit: int = 10_000) -> tuple[Arrival, ...]:
        """The next records; see the protocol."""
        with self._evidence_lock:
            rows = [row for row in self._evidence.values() if row["test"] == test and row["place"] > after]
        return tuple(map(arrival_from_row, rows[:limit]))

    def find_exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request; see the protocol."""
        key = request_key(request_id)
        with self._evidence_lock:
            found = next((row for row in self._evidence.values() if row["request_id"] == key), None)
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
            self._evidence = {key: row for key, row in self._evidence.items() if row["test"] != test}
