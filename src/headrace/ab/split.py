"""A test whose arms are asked by the program itself: assigns, records, and follows what holds."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final
from uuid import uuid4

from headrace.ab.choice import Choice
from headrace.config import load_settings
from headrace.domain.evidence import Evidence, Exposure, Feedback, feedback_key, unit_digest
from headrace.domain.traffic import Revision, Traffic, UnitSource
from headrace.errors import HeadraceError, Problem, StateError, UsageError
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import check_answering, say_split_apart, settle_revision
from headrace.operations.workspace import Workspace
from headrace.planning.asked_facts import as_text
from headrace.planning.assignment import Assigner, RequestFacts
from headrace.store.journal import Journal, JournalMover

_LOGGER = logging.getLogger("headrace.ab")
_FOLLOW_S = 1.0
_FLUSH_S = 5.0
_GIVEN: Final = UnitSource(place="field", name="the unit that the program names")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What a program says of a request."""

    request_id: str
    unit: str | int
    forced: str | None
    attributes: Mapping[str, str | float] = field(default_factory=dict)

    def find(self, source: UnitSource) -> str | None:
        if source is _GIVEN:
            return as_text(self.unit) or None
        found = self.attributes.get(f"{source.place}:{source.name}")
        return as_text(self.attributes.get(source.name) if found is None else found)


