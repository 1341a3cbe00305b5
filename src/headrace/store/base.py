"""What every store does. One conformance suite runs over all of them (tests/conformance/stores)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING, Any, Protocol

from headrace.domain.label import Label
from headrace.domain.run import LineOutcome, LineResult, NodeResult, Run, RunSpec
from headrace.domain.span import SpanRecord
from headrace.domain.values import JsonValue
from headrace.errors import Problem, UsageError, nearest

if TYPE_CHECKING:  # a single test of a flow opens no store
    from headrace.domain.cache import CacheChanges, CachedResult, CacheSummary
    from headrace.domain.evidence import Arrival, Evidence, Exposure
    from headrace.domain.recorded_experiment import RecordedExperiment
    from headrace.domain.traffic import Revision
    from headrace.domain.version import DataVersion, FlowVersion, KeptPieces, Manifest, TagMove
    from headrace.store.evidence_records import EvidenceRow

AGGREGATION_LINE = -1
"""The line number under which the spans of the aggregation nodes are kept."""


class RunStore(Protocol):
    """Runs, experiments, versions and what live traffic left behind. Methods block; they may be called from any thread.

    Values come back as plain data: tuples as lists, mapping keys as text, integers of thousands of digits as
    ``None``; NaN and infinities as they are.

    Every method raises ``StateError`` when the store itself cannot be used: S803 when it cannot be read or
    written, S804 when a newer headrace wrote it. Every method that takes the name of a run raises
    ``UsageError`` S801, with the nearest name as fix, when the store has no such run.
    """

    @property
    def place(self) -> str:
        """Where it is, as people may see it: without a password."""
        ...

    def create_run(
        self, spec: RunSpec, *, n_lines: int, created_at: datetime, owner: str | None = None
    ) -> Run:
        """Create a run with status Running, worked on by ``owner``.

        Raises:
            UsageError: S802 when the name is taken.
        """
        ...

    def claim_run(self, run: str, *, owner: str, at: datetime, seen: datetime | None) -> bool:
        """Work on a run again: it becomes Running, worked on by ``owner``; its lines and metrics stay.

        Args:
            run: Name of the run.
            owner: Who works on it from now on.
            at: The first heartbeat.
            seen: The heartbeat that the caller knows of.

        Returns:
            False, and nothing is changed, when the run has another heartbeat by now: somebody else works on it.
        """
        ...

    def beat_run(self, run: str, *, owner: str, at: datetime) -> bool:
        """Say that ``owner`` still works on a run; false when the run belongs to somebody else by now."""
        ...

    def append_lines(
        self, run: str, results: Sequence[LineResult], changes: CacheChanges | None = None
    ) -> None:
        """Record line results in one transaction; a line number that is recorded already is replaced.

        Args:
            run: Name of the run.
            results: The lines.
            changes: What is to be committed to the cache in the same transaction.
        """
        ...

    def change_cache(self, changes: CacheChanges) -> None:
        """Keep results of nodes and count uses; the first result of a key stays."""
        ...

    def read_cached(self, keys: Sequence[str]) -> Mapping[str, CachedResult]:
        """The kept results among ``keys``, by key."""
        ...

    def summarize_cache(self) -> CacheSummary:
        """How much is kept."""
        ...

    def clear_cache(self, *, unused_since_ns: int | None = None) -> int:
        """Forget kept results; what runs recorded stays.

        Args:
            unused_since_ns: Only those that were neither made nor used since then, in nanoseconds since the Unix
                epoch.

        Returns:
            How many there were.
        """
        ...

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
        """Close a run and return it as recorded; ``spans`` are those of its aggregation nodes."""
        ...

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
        """Change what is noted about a run and return it as recorded; ``None`` leaves a value as it is."""
        ...

    def read_run(self, run: str) -> Run:
        """One run, with totals counted from its recorded lines."""
        ...

    def list_runs(
        self,
        *,
        limit: int | None = None,
        experiment: str | None = None,
        source_run: str | None = None,
        is_archived: bool | None = None,
    ) -> tuple[Run, ...]:
        """Runs, newest first.

        Args:
            limit: The most runs; ``None`` for all.
            experiment: Only the runs of this experiment.
            source_run: Only the runs that evaluate this one.
            is_archived: Only the archived ones, or only the others; ``None`` for both.
        """
        ...

    def read_lines(self, run: str, *, limit: int | None = None) -> Iterator[LineResult]:
        """Line results in order of line number, without spans.

        Lines are read a few at a time: those recorded meanwhile may or may not be among them.
        """
        ...

    def read_outcomes(self, run: str) -> Iterator[LineOutcome]:
        """What came out of each line, in order of line number: a fraction of what reading the lines costs."""
        ...

    def read_line(self, run: str, line_number: int) -> LineResult | None:
        """One line result with its spans, ``None`` when it is not recorded."""
        ...

    def read_spans(self, run: str, line_number: int = AGGREGATION_LINE) -> tuple[SpanRecord, ...]:
        """Spans of one line, or of the aggregation nodes; empty when none are recorded."""
        ...

    def line_statuses(self, run: str) -> Mapping[int, str]:
        """The status of every recorded line by its number."""
        ...

    def delete_spans(self, run: str, *, started_before_ns: int | None = None) -> int:
        """Delete the spans of a run's lines and of its aggregation nodes; the lines themselves stay.

        Args:
            run: Name of the run.
            started_before_ns: Only of lines that began before, in nanoseconds since the Unix epoch; spans of
                aggregation nodes go when all lines of the run did.

        Returns:
            Of how many lines there were spans; the aggregation counts as one.
        """
        ...

    def append_labels(self, run: str, labels: Sequence[Label]) -> None:
        """Keep what people say about answers of a run, in one transaction; nothing that was said before goes."""
        ...

    def read_labels(self, run: str) -> tuple[Label, ...]:
        """Everything that people said about answers of a run, oldest first."""
        ...

    def delete_run(self, run: str) -> None:
        """Delete a run with its lines, spans and labels; results of its nodes that are kept stay."""
        ...

    def keep_flow_version(
        self, flow: str, *, digest: str, manifest: Manifest, contents: Mapping[str, bytes], at: datetime
    ) -> FlowVersion:
        """Keep a version of a flow under the next number, or return it as it is kept already.

        Versions are never deleted: what ran can be looked up after its runs are gone.

        Args:
            flow: Name of the flow.
            digest: The id of the version.
            manifest: What it is made of.
            contents: The files to keep, by SHA-256.
            at: When it is seen.
        """
        ...

    def find_flow_version(self, flow: str, digest: str) -> FlowVersion | None:
        """The version of a flow that has this id, ``None`` when it is not kept."""
        ...

    def list_flow_versions(self, flow: str | None = None) -> tuple[FlowVersion, ...]:
        """Versions of one flow or of all, by name of the flow and number."""
        ...

    def move_tag(self, move: TagMove, *, n_moves: int) -> bool:
        """Put a tag on a version; where it was before stays known.

        Args:
            move: Which tag, and on what.
            n_moves: How often the caller knows it to have been put somewhere.

        Returns:
            False, and nothing is changed, when somebody else has moved it meanwhile.
        """
        ...

    def list_tag_moves(self, flow: str | None = None) -> tuple[TagMove, ...]:
        """Everything that tags of one flow or of all were put on, oldest first."""
        ...

    def keep_data_version(
        self,
        data: str,
        *,
        digest: str,
        n_lines: int,
        content: bytes | KeptPieces | None,
        at: datetime,
        origin: Mapping[str, JsonValue] | None = None,
    ) -> DataVersion:
        """Keep a version of data under the next number, or return it as it is kept already.

        Args:
            data: What the data is called.
            digest: SHA-256 over it.
            n_lines: Its lines.
            content: The file to keep, or what :meth:`keep_pieces` has kept; ``None`` for nothing. Where pieces were
                forgotten meanwhile, the version keeps nothing.
            at: When it is seen.
            origin: Where it comes from, where headrace itself has written it.
        """
        ...

    def find_data_version(self, data: str, digest: str) -> DataVersion | None:
        """The version of data that has this digest, ``None`` when it is not kept."""
        ...

    def list_data_versions(self, data: str | None = None) -> tuple[DataVersion, ...]:
        """Versions of one file of data or of all, by name and number."""
        ...

    def forget_data(self, data: str, number: int) -> bool:
        """Forget the file of a version of data; its number and digest stay, and so does the file where others have it.

        Returns:
            Whether there was a file.
        """
        ...

    def missing_files(self, digests: Collection[str]) -> frozenset[str]:
        """Which of some files of versions are not kept."""
        ...

    def read_file(self, digest: str) -> bytes | None:
        """A file of a version as it is kept, whole or not; ``None`` when it is missing."""
        ...

    def keep_pieces(self, content: str, pieces: Iterable[tuple[str, bytes]]) -> KeptPieces:
        """Keep files that are too large for one value, before a version of data names them.

        Args:
            content: What they are known by.
            pieces: Pieces of each file in order, with its name; an empty file has one empty piece.
        """
        ...

    def read_pieces(self, content: str) -> Iterator[tuple[str, bytes | None]]:
        """What :meth:`keep_pieces` has kept, nothing where it is not there; ``None`` in place of a lost piece."""
        ...

    def create_experiment(self, experiment: RecordedExperiment) -> None:
        """Record an experiment before its first call is paid.

        Raises:
            UsageError: S802 when its id is taken.
        """
        ...

    def claim_experiment(
        self, experiment: RecordedExperiment, *, owner: str, at: datetime, seen: datetime | None
    ) -> bool:
        """Work on an experiment again: it becomes Running, worked on by ``owner``.

        Args:
            experiment: As it is from now on; what it may spend can change.
            owner: Who works on it.
            at: The first heartbeat.
            seen: The heartbeat that the caller knows of.

        Returns:
            False, and nothing is changed, when it has another heartbeat by now: somebody else works on it.
        """
        ...

    def beat_experiment(self, experiment: str, *, owner: str, at: datetime) -> bool:
        """Say that ``owner`` still works on an experiment; false when it belongs to somebody else by now."""
        ...

    def finish_experiment(
        self, experiment: str, *, owner: str, status: str, finished_at: datetime, verdict: str | None = None
    ) -> bool:
        """Close an experiment; false, and nothing is changed, when it belongs to somebody else by now."""
        ...

    def read_experiment(self, experiment: str) -> RecordedExperiment | None:
        """One experiment by its id, ``None`` when it is not recorded."""
        ...

    def list_experiments(self) -> tuple[RecordedExperiment, ...]:
        """Experiments, newest first."""
        ...

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        """Keep what live traffic left behind, in one transaction, at the next places in the order of arrival.

        A record whose id is kept already in its test is left out, whatever else it says. Feedback may come before its
        exposure.
        Feedback that names no test belongs to that of its exposure; it arrives in that test when both are there.

        Returns:
            How many were new; less than that where a connection was lost and the records were sent again.
        """
        ...

    def read_arrivals(self, test: str, *, after: int = 0, limit: int = 10_000) -> tuple[Arrival, ...]:
        """The next records of a test in order of arrival; nothing gets a place before one that was read already.

        Args:
            test: Name of the test.
            after: The last place that the caller knows.
            limit: The most records.
        """
        ...

    def find_exposure(self, request_id: str) -> Exposure | None:
        """The exposure of the arm that answered a request, never of a mirror; ``None`` when it has not arrived."""
        ...

    def append_revision(self, revision: Revision) -> bool:
        """Make a revision of a test.

        Returns:
            False, and nothing is changed, when its number is not the one after the latest: somebody else was first.
        """
        ...

    def latest_revision(self, test: str) -> Revision | None:
        """The revision of a test that holds, ``None`` when it has none."""
        ...

    def list_revisions(self, test: str) -> tuple[Revision, ...]:
        """The revisions of a test, oldest first."""
        ...

    def list_ab_tests(self) -> tuple[str, ...]:
        """Names of the tests that have a revision, in order."""
        ...

    def delete_ab_test(self, test: str) -> None:
        """Delete everything that was recorded of a test, piece by piece, and then its revisions."""
        ...

    def close(self) -> None:
        """Give back files and connections; a second call does nothing."""
        ...


def unknown_run(run: str, known: Sequence[str]) -> UsageError:
    """The S801 error for a run that is not among ``known``."""
    near = nearest(run, known)
    if near:
        fix = f'Did you mean "{near}"?'
    elif known:
        fix = "List the runs of this store with: headrace run list"
    else:
        fix = "This store holds no runs yet. Create one with: headrace run create"
    return UsageError(Problem(code="S801", what=f'There is no run named "{run}".', fix=fix))


def taken_run(run: str) -> UsageError:
    """The S802 error for a run name that is in use."""
    return UsageError(
        Problem(
            code="S802",
            what=f'A run named "{run}" exists already.',
            fix=f"Choose another name, or delete the run with: headrace run delete --name {quote(run)}",
        )
    )
