"""A store that lasts as long as the process: for tests, single tests of a flow, and trying things out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any

from headrace.domain.cache import CacheChanges, CachedResult, CacheSummary
from headrace.domain.label import Label
from headrace.domain.run import COMPLETED, FAILED, LineOutcome, LineResult, NodeResult, Run, RunSpec, Usage
from headrace.domain.span import SpanRecord
from headrace.errors import Problem
from headrace.store.base import AGGREGATION_LINE, taken_run, unknown_run
from headrace.store.memory_evidence import MemoryEvidence
from headrace.store.memory_experiments import MemoryExperiments
from headrace.store.memory_versions import MemoryVersions
from headrace.store.records import (
    cached_from_row,
    cached_row,
    claim_row,
    decode_spans,
    encode_spans,
    encode_time,
    finish_row,
    label_from_row,
    label_row,
    line_from_row,
    line_row,
    outcome_from_row,
    run_from_row,
    run_row,
    update_row,
)

_UNFINISHED: Mapping[str, Any] = {
    "finished_at": None,
    "metrics": "{}",
    "aggregation": "[]",
    "problem": None,
    "is_archived": 0,
}
_NO_SPANS = encode_spans(())


@dataclass(slots=True)
class _Recorded:
    """One run as it is kept: the same rows that a database would hold."""

    row: dict[str, Any]
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    aggregation_spans: str = _NO_SPANS
    labels: list[dict[str, Any]] = field(default_factory=list)


def open_memory(_location: str) -> MemoryStore:
    """A new, empty store."""
    return MemoryStore()


class MemoryStore(MemoryEvidence, MemoryExperiments, MemoryVersions):
    """Implements :class:`~headrace.store.base.RunStore` in memory. Safe for use from several threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._runs: dict[str, _Recorded] = {}
        self._cached: dict[str, dict[str, Any]] = {}

    @property
    def place(self) -> str:
        """In memory; see the protocol."""
        return "memory:"

    def create_run(
        self, spec: RunSpec, *, n_lines: int, created_at: datetime, owner: str | None = None
    ) -> Run:
        """Create a run; see the protocol."""
        row = {**run_row(spec, n_lines=n_lines, created_at=created_at, owner=owner), **_UNFINISHED}
        with self._lock:
            if spec.name in self._runs:
                raise taken_run(spec.name)
            self._runs[spec.name] = _Recorded(row)
            return self._run(spec.name)

    def claim_run(self, run: str, *, owner: str, at: datetime, seen: datetime | None) -> bool:
        """Work on a run again; see the protocol."""
        row = claim_row(owner=owner, at=at, seen=seen)
        known = row.pop("seen")
        with self._lock:
            recorded = self._find(run)
            if recorded.row["heartbeat_at"] != known:
                return False
            recorded.row.update(row, finished_at=None, problem=None)
            return True

    def beat_run(self, run: str, *, owner: str, at: datetime) -> bool:
        """Say that a run is worked on; see the protocol."""
        with self._lock:
            recorded = self._find(run)
            if recorded.row["owner"] != owner:
                return False
            recorded.row["heartbeat_at"] = encode_time(at)
            return True

    def append_lines(
        self, run: str, results: Sequence[LineResult], changes: CacheChanges | None = None
    ) -> None:
        """Record line results; see the protocol."""
        rows = [line_row(result) for result in results]
        with self._lock:
            self._find(run).lines.update((row["line_number"], row) for row in rows)
            if changes is not None:
                self._change_cache(changes)

    def change_cache(self, changes: CacheChanges) -> None:
        """Keep results of nodes; see the protocol."""
        with self._lock:
            self._change_cache(changes)

    def _change_cache(self, changes: CacheChanges) -> None:
        for result in changes.made:
            row = cached_row(result)
            self._cached.setdefault(result.key, {**row, "used_ns": row["made_ns"], "n_uses": 0})
        for key, n_uses in changes.used.items():
            if key in self._cached:
                self._cached[key]["n_uses"] += n_uses
                self._cached[key]["used_ns"] = changes.used_ns

    def read_cached(self, keys: Sequence[str]) -> Mapping[str, CachedResult]:
        """Kept results; see the protocol."""
        with self._lock:
            return {key: cached_from_row(self._cached[key]) for key in keys if key in self._cached}

    def summarize_cache(self) -> CacheSummary:
        """How much is kept; see the protocol."""
        with self._lock:
            rows = list(self._cached.values())
        made = [row["made_ns"] for row in rows]
        costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
        return CacheSummary(
            n_results=len(rows),
            n_bytes=sum(len(row["output"]) + len(row["logs"]) for row in rows),
            n_uses=sum(row["n_uses"] for row in rows),
            usage=Usage(
                calls=sum(row["calls"] for row in rows),
                prompt_tokens=sum(row["prompt_tokens"] for row in rows),
                completion_tokens=sum(row["completion_tokens"] for row in rows),
                cost_usd=sum(costs) if costs else None,
            ),
            saved_tokens=sum(
                row["n_uses"] * (row["prompt_tokens"] + row["completion_tokens"]) for row in rows
            ),
            oldest_ns=min(made, default=0),
            newest_ns=max(made, default=0),
        )

    def clear_cache(self, *, unused_since_ns: int | None = None) -> int:
        """Forget kept results; see the protocol."""
        with self._lock:
            keys = [
                key
                for key, row in self._cached.items()
                if unused_since_ns is None or row["used_ns"] < unused_since_ns
            ]
            for key in keys:
                del self._cached[key]
            return len(keys)

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
        with self._lock:
            recorded = self._find(run)
            recorded.row.update(row)
            recorded.aggregation_spans = encode_spans(spans)
            return self._run(run)

    def update_run(
        self,
        run: str,
        *,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, Any] | None = None,
        is_archived: bool | None = None,
    ) -> Run:
        """Change what people note about a run; see the protocol."""
        row = update_row(
            display_name=display_name,
            description=description,
            tags=tags,
            properties=properties,
            is_archived=is_archived,
        )
        with self._lock:
            self._find(run).row.update((name, value) for name, value in row.items() if value is not None)
            return self._run(run)

    def read_run(self, run: str) -> Run:
        """One run; see the protocol."""
        with self._lock:
            return self._run(run)

    def list_runs(
        self,
        *,
        limit: int | None = None,
        experiment: str | None = None,
        source_run: str | None = None,
        is_archived: bool | None = None,
    ) -> tuple[Run, ...]:
        """Runs, newest first; see the protocol."""
        with self._lock:
            names = [
                name
                for name, recorded in self._runs.items()
                if experiment in (None, recorded.row["experiment"])
                and source_run in (None, recorded.row["source_run"])
                and is_archived in (None, bool(recorded.row["is_archived"]))
            ]
            # Reversed before a stable sort: of runs created at the same time the later one comes first.
            names.reverse()
            names.sort(key=lambda name: str(self._runs[name].row["created_at"]), reverse=True)
            return tuple(self._run(name) for name in names[:limit])

    def read_lines(self, run: str, *, limit: int | None = None) -> Iterator[LineResult]:
        """Line results in order; see the protocol."""
        return map(line_from_row, self._rows(run)[:limit])

    def read_outcomes(self, run: str) -> Iterator[LineOutcome]:
        """What came out of each line; see the protocol."""
        return map(outcome_from_row, self._rows(run))

    def read_line(self, run: str, line_number: int) -> LineResult | None:
        """One line result with its spans; see the protocol."""
        with self._lock:
            row = self._find(run).lines.get(line_number)
        return None if row is None else replace(line_from_row(row), spans=decode_spans(row["spans"]))

    def read_spans(self, run: str, line_number: int = AGGREGATION_LINE) -> tuple[SpanRecord, ...]:
        """Spans of one line or of the aggregation; see the protocol."""
        with self._lock:
            recorded = self._find(run)
            if line_number == AGGREGATION_LINE:
                text = recorded.aggregation_spans
            else:
                text = recorded.lines.get(line_number, {"spans": _NO_SPANS})["spans"]
        return decode_spans(text)

    def line_statuses(self, run: str) -> Mapping[int, str]:
        """The status of every line; see the protocol."""
        with self._lock:
            lines = self._find(run).lines
            return {number: row["status"] for number, row in lines.items()}

    def delete_spans(self, run: str, *, started_before_ns: int | None = None) -> int:
        """Delete the spans of a run; see the protocol."""
        with self._lock:
            recorded = self._find(run)
            lines = recorded.lines.values()
            old = [row for row in lines if started_before_ns is None or row["start_ns"] < started_before_ns]
            n_deleted = sum(1 for row in old if row["spans"] != _NO_SPANS)
            for row in old:
                row["spans"] = _NO_SPANS
            if len(old) == len(lines):
                n_deleted += int(recorded.aggregation_spans != _NO_SPANS)
                recorded.aggregation_spans = _NO_SPANS
            return n_deleted

    def append_labels(self, run: str, labels: Sequence[Label]) -> None:
        """Keep labels; see the protocol."""
        rows = [label_row(label) for label in labels]
        with self._lock:
            self._find(run).labels.extend(rows)

    def read_labels(self, run: str) -> tuple[Label, ...]:
        """All labels of a run; see the protocol."""
        with self._lock:
            return tuple(map(label_from_row, self._find(run).labels))

    def delete_run(self, run: str) -> None:
        """Delete a run; see the protocol."""
        with self._lock:
            self._find(run)
            del self._runs[run]

    def close(self) -> None:
        """Nothing to give back: the runs go with the object."""

    def _rows(self, run: str) -> list[dict[str, Any]]:
        """The rows of all lines of a run, in order."""
        with self._lock:
            lines = self._find(run).lines
            return [lines[number] for number in sorted(lines)]

    def _find(self, run: str) -> _Recorded:
        recorded = self._runs.get(run)
        if recorded is None:
            raise unknown_run(run, tuple(self._runs))
        return recorded

    def _run(self, run: str) -> Run:
        recorded = self._find(run)
        return run_from_row({**recorded.row, **_totals(tuple(recorded.lines.values()))})


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    is_unpriced = any(row["calls"] and row["cost_usd"] is None for row in rows)
    return {
        "n_completed": sum(row["status"] == COMPLETED for row in rows),
        "n_failed": sum(row["status"] == FAILED for row in rows),
        "calls": sum(row["calls"] for row in rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cost_usd": None if is_unpriced or not costs else sum(costs),
    }
