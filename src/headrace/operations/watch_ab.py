"""Watches online tests: looks at the evidence, rolls back what breaches a guardrail, moves traffic as the rules say.

Several watches of one test do no harm: whatever they decide is a revision, and of two equal ones the store takes one.
A store that is away is waited for. Nothing here promotes an arm.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from headrace.config import Settings
from headrace.domain.ab_report import AbReport, Rollback
from headrace.domain.traffic import Revision, Traffic
from headrace.domain.values import JsonValue
from headrace.errors import HeadraceError, Problem, StateError
from headrace.evaluation.online.allocation import thompson_weights
from headrace.evaluation.report.online import render_online_pages
from headrace.evaluation.report.online_view import AbView
from headrace.evaluation.report.revisions import say_revision
from headrace.operations.ab_revisions import allocate, roll_back, settle_revision
from headrace.operations.ab_webhook import Deliveries, Outbox
from headrace.operations.follow_ab import AbFollower
from headrace.operations.score_traffic import Scoring, TrafficScorer
from headrace.operations.workspace import Workspace, open_workspace
from headrace.providers.loading import load_optional
from headrace.providers.variables import Variables
from headrace.store.base import RunStore
from headrace.store.journal import JournalMover

MIN_EVERY_S: Final = 0.5
_PAGES: Final = "headrace.serving.page_server:run_pages"
_MARKS: Final = "webhooks.json"
_LESS_URGENT: Final = 10

Tell = Callable[[str, Sequence[Problem]], None]
"""Hears what happened, and the problems behind it."""


@dataclass(slots=True)
class _Watched:
    """A test that is watched: how far it has been read, when it is looked at next, and what was seen last."""

    follower: AbFollower
    next_at: datetime | None = None
    view: AbView | None = None
    told: int = 0


class Watch:
    """Looks at tests when it is time to. :meth:`step` belongs to one thread; :meth:`views` may be read by others.

    Args:
        store: Holds the tests.
        tests: Names of the tests; empty for all that the store knows.
        tell: Hears of revisions that were made, and of a store that is away.
        every_s: Seconds between two looks at a test; ``None`` for what its rules say.
        keeps_looks: Whether the course of each test is wanted.
        beside: Puts beside a look what else is to be shown; called once for each.
    """

    def __init__(
        self,
        store: RunStore,
        tests: Sequence[str],
        tell: Tell,
        *,
        every_s: float | None = None,
        keeps_looks: bool = False,
        beside: Callable[[AbView], AbView] | None = None,
    ) -> None:
        self._store = store
        self._beside = beside
        self._tests = tuple(tests)
        self._tell = tell
        self._every_s = every_s
        self._keeps_looks = keeps_looks
        self._watched: dict[str, _Watched] = {}
        self._error: HeadraceError | None = None

    def views(self) -> tuple[AbView, ...]:
        """What was seen last of each test."""
        return tuple(item.view for item in tuple(self._watched.values()) if item.view is not None)

    def step(self, now: datetime) -> tuple[str, ...]:
        """Look at every test whose time has come.

        Returns:
            The tests that were looked at.
        """
        try:
            tests = self._tests or self._store.list_ab_tests()
        except StateError as error:
            self._say_away(error)
            return ()
        return tuple(test for test in tests if self._is_looked_at(test, now))

    def _is_looked_at(self, test: str, now: datetime) -> bool:
        watched = self._watched.get(test)
        if watched is None:
            watched = _Watched(AbFollower(self._store, test, keeps_looks=self._keeps_looks))
            self._watched[test] = watched
        if watched.next_at is not None and now < watched.next_at:
            return False
        try:
            self._look(test, watched, now)
        except HeadraceError as error:
            self._say_away(error)
            return False
        if self._error is not None:
            self._error = None
            self._tell("The watch goes on.", ())
        return True

    def raise_if_away(self) -> None:
        """Stop where the last step could not look at everything.

        Raises:
            StateError, UsageError: What was in the way.
        """
        if self._error is not None:
            raise self._error

    def _say_away(self, error: HeadraceError) -> None:
        """Say that something cannot be read, once for each reason."""
        is_known = self._error is not None and self._error.problems == error.problems
        self._error = error
        if not is_known:
            self._tell("The watch waits: what it looks at cannot be read.", error.problems)

    def _look(self, test: str, watched: _Watched, now: datetime) -> None:
        latest = self._store.latest_revision(test)
        if latest is not None:
            watched.told = watched.told or latest.number
            settle_revision(self._store, watched.follower.read_rules(latest), now)
        view = watched.follower.look(now)
        made = [
            self._roll_back(view.traffic, rollback, view.report, now) for rollback in view.report.rollbacks
        ]
        if not any(made):
            made.append(self._allocate(view, now))
        if any(made):
            view = watched.follower.look(now)
        watched.view = view if self._beside is None else self._beside(view)
        self._tell_revisions(watched, view)
        every_s = max(self._every_s or view.traffic.decision.every_s, MIN_EVERY_S)
        watched.next_at = now + timedelta(seconds=every_s)

    def _roll_back(
        self, traffic: Traffic, rollback: Rollback, report: AbReport, now: datetime
    ) -> Revision | None:
        evidence: dict[str, JsonValue] = {"guardrail": asdict(rollback.evidence), "place": report.place}
        return roll_back(self._store, traffic, rollback.arm, evidence, rollback.by, now)

    def _allocate(self, view: AbView, now: datetime) -> Revision | None:
        """What a bandit says, as often as it may: not while units are lost, of which nobody knows why."""
        rule, report = view.traffic.allocation, view.report
        if rule.method != "thompson" or view.history[-1].is_over or report.sample_ratio.is_mismatch:
            return None
        since = next(
            item.at for item in reversed(view.history) if item.reason in ("allocated", "started", "changed")
        )
        if (now - since).total_seconds() < rule.every_s:
            return None
        weights = thompson_weights(view.traffic, report)
        return allocate(
            self._store, view.traffic, weights, {"place": report.place}, now, seen=view.history[-1].number
        )

    def _tell_revisions(self, watched: _Watched, view: AbView) -> None:
        """Say what is new; what was there when the watch began is known."""
        for revision in view.history:
            if revision.number > watched.told:
                self._tell(say_revision(revision), ())
        watched.told = view.history[-1].number


class RunningWatch:
    """A watch until it is closed; its webhooks and its evaluators are on threads of their own.

    Args:
        workspace: For the store, the clock and the key of webhooks.
        watch: What to do.
        tell: Hears of webhooks that are away, and of a watch that ended by a mistake of ours.
    """

    def __init__(self, workspace: Workspace, watch: Watch, tell: Tell) -> None:
        self._workspace = workspace
        self._watch = watch
        self._tell = tell
        self._deliveries = Deliveries(open_outbox(workspace, tell), workspace.now)
        self._scoring = Scoring(workspace, tell)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run_aside, daemon=True, name="headrace-watch")

    def start(self) -> None:
        """Watch on a thread of its own."""
        self._thread.start()

    def run(self) -> None:
        """Watch until :meth:`end` is called."""
        while True:
            for test in self._watch.step(self._workspace.now()):
                self._deliveries.ask(test)
                self._scoring.ask(test)
            if self._is_over.wait(MIN_EVERY_S):
                return

    def end(self) -> None:
        """Let :meth:`run` return."""
        self._is_over.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """End all threads after what they are at, but wait no longer for each than ``timeout_s`` seconds."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._scoring.close(timeout_s)
        self._deliveries.close(timeout_s)

    def _run_aside(self) -> None:
        try:
            self.run()
        finally:
            if not self._is_over.is_set():
                self._tell(
                    "The watch has ended by an error. Guardrails roll nothing back until it is started again.",
                    (),
                )


