"""What every SQL database does the same: the named statements, the rows, and what they mean.

An adapter brings a :class:`~headrace.store.database.Database`: how a connection comes about, what a transaction is, and
what its errors mean; and where long texts are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from headrace.domain.cache import CacheChanges, CachedResult, CacheSummary
from headrace.domain.label import Label
from headrace.domain.run import LineOutcome, LineResult, NodeResult, Run, RunSpec
from headrace.domain.span import SpanRecord
from headrace.errors import Problem, UsageError
from headrace.store.base import AGGREGATION_LINE, taken_run, unknown_run
from headrace.store.contents import put_back, set_aside, set_aside_output, whole_output
from headrace.store.database import Connection, Contents, Database
from headrace.store.failures import LostContentError, lost_content, newer_store
from headrace.store.records import (
    Row,
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
    summary_from_row,
    update_row,
)
from headrace.store.schema import Migration
from headrace.store.sql_evidence import SqlEvidence
from headrace.store.sql_experiments import SqlExperiments
from headrace.store.sql_pieces import SqlPieces
from headrace.store.sql_versions import SqlVersions

ValueT = TypeVar("ValueT")

ResultT_co = TypeVar("ResultT_co", covariant=True)


class _ReadLine(Protocol[ResultT_co]):
    """Makes something of the row of a line."""

    def __call__(self, row: Row, *, decode: Callable[[str], Any] = ...) -> ResultT_co: ...


_PAGE_LINES = 64
_NO_LIMIT = 2**62


class SqlStore(SqlEvidence, SqlExperiments, SqlPieces, SqlVersions):
    """Implements :class:`~headrace.store.base.RunStore` over a database. Safe for use from several threads."""

    def __init__(self, database: Database, contents: Contents) -> None:
        super().__init__(database, contents)

    @property
    def place(self) -> str:
        """Where the database is; see the protocol."""
        return self._database.place

    def create_run(
        self, spec: RunSpec, *, n_lines: int, created_at: datetime, owner: str | None = None
    ) -> Run:
        """Create a run; see the protocol."""
        row = run_row(spec, n_lines=n_lines, created_at=created_at, owner=owner)

        def create(connection: Connection) -> None:
            if connection.execute("create_run", row) == 0:
                raise taken_run(spec.name)

        self._database.write(create, is_repeatable=False, makes=True)
        return self.read_run(spec.name)

    def claim_run(self, run: str, *, owner: str, at: datetime, seen: datetime | None) -> bool:
        """Work on a run again; see the protocol."""
        row = {"name": run, **claim_row(owner=owner, at=at, seen=seen)}

        def claim(connection: Connection) -> bool:
            _run_id(connection, run)
            return connection.execute("claim_run", row) == 1

        return self._database.write(claim, is_repeatable=False)

    def beat_run(self, run: str, *, owner: str, at: datetime) -> bool:
        """Say that a run is worked on; see the protocol."""
        row = {"name": run, "owner": owner, "heartbeat_at": encode_time(at)}

        def beat(connection: Connection) -> bool:
            _run_id(connection, run)
            return connection.execute("beat_run", row) == 1

        return self._database.write(beat, is_repeatable=True)

    def append_lines(
        self, run: str, results: Sequence[LineResult], changes: CacheChanges | None = None
    ) -> None:
        """Record line results; see the protocol."""
        rows = [line_row(result) for result in results]
        contents: dict[str, bytes] = {}
        for row in rows:
            contents |= set_aside(row)
        cached = _CacheRows(changes)
        if contents or cached.contents:
            self._database.read(lambda connection: _run_id(connection, run))
            self._contents.prepare({**contents, **cached.contents})

        def append(connection: Connection) -> None:
            run_id = _run_id(connection, run)
            for row in rows:
                row["run_id"] = run_id
            if contents:
                self._contents.keep(connection, contents)
                uses = [{"run_id": run_id, "digest": digest} for digest in sorted(contents)]
                connection.execute_many("use_content", uses)
            connection.execute_many("append_line", rows)
            connection.execute_many("append_trace", rows)
            self._change_cache(connection, cached)

        self._database.write(append, is_repeatable=True, is_lasting=True)

    def change_cache(self, changes: CacheChanges) -> None:
        """Keep results of nodes; see the protocol."""
        cached = _CacheRows(changes)
        if cached.contents:
            self._contents.prepare(cached.contents)
        self._database.write(
            lambda connection: self._change_cache(connection, cached), is_repeatable=True, makes=True
        )

    def read_cached(self, keys: Sequence[str]) -> Mapping[str, CachedResult]:
        """Kept results; see the protocol."""

        def read(connection: Connection) -> list[Row]:
            return [row for key in keys for row in connection.rows("read_result", {"key": key})]

        found = (self._cached(row) for row in self._database.read(read))
        return {result.key: result for result in found if result is not None}

    def summarize_cache(self) -> CacheSummary:
        """How much is kept; see the protocol."""
        rows = self._database.read(lambda connection: connection.rows("summarize_results", {}))
        return self._decoded(summary_from_row, rows[0]) if rows else CacheSummary()

    def clear_cache(self, *, unused_since_ns: int | None = None) -> int:
        """Forget kept results; see the protocol."""
        row = {"unused_since_ns": unused_since_ns}
        n_dropped = self._database.write(
            lambda connection: connection.execute("drop_results", row), is_repeatable=False
        )
        if n_dropped:
            self._contents.collect(self._database)
        return n_dropped

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

        def finish(connection: Connection) -> None:
            run_id = _run_id(connection, run)
            connection.execute("finish_run", {"name": run, **row})
            connection.execute("append_trace", {"run_id": run_id, **trace})

        self._database.write(finish, is_repeatable=True)
        return self.read_run(run)

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

        def update(connection: Connection) -> None:
            if connection.execute("update_run", {"name": run, **row}) == 0:
                raise _unknown(connection, run)

        self._database.write(update, is_repeatable=True)
        return self.read_run(run)

    def read_run(self, run: str) -> Run:
        """One run; see the protocol."""

        def read(connection: Connection) -> Row:
            rows = connection.rows("read_run", {"name": run})
            if not rows:
                raise _unknown(connection, run)
            return rows[0]

        return self._decoded(run_from_row, self._database.read(read))

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
            "is_archived": None if is_archived is None else int(is_archived),
        }
        rows = self._database.read(lambda connection: connection.rows("list_runs", wanted))
        return tuple(self._decoded(run_from_row, row) for row in rows)

    def read_lines(self, run: str, *, limit: int | None = None) -> Iterator[LineResult]:
        """Line results in order; see the protocol."""
        rows = self._line_rows("read_lines", run, _NO_LIMIT if limit is None else limit)
        return map(partial(self._whole, line_from_row), rows)

    def read_outcomes(self, run: str) -> Iterator[LineOutcome]:
        """What came out of each line; see the protocol."""
        rows = self._line_rows("read_outcomes", run, _NO_LIMIT)
        return map(partial(self._whole, outcome_from_row), rows)

    def read_line(self, run: str, line_number: int) -> LineResult | None:
        """One line result with its spans; see the protocol."""

        def read(connection: Connection) -> tuple[Sequence[Row], Sequence[Row]]:
            place = {"run_id": _run_id(connection, run), "line_number": line_number}
            return connection.rows("read_line", place), connection.rows("read_trace", place)

        lines, traces = self._database.read(read)
        return replace(self._whole(line_from_row, lines[0]), spans=self._spans(traces)) if lines else None

    def read_spans(self, run: str, line_number: int = AGGREGATION_LINE) -> tuple[SpanRecord, ...]:
        """Spans of one line or of the aggregation; see the protocol."""

        def read(connection: Connection) -> Sequence[Row]:
            place = {"run_id": _run_id(connection, run), "line_number": line_number}
            return connection.rows("read_trace", place)

        return self._spans(self._database.read(read))

    def line_statuses(self, run: str) -> Mapping[int, str]:
        """The status of every line; see the protocol."""

        def read(connection: Connection) -> Sequence[Row]:
            return connection.rows("line_statuses", {"run_id": _run_id(connection, run)})

        return {row["line_number"]: row["status"] for row in self._database.read(read)}

    def delete_spans(self, run: str, *, started_before_ns: int | None = None) -> int:
        """Delete the spans of a run; see the protocol."""

        def delete(connection: Connection) -> int:
            row = {
                "run_id": _run_id(connection, run),
                "started_before_ns": started_before_ns,
                "none": encode_spans(()),
            }
            return connection.execute("delete_spans", row)

        return self._database.write(delete, is_repeatable=False)

    def append_labels(self, run: str, labels: Sequence[Label]) -> None:
        """Keep labels; see the protocol."""
        rows = [label_row(label) for label in labels]

        def append(connection: Connection) -> None:
            run_id = _run_id(connection, run)
            connection.execute_many("append_label", [{**row, "run_id": run_id} for row in rows])

        self._database.write(append, is_repeatable=False)

    def read_labels(self, run: str) -> tuple[Label, ...]:
        """All labels of a run; see the protocol."""

        def read(connection: Connection) -> Sequence[Row]:
            return connection.rows("read_labels", {"run_id": _run_id(connection, run)})

        return tuple(self._decoded(label_from_row, row) for row in self._database.read(read))

    def delete_run(self, run: str) -> None:
        """Delete a run; see the protocol."""

        def delete(connection: Connection) -> None:
            if connection.execute("delete_run", {"name": run}) == 0:
                raise _unknown(connection, run)

        self._database.write(delete, is_repeatable=False)
        self._contents.collect(self._database)

    def close(self) -> None:
        """Give back files and connections; see the protocol."""
        self._database.close()

    def _line_rows(self, query: str, run: str, limit: int) -> Iterator[Row]:
        """Rows of the lines of a run; an unknown run is noticed at once and not with the first line."""
        return self._pages(query, self._database.read(lambda connection: _run_id(connection, run)), limit)

    def _pages(self, query: str, run_id: int, limit: int) -> Iterator[Row]:
        # A page at a time: no read transaction stays open between lines, memory does not grow with the run.
        page = {"run_id": run_id, "after": AGGREGATION_LINE, "limit": 0}

        def read(connection: Connection) -> Sequence[Row]:
            return connection.rows(query, page)

        while limit > 0:
            page["limit"] = min(limit, _PAGE_LINES)
            rows = self._database.read(read)
            if not rows:
                return
            yield from rows
            page["after"] = rows[-1]["line_number"]
            limit -= len(rows)

    def _whole(self, read: _ReadLine[ValueT], row: Row) -> ValueT:
        """What ``read`` makes of the row of a line, its long texts put back."""
        if row["has_contents"]:
            decode = put_back(self._content)
            return self._decoded(lambda row: read(row, decode=decode), row)
        return self._decoded(read, row)

    def _change_cache(self, connection: Connection, rows: _CacheRows) -> None:
        if rows.contents:
            self._contents.keep(connection, rows.contents)
        connection.execute_many("keep_result", rows.made)
        connection.execute_many("use_cached_content", rows.content_uses)
        connection.execute_many("use_result", rows.uses)

    def _cached(self, row: Row) -> CachedResult | None:
        """A kept result; ``None`` when a content of it is lost: then the node is called, which brings it back."""
        try:
            output = self._decoded(lambda row: whole_output(row, self._content), row)
        except LostContentError:
            return None
        return self._decoded(lambda row: replace(cached_from_row(row), output=output), row)

    def _content(self, digest: str) -> bytes:
        data = self._database.read(lambda connection: self._contents.read(connection, digest))
        if data is None or sha256(data).hexdigest() != digest:
            raise lost_content(self._contents.name(digest), is_missing=data is None)
        return data

    def _spans(self, traces: Sequence[Row]) -> tuple[SpanRecord, ...]:
        return self._decoded(lambda row: decode_spans(row["spans"]), traces[0]) if traces else ()


def check_version(version: int, migrations: Sequence[Migration], place: str) -> bool:
    """Whether a database of schema version ``version`` is up to date.

    Raises:
        StateError: S804 when a newer headrace wrote it.
    """
    newest = migrations[-1].version
    if version > newest:
        raise newer_store(place, version=version, known=newest)
    return version == newest


def apply_migrations(
    migrations: Sequence[Migration], *, version: int, connection: Connection, execute: Callable[[str], object]
) -> None:
    """Bring a database of schema version ``version`` up to date, in the transaction that the caller has begun."""
    for migration in migrations:
        if migration.version > version:
            for statement in migration.statements:
                execute(statement)
            connection.execute("record_migration", {"version": migration.version, "name": migration.name})


class _CacheRows:
    """What is to be changed in the cache, as rows.

    Attributes:
        made: New results, their long texts set aside.
        uses: How often results were used.
        contents: The long texts, by their digests.
        content_uses: Which result refers to which of them.
    """

    def __init__(self, changes: CacheChanges | None) -> None:
        self.made: list[dict[str, Any]] = []
        self.uses: list[dict[str, Any]] = []
        self.contents: dict[str, bytes] = {}
        self.content_uses: list[dict[str, Any]] = []
        if changes is None:
            return
        for result in changes.made:
            row = cached_row(result)
            contents = set_aside_output(row)
            self.made.append(row)
            self.contents |= contents
            self.content_uses += [{"key": result.key, "digest": digest} for digest in sorted(contents)]
        uses = sorted(changes.used.items())  # in one order, so that two writers do not wait for each other
        self.uses = [{"key": key, "n_uses": n_uses, "used_ns": changes.used_ns} for key, n_uses in uses]


def _run_id(connection: Connection, run: str) -> int:
    rows = connection.rows("find_run", {"name": run})
    if not rows:
        raise _unknown(connection, run)
    return int(rows[0]["id"])


def _unknown(connection: Connection, run: str) -> UsageError:
    return unknown_run(run, tuple(row["name"] for row in connection.rows("run_names", {})))