class Split:
    """Splits requests among the arms of a traffic file; safe for use from several threads and from event loops.

    Made by :meth:`open`, in each process that splits.

    Attributes:
        n_lost: Records that could not be kept so far.
        is_synced: Whether :meth:`choose` waits for a disk (``HEADRACE_JOURNAL_SYNC``); an event loop calls it in a
            thread then.
    """

    def __init__(self, path: Path, workspace: Workspace, stack: ExitStack, *, follow_s: float) -> None:
        self._path = path
        self._store = workspace.store
        self._stack = stack
        self.n_lost = 0
        self.is_synced = workspace.settings.syncs_journal
        self._follow_lock = Lock()
        self._is_failing = self._is_behind = False
        self._mark = _mark(path)
        self._read_at = workspace.now()
        self._traffic = read_traffic(path)
        self._assigner = self._settle()
        folder = workspace.journal_folder
        self._journal = Journal(folder, is_synced=self.is_synced)
        self._mover = JournalMover(folder, self._store)
        stack.callback(self._mover.close)
        stack.callback(self._mover.flush, _FLUSH_S)
        stack.callback(self._journal.close)
        self._is_closing = Event()
        thread = Thread(target=self._follow_on, args=(follow_s,), name="headrace traffic", daemon=True)
        stack.callback(thread.join, _FLUSH_S)
        stack.callback(self._is_closing.set)
        thread.start()

    @classmethod
    def open(cls, path: str | Path, *, store: str | Path | None = None, follow_s: float = _FOLLOW_S) -> Split:
        """Begin to split, or join those who do: processes with one store share a test.

        Args:
            path: The traffic file; it is followed when it changes.
            store: Path of a SQLite file or address of a PostgreSQL database; ``None`` for ``HEADRACE_STORE``, else
                the store of the working directory.
            follow_s: How often to look for a changed file and a new revision, seconds.

        Raises:
            DefinitionError: The file is wrong; all that is wrong with it.
            UsageError: The store's location makes no sense here, or the arm that answers everybody is not in the file.
            StateError: The store cannot be reached. Once a split is open, that no longer matters to requests.
        """
        settings = load_settings()
        if store is not None:
            settings = replace(settings, store=str(store))
        with ExitStack() as stack:
            split = cls(
                Path(path).absolute(), Workspace(settings, Path.cwd(), stack), stack, follow_s=follow_s
            )
            split._stack = stack.pop_all()
        return split

    @property
    def traffic(self) -> Traffic:
        """The rules."""
        return self._traffic

    @property
    def revision(self) -> Revision:
        """What holds now."""
        return self._assigner.revision

    def choose(
        self,
        unit: str | int = "",
        *,
        attributes: Mapping[str, str | float] | None = None,
        request_id: str = "",
        forced: str | None = None,
    ) -> Choice:
        """The arm of a request, which is recorded before this returns.

        Args:
            unit: Whoever keeps one arm for all requests: a user, a session, a conversation; empty for none. A number is
                the unit that its digits are.
            attributes: What the conditions of the file look at, by name or by ``place:name``, such as
                ``header:x-tier``; units of the file are looked for in them where ``unit`` is empty.
            request_id: Names the request; one that is chosen for twice counts once. Empty for a new one.
            forced: The arm that a tester asks for; counts only where the file has a ``force_header``.
        """
        named = _Named(
            request_id=request_id or str(uuid4()), unit=unit, forced=forced, attributes=attributes or {}
        )
        return self.choose_for(named, named.request_id, time.perf_counter())

    def choose_for(self, facts: RequestFacts, exposure_id: str, began: float) -> Choice:
        """The arm of a request that is not named by its unit but looked into; see :class:`SplitMiddleware`.

        Args:
            facts: The request.
            exposure_id: Unique.
            began: When the request began, by ``time.perf_counter``.
        """
        assigner = self._assigner
        traffic = assigner.traffic
        assignment = assigner.assign(facts)
        exposure = Exposure(
            id=exposure_id,
            test=traffic.name,
            revision=assigner.revision.number,
            at_ns=time.time_ns(),
            unit=unit_digest(traffic.name, assignment.unit or facts.request_id),
            arm=assignment.arm,
            propensity=assignment.propensity,
            role=assignment.role,
            request_id=facts.request_id,
            attributes=assignment.attributes,
        )
        is_kept = not assigner.revision.is_over and self._try_keep(exposure)
        arm = traffic.arm(assignment.arm)
        baseline = traffic.arm(traffic.baseline)
        assert arm is not None  # noqa: S101 - an assigner chooses among the arms of its rules
        has_fallback = traffic.falls_back and arm.name != traffic.baseline
        return Choice(
            traffic.name,
            assignment,
            arm,
            fallback=baseline if has_fallback else None,
            exposure_id=exposure_id if is_kept else "",
            keep=self._try_keep,
            began=began,
        )

    def feedback(
        self,
        metric: str,
        value: float | None = None,
        *,
        exposure_id: str = "",
        unit: str | int = "",
        text: str = "",
        feedback_id: str = "",
        at: datetime | None = None,
        source: str = "user",
    ) -> None:
        """Record what was said about a request or about a unit; it would survive the death of this process.

        Args:
            metric: What it is about, as the file names it.
            value: ``None`` for text alone.
            exposure_id: :attr:`Choice.exposure_id` of the request.
            unit: The unit, where it is about one.
            text: What was written.
            feedback_id: The same id for the same metric of the same request or unit counts once. Empty for a new one.
            at: When it was said; ``None`` for now.
            source: ``user``, or the name of whoever judges.

        Raises:
            UsageError: D401 for feedback about neither a request nor a unit, or about both, and for a value that is no
                finite number.
            StateError: It could not be kept.
        """
        unit = as_text(unit) or ""
        if bool(exposure_id) == bool(unit):
            what = "Feedback is about one request or about one unit."
            raise UsageError(Problem(code="D401", what=what, fix="Give either exposure_id or unit."))
        try:
            value = None if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if value is not None and not math.isfinite(value):
            what = "The value of feedback is a finite number."
            raise UsageError(Problem(code="D401", what=what, fix="Leave out what is not known."))
        test = self._traffic.name
        about = unit_digest(test, unit) if unit else ""
        record = Feedback(
            id=feedback_key(
                test=test,
                exposure=exposure_id,
                unit=about,
                metric=metric,
                given=feedback_id or str(uuid4()),
            ),
            test=test,
            at_ns=time.time_ns() if at is None else int(at.timestamp() * 1e9),
            metric=metric,
            value=value,
            exposure=exposure_id,
            unit=about,
            source=source,
            text=text,
        )
        self.keep_feedback([record])

    def keep_feedback(self, records: Iterable[Feedback]) -> None:
        """Record what was said, as :meth:`feedback` does.

        Raises:
            StateError: It could not be kept.
        """
        for record in records:
            self._journal.append(record)

    def follow(self) -> None:
        """Look for a changed file and a new revision now; this is done in the background as well.

        Raises:
            DefinitionError: The changed file is wrong; what held goes on.
            UsageError: It does not have the arm that answers everybody; likewise.
            StateError: The store cannot be reached; likewise.
        """
        with self._follow_lock:
            try:
                mark = _mark(self._path)
                if mark != self._mark:
                    self._mark = mark
                    read_at = datetime.now(UTC)
                    traffic = read_traffic(self._path)
                    check_answering(self.revision, traffic)
                    self._traffic = traffic
                    self._read_at = read_at
            finally:
                before, self._assigner = self.revision, self._settle()
                if self.revision.number != before.number:
                    self._warn_apart()

    def flush(self, timeout_s: float = _FLUSH_S) -> bool:
        """Wait until everything that was recorded so far is in the store.

        Args:
            timeout_s: How long to wait, seconds.

        Returns:
            Whether it is.
        """
        return self._mover.flush(timeout_s)

    def close(self) -> None:
        """Stop; what is not in the store yet is moved later, by whoever splits next. A second call does nothing."""
        self._stack.close()

    def __enter__(self) -> Split:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _settle(self) -> Assigner:
        traffic = self._traffic
        revision = settle_revision(self._store, traffic, datetime.now(UTC), read_at=self._read_at)
        return Assigner(replace(traffic, units=(_GIVEN, *traffic.units)), revision)

    def _warn_apart(self) -> None:
        if apart := say_split_apart(self.revision, self._traffic):
            _LOGGER.warning("%s", apart)

    def _follow_on(self, every_s: float) -> None:
        while not self._is_closing.wait(every_s):
            try:
                self.follow()
            except (HeadraceError, OSError) as error:
                if not self._is_behind:
                    _LOGGER.warning("%s cannot be followed; what held goes on: %s", self._path, error)
                self._is_behind = True
            except Exception as error:
                # Whatever it is, the next rollback has to be heard of.
                _LOGGER.error("%s could not be followed; what held goes on.", self._path, exc_info=error)
            else:
                self._is_behind = False

    def _try_keep(self, record: Evidence) -> bool:
        try:
            self._journal.append(record)
        except StateError as error:
            self.n_lost += 1
            if not self._is_failing:
                _LOGGER.error("Evidence of %s cannot be kept: %s", self._traffic.name, error)
            self._is_failing = True
            return False
        self._is_failing = False
        return True


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
