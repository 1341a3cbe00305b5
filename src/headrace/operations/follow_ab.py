"""Reads what arrives for an online test, from where it was read before, and looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace.domain.ab_report import AbReport
from headrace.domain.evidence import Arrival
from headrace.domain.traffic import Revision, Traffic
from headrace.evaluation.online.analysis import OnlineAnalysis
from headrace.evaluation.report.online_view import AbView
from headrace.operations.ab_revisions import find_revisions, recorded_traffic
from headrace.store.base import RunStore

MAX_LOOKS: Final = 240
"""Looks that are remembered; beyond that every second one is forgotten."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH: Final = 10_000
_FIRST_BATCH: Final = 500
"""When a test is read from its beginning there is a look after so many arrivals, so that its course can be seen; after
twice as many whenever looks are forgotten.
"""


class AbFollower:
    """Follows one test. One thread at a time uses it.

    Args:
        store: Holds the test.
        test: Its name.
        keeps_looks: Whether the course of the test is wanted and not only where it stands.
    """

    def __init__(self, store: RunStore, test: str, *, keeps_looks: bool = False) -> None:
        self._store = store
        self._test = test
        self._keeps_looks = keeps_looks
        self._looks: list[AbReport] = []
        self._analysis: OnlineAnalysis | None = None
        self._rules: Traffic | None = None
        self._digest = ""
        self._place = 0
        self._revision = 0
        self._latest_ns = 0

    def look(self, now: datetime) -> AbView:
        """Read what is new and look.

        Args:
            now: In UTC.

        Raises:
            UsageError: S841 when the store does not know the test.
            StateError: The store is away; the next call goes on.
        """
        history = find_revisions(self._store, self._test)
        traffic = self.read_rules(history[-1])
        if self._analysis is None or traffic.digest != self._digest or history[-1].number < self._revision:
            self._begin(traffic)
        analysis = self._analysis or OnlineAnalysis(traffic)
        is_first = self._place == 0
        limit = _FIRST_BATCH if is_first and self._keeps_looks else _BATCH
        while arrivals := self._store.read_arrivals(self._test, after=self._place, limit=limit):
            # Revisions are read after the evidence: whatever has chosen an arm is known by then.
            history = find_revisions(self._store, self._test)
            self._take_revisions(analysis, history)
            analysis.take(arrivals)
            self._place = arrivals[-1].place
            if is_first and self._keeps_looks:
                self._latest_ns = max(self._latest_ns, _latest_ns(arrivals))
                if self._remember(analysis.look(min(self._latest_ns, _nanoseconds(now)))):
                    limit = min(2 * limit, _BATCH)
        self._take_revisions(analysis, history)
        report = analysis.look(_nanoseconds(now))
        self._remember(report)
        return AbView(traffic=traffic, history=history, report=report, looks=tuple(self._looks))

    def read_rules(self, revision: Revision) -> Traffic:
        """The rules as the file gave them for a revision; read once as long as they stay the same."""
        if self._rules is None or self._rules.digest != revision.digest:
            self._rules = recorded_traffic(revision)
        return self._rules

    def _begin(self, traffic: Traffic) -> None:
        """What is measured may be something else now: everything is read again."""
        self._analysis = OnlineAnalysis(traffic)
        self._digest = traffic.digest
        self._place = self._revision = self._latest_ns = 0
        self._looks.clear()

    def _take_revisions(self, analysis: OnlineAnalysis, history: Iterable[Revision]) -> None:
        for revision in history:
            if revision.number > self._revision:
                analysis.take_revision(revision)
                self._revision = revision.number

    def _remember(self, report: AbReport) -> bool:
        """Keep a look; whether others were forgotten for it."""
        if not self._keeps_looks:
            self._looks.clear()
        self._looks.append(report)
        if len(self._looks) <= MAX_LOOKS:
            return False
        self._looks = [*self._looks[:-1:2], self._looks[-1]]
        return True


def _latest_ns(arrivals: Iterable[Arrival]) -> int:
    return max(arrival.evidence.at_ns for arrival in arrivals)


def _nanoseconds(now: datetime) -> int:
    return (now - _EPOCH) // timedelta(microseconds=1) * 1000