def watch_beside(settings: Settings, folder: Path, tests: Sequence[str]) -> None:
    """Watch tests for a server that splits traffic, in a process that it has started for that, and move its journals.

    Looking at evidence computes for seconds, for which requests would wait in the same process. Where a processor is
    short, those go first. Returns when the process is asked to stop, which it is when the server has gone.

    Args:
        settings: Those of the server.
        folder: Its working directory.
        tests: Names of the tests.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to every process of a terminal; the server passes it on
    server = parent_process()
    if server is not None:
        threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    os.nice(_LESS_URGENT)
    with (
        open_workspace(settings, folder) as workspace,
        closing(JournalMover(workspace.journal_folder, workspace.store, is_aside=True)),
    ):
        run_watch(workspace, Watch(workspace.store, tests, _write_stderr), _write_stderr)


def _end_with(server: BaseProcess) -> None:
    server.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _write_stderr(text: str, problems: Sequence[Problem]) -> None:
    lines = (text, *(f"{problem.headline()} {problem.fix or ''}".rstrip() for problem in problems))
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def open_outbox(workspace: Workspace, tell: Tell) -> Outbox:
    """The outbox of a workspace."""
    settings = workspace.settings
    variables = Variables(settings.environment, settings.secrets_folder)
    marks = workspace.state_folder / "ab" / _MARKS
    return Outbox(workspace.store, marks, variables.find, lambda text: tell(text, ()))


def look_once(workspace: Workspace, watch: Watch, tell: Tell) -> None:
    """Look at every test, do what is due, and let webhooks hear of it, once.

    Raises:
        StateError, UsageError: The store is away, or a test cannot be read.
    """
    outbox = open_outbox(workspace, tell)
    for test in watch.step(workspace.now()):
        outbox.deliver(test, workspace.now())
        TrafficScorer(workspace, test, tell).step()
    watch.raise_if_away()


def run_watch(workspace: Workspace, watch: Watch, tell: Tell, *, page_port: int | None = None) -> None:
    """Watch until the process is asked to stop.

    Args:
        workspace: For the store and the clock.
        watch: What to do.
        tell: Hears what happens, and the address of the page.
        page_port: Where on this machine the page is shown, 0 for any port; ``None`` for no page.

    Raises:
        UsageError: C505 when a page is wanted and the extra ``serve`` is not installed.
        StateError: S809 when the port cannot be had.
    """
    run_pages = None if page_port is None else load_optional(_PAGES, extra="serve")
    running = RunningWatch(workspace, watch, tell)
    try:
        if run_pages is None:
            with ending_at_signal(running.end):
                tell("Watching; Ctrl-C stops.", ())
                running.run()
        else:
            running.start()
            run_pages(partial(render_online_pages, watch.views), page_port, partial(_say_page, tell))
    finally:
        running.close()


@contextmanager
def ending_at_signal(end: Callable[[], None]) -> Iterator[None]:
    """During the block ``SIGTERM`` ends the watch in order, as containers are stopped."""
    before = signal.signal(signal.SIGTERM, lambda *_: end())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_page(tell: Tell, address: str) -> None:
    tell(f"The page is at {address}", ())
