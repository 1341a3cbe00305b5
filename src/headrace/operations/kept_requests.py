"""Keep requests that a server has answered as lines of runs in the store.

A thread writes them, through a store of its own: no request waits for a disk or a database. What waits to be written is
bounded; what does not fit any more is counted and not kept. May catch everything: a request that cannot be recorded is
left out, and the next ones are kept.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from threading import Event, Lock, Thread
from typing import Any

from headrace.config import Settings
from headrace.domain.run import CANCELED, COMPLETED, RUNNING, LineResult, RunSpec
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.operations.read_version import FlowSnapshot
from headrace.operations.run_owner import BEAT_S, as_of, new_owner
from headrace.operations.workspace import Workspace
from headrace.store.base import RunStore
from headrace.telemetry.attributes import FLOW, LINE_NUMBER
from headrace.telemetry.sampling import RULE_FORM, TailRule, read_rule
from headrace.telemetry.setup import SpanSink

MOST_LINES = 1_000
"""How many lines may wait to be written."""

MOST_CHARACTERS = 64_000_000
"""How long their texts may be together."""

LOST = "headrace.requests.lost"
"""Name of the metric."""

_VARIABLE = "HEADRACE_SERVE_KEEP"
_BATCH = 100
_EVERY_S = 0.5
_LONGEST_PAUSE_S = 10.0
_FLUSH_S = 5.0
_MOST_RUNS = 100
_LOGGER = logging.getLogger("headrace.serving")


def keep_rule(settings: Settings, given: str | None) -> TailRule | None:
    """Which requests are to be kept; ``None`` for none.

    Args:
        settings: The environment; its ``HEADRACE_SERVE_KEEP`` counts where nothing is given.
        given: A share from 0 to 1, or a rule such as ``errors,slow=2,share=0.1``.

    Raises:
        UsageError: C506, C507 for a text of another form, and for a store that is gone with the process.
    """
    text = (given if given is not None else settings.environment.get(_VARIABLE, "")).strip()
    if not text:
        return None
    is_number = "=" not in text and "errors" not in text
    rule = read_rule(f"share={text}" if is_number else text)
    if rule is None:
        where, code = (
            ("--keep", "C507") if given is not None else (f"The environment variable {_VARIABLE}", "C506")
        )
        what = f"{where} names neither a share from 0 to 1 nor a rule."
        raise UsageError(Problem(code=code, what=what, fix=f"Write a number such as 0.1. {RULE_FORM}"))
    if rule.is_empty:
        return None
    if settings.store == "memory:":
        what = "Requests cannot be kept in memory: they would be gone with the server."
        raise UsageError(
            Problem(code="C506", what=what, fix="Set HEADRACE_STORE to another store, or unset it.")
        )
    return rule


@dataclass(slots=True, kw_only=True, eq=False)
class KeptRun:
    """The run of one version of a flow in one process. It comes into the store with its first line.

    Attributes:
        spec: What is recorded of it, but for its name and the number of its version.
        snapshot: The version.
        waiting: Lines that are to be written, each with the length of its texts.
        is_over: No line follows.
        name, owner: What it is called in the store, and who works on it; empty as long as nothing is written.
        is_made: Whether it is in the store.
        n_lines: How many of its lines are.
        beat_s: When it was last said that it is worked on; on the monotonic clock.
    """

    spec: RunSpec
    snapshot: FlowSnapshot
    waiting: deque[tuple[LineResult, int]] = field(default_factory=deque)
    is_over: bool = False
    name: str = ""
    owner: str = ""
    is_made: bool = False
    n_lines: int = 0
    beat_s: float = 0.0


class KeptRequests:
    """A thread that writes lines into their runs.

    Args:
        store: Where the runs are; the thread closes it.
        rule: Which requests are kept.
        now: The clock of what is recorded.
        sink: Counts what is lost.
        every_s: How often to write, seconds.

    Attributes:
        rule: As given.
        n_lost: Lines that could not be kept so far.
    """

    def __init__(
        self,
        store: RunStore,
        rule: TailRule,
        *,
        now: Callable[[], datetime],
        sink: SpanSink,
        every_s: float = _EVERY_S,
    ) -> None:
        self.rule = rule
        self.n_lost = 0
        self._store = store
        self._now = now
        self._sink = sink
        self._every_s = every_s
        self._runs: list[KeptRun] = []
        self._lock = Lock()
        self._n_waiting = 0
        self._n_characters = 0
        self._said_lost = 0
        self._is_away = False
        self._has_closed_others = False
        self._end_s: float | None = None
        self._wake = Event()
        self._thread = Thread(target=self._work, name="headrace kept requests", daemon=True)
        self._thread.start()

    def begin(self, spec: RunSpec, snapshot: FlowSnapshot) -> KeptRun:
        """A run for the lines of one version of a flow.

        Args:
            spec: See :attr:`KeptRun.spec`.
            snapshot: The version.
        """
        run = KeptRun(spec=replace(spec, is_served=True), snapshot=snapshot)
        with self._lock:
            self._runs.append(run)
        return run

    def take(self, run: KeptRun, line: LineResult) -> None:
        """Take a line that is to be written soon; one for which there is no room is lost."""
        n_characters = _count_characters(line)
        with self._lock:
            is_full = self._n_waiting >= MOST_LINES or self._n_characters + n_characters > MOST_CHARACTERS
            if not is_full and self._end_s is None:
                run.waiting.append((line, n_characters))
                self._n_waiting += 1
                self._n_characters += n_characters
                return
        self._lose(run)

    def end(self, run: KeptRun) -> None:
        """Close a run once its lines are written."""
        run.is_over = True
        self._wake.set()

    def close(self, timeout_s: float = _FLUSH_S) -> None:
        """Write what is left and close all runs, within a time; a store that does not answer is not waited for.

        Args:
            timeout_s: How long that may take, seconds.
        """
        with self._lock:
            self._end_s = time.monotonic() + timeout_s
            for run in self._runs:
                run.is_over = True
        self._wake.set()
        self._thread.join(timeout_s)
        n_missing = self.n_lost + self._n_waiting
        if n_missing:
            _LOGGER.warning("%d requests that were to be kept are not in the store.", n_missing)

    def _work(self) -> None:
        pause_s = self._every_s
        while True:
            self._wake.clear()
            has_ended = self._end_s is not None
            try:
                self._write_all()
                pause_s = self._every_s
                self._say_away(None)
            except HeadraceError as error:
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self._say_away(error)
            self._say_lost()
            if has_ended and (not self._runs or self._is_late()):
                break
            self._wake.wait(self._every_s if has_ended else pause_s)
        self._close_store()

    def _is_late(self) -> bool:
        return self._end_s is not None and time.monotonic() >= self._end_s

    def _write_all(self) -> None:
        if not self._has_closed_others:
            close_abandoned(self._store, self._now())
            self._has_closed_others = True
        for run in tuple(self._runs):
            while run.waiting and not self._is_late():
                self._write(run)
            if run.is_made and time.monotonic() >= run.beat_s + BEAT_S:
                self._store.beat_run(run.name, owner=run.owner, at=self._now())
                run.beat_s = time.monotonic()
            if run.is_over and not run.waiting:
                self._finish(run)

    def _write(self, run: KeptRun) -> None:
        """Write the next lines of a run, which stay where they are until they are in the store."""
        with self._lock:
            batch = tuple(islice(run.waiting, _BATCH))
        self._make(run)
        try:
            self._append(run, [line for line, _ in batch])
        except UsageError:  # somebody has deleted the run
            run.name, run.is_made, run.n_lines = "", False, 0
            return
        with self._lock:
            for _ in batch:
                self._n_characters -= run.waiting.popleft()[1]
            self._n_waiting -= len(batch)

    def _make(self, run: KeptRun) -> None:
        """Make the run in the store, where it is not there yet."""
        if run.is_made:
            return
        spec, now = run.spec, self._now()
        if not run.name:
            run.owner = new_owner()
            run.name = served_name(spec.flow_name, now, run.owner.rpartition(":")[2])
        version = self._store.keep_flow_version(
            spec.flow_name,
            digest=run.snapshot.digest,
            manifest=run.snapshot.manifest,
            contents=run.snapshot.contents,
            at=now,
        )
        spec = replace(spec, name=run.name, flow_version=version.number)
        try:
            self._store.create_run(spec, n_lines=0, created_at=now, owner=run.owner)
        except UsageError:  # it was made, and the answer of the store was lost: nobody else has this name
            self._store.beat_run(run.name, owner=run.owner, at=now)
        run.is_made, run.beat_s = True, time.monotonic()

    def _append(self, run: KeptRun, lines: Sequence[LineResult]) -> None:
        numbered = [_as_line(line, run.n_lines + index) for index, line in enumerate(lines)]
        try:
            self._store.append_lines(run.name, numbered)
        except HeadraceError:
            raise
        except Exception as error:
            if len(lines) > 1:  # one of them cannot be recorded
                for line in lines:
                    self._append(run, [line])
                return
            self._lose(run)
            _LOGGER.warning("A request could not be recorded.", exc_info=error)
            return
        run.n_lines += len(lines)

    def _finish(self, run: KeptRun) -> None:
        if run.is_made:
            self._store.finish_run(run.name, status=COMPLETED, finished_at=self._now(), metrics={})
        with self._lock:
            self._runs.remove(run)

    def _lose(self, run: KeptRun) -> None:
        self.n_lost += 1
        self._sink.count(LOST, 1, {FLOW: run.spec.flow_name})

    def _say_lost(self) -> None:
        if self.n_lost and not self._said_lost:
            _LOGGER.warning(
                "Some requests that were to be kept are not; the number is said when the server ends."
            )
        self._said_lost = self.n_lost

    def _say_away(self, error: HeadraceError | None) -> None:
        if error is not None and not self._is_away:
            why = " ".join(problem.headline() for problem in error.problems)
            _LOGGER.warning("Requests wait to be kept until that is possible: %s", why)
        elif error is None and self._is_away:
            _LOGGER.warning("Requests are kept again.")
        self._is_away = error is not None

    def _close_store(self) -> None:
        try:
            self._store.close()
        except HeadraceError as error:  # everything is recorded by then
            _LOGGER.warning("%s", " ".join(problem.headline() for problem in error.problems))


@contextmanager
def kept_requests(workspace: Workspace, given: str | None) -> Iterator[KeptRequests | None]:
    """What keeps requests during the block; ``None`` where none are to be kept.

    Args:
        workspace: For the store and its settings.
        given: See :func:`keep_rule`.

    Raises:
        UsageError: As :func:`keep_rule`; C505, C506 when the location of the store makes no sense here.
        StateError: A newer headrace wrote the store.
    """
    rule = keep_rule(workspace.settings, given)
    if rule is None:
        yield None
        return
    kept = KeptRequests(workspace.open_store(), rule, now=workspace.now, sink=workspace.span_sink)
    try:
        yield kept
    finally:
        kept.close(min(_FLUSH_S, workspace.settings.grace_s))


def served_name(flow: str, now: datetime, mark: str) -> str:
    """What the run of a served flow is called: ``served-<flow>-<time>-<process>``.

    Args:
        flow: Name of the flow.
        now: When the run begins.
        mark: Tells the process from all others.
    """
    words = re.sub(r"[^\w.]+", "-", flow).strip("-")
    return f"served-{words}-{now:%Y%m%d-%H%M%S}-{mark}"


def close_abandoned(store: RunStore, now: datetime) -> None:
    """Close runs of served requests whose server was killed: nobody will go on with them.

    Raises:
        StateError: The store failed.
    """
    for run in store.list_runs(limit=_MOST_RUNS):
        seen = as_of(run, now)
        if run.status == RUNNING and seen.status == CANCELED and seen.finished_at is not None:
            store.finish_run(run.spec.name, status=CANCELED, finished_at=seen.finished_at, metrics={})


def _as_line(line: LineResult, number: int) -> LineResult:
    """A line under its number in the run; while it ran it had that of its request."""
    spans = tuple(
        replace(span, attributes={**span.attributes, LINE_NUMBER: number})
        if LINE_NUMBER in span.attributes
        else span
        for span in line.spans
    )
    return replace(line, line_number=number, spans=spans)


def _count_characters(line: LineResult) -> int:
    """How long the texts of a line are together."""
    total = 0
    waiting: list[Any] = [line.inputs, line.outputs]
    for node in line.nodes:
        waiting += (node.inputs, node.output, node.logs)
    waiting += (span.content for span in line.spans)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return total
