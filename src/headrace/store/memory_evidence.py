"""Evidence and revisions that last as long as the process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from headrace.domain.evidence import Arrival, Completion, Evidence, Exposure, Feedback
from headrace.domain.traffic import Revision
from headrace.store.evidence_records import (
    EvidenceRow,
    evidence_from_row,
    evidence_keys,
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
        self._known: set[tuple[str, str, str]] = set()
        self._exposed: dict[str, str] = {}
        self._placed: dict[str, list[Arrival]] = {}
        self._waiting: dict[str, list[tuple[int, Feedback]]] = {}
        self._answered: dict[str, Exposure] = {}
        self._revisions: dict[str, list[dict[str, Any]]] = {}

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        """Keep what is new; see the protocol."""
        given = [_plain(record) for record in records]
        keyed = [(evidence_keys(record), record) for record in given]
        n_new = 0
        with self._evidence_lock:
            for keys, record in keyed:
                n_new += self._place(keys, record)
            self._settle_feedback(keys["id"] for keys, _ in keyed if keys["kind"] == "exposure")
        return n_new

    def _place(self, keys: Mapping[str, Any], record: Evidence) -> bool:
        """Give a new record its place; feedback of which the test is not known waits there for its exposure."""
        test = record.test or self._exposed.get(keys["exposure"], "")
        key = (test, keys["kind"], keys["id"])
        if key in self._known:
            return False
        self._known.add(key)
        self._last_place += 1
        if isinstance(record, Feedback) and not record.test:
            if not test:
                self._waiting.setdefault(keys["exposure"], []).append((self._last_place, record))
                return True
            record = replace(record, test=test)
        self._placed.setdefault(test, []).append(Arrival(place=self._last_place, evidence=record))
        if isinstance(record, Exposure):
            self._exposed.setdefault(keys["id"], test)
            if keys["request_id"] is not None:
                self._answered.setdefault(keys["request_id"], record)
        return True

    def _settle_feedback(self, exposures: Iterable[str]) -> None:
        if self._waiting:
            settled = [item for exposure in exposures for item in self._waiting.pop(exposure, ())]
            for _, record in sorted(settled, key=lambda item: item[0]):
                keys = evidence_keys(record)
                self._known.remove(("", keys["kind"], keys["id"]))
                self._place(keys, record)

    def read_arrivals(self, test: str, *, after: int = 0, limit: int = 10_000) -> tuple[Arrival, ...]:
        """The next records; see the protocol."""
        with self._evidence_lock:
            placed = self._placed.get(test, [])
            start = bisect_right(placed, after, key=_place_of)
            return tuple(placed[start : start + limit])

    def find_exposure(self, request_id: str) -> Exposure | None:
        """The exposure of a request; see the protocol."""
        with self._evidence_lock:
            return self._answered.get(request_key(request_id))

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
            for arrival in self._placed.pop(test, ()):
                keys = evidence_keys(arrival.evidence)
                self._known.remove((test, keys["kind"], keys["id"]))
            self._exposed = {key: of for key, of in self._exposed.items() if of != test}
            self._answered = {key: found for key, found in self._answered.items() if found.test != test}


def _plain(record: Evidence | EvidenceRow) -> Evidence:
    """A record as other stores give it back; what nobody can change any more is kept as it is."""
    if isinstance(record, EvidenceRow):
        return evidence_from_row(record.columns)
    holds_data = (
        bool(record.attributes)
        if isinstance(record, Exposure)
        else isinstance(record, Completion) and not (record.inputs is None and record.outputs is None)
    )
    return evidence_from_row(evidence_row(record)) if holds_data else record


def _place_of(arrival: Arrival) -> int:
    return arrival.place
