"""Scores logged live requests away from them: by the evaluators and judges of a traffic file, within their budgets.

What a scorer knows it reads from the store, so that it goes on where another one ended, and several of them share the
work: a request is claimed before a model is asked about it. A claim whose scorer died stays one: the request gets no
score, and its cost counts as spent for the day.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback
from headrace.domain.traffic import OnlineEvaluator, Traffic
from headrace.errors import HeadraceError, Problem, StateError
from headrace.operations.ab_revisions import recorded_traffic
from headrace.operations.logged_requests import CLAIM, COST, LoggedRequest
from headrace.operations.traffic_evaluators import ScoredRequest, find_evaluator, is_free, score_requests
from headrace.operations.workspace import Workspace
from headrace.planning.assignment import hash_share

MAX_WAITING: Final = 10_000
"""Requests that wait for one evaluator; beyond that the oldest get no score."""

_BATCH: Final = 8
_READ: Final = 10_000
_DAY_NS: Final = 86_400_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Tell = Callable[[str, Sequence[Problem]], None]
"""Hears what happened, and the problems behind it."""


@dataclass(slots=True)
class _Queue:
    """What waits for an evaluator, and what it has spent.

    Attributes:
        waiting: Requests without a score, by exposure, oldest first.
        claimed: Exposures that somebody is at, or was when they died, with the day of the claim.
        spent: Day to US dollars.
        dearest: The most that one request has cost; ``None`` before any.
        spec: How it is run; ``None`` before it was needed.
        is_off: Whether it cannot be run.
        said: Codes of problems that were told.
        n_failed: Requests that it could not score.
    """

    waiting: dict[str, LoggedRequest] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    spent: dict[int, float] = field(default_factory=dict)
    dearest: float | None = None
    spec: EvaluatorSpec | None = None
    is_off: bool = False
    said: set[str] = field(default_factory=set)
    n_failed: int = 0

    def room(self, max_usd: float | None, day: int) -> int:
        """How many requests may be scored now; before the first cost is known, one at a time."""
        if max_usd is None:
            return _BATCH
        n_claimed = sum(1 for claimed_on in self.claimed.values() if claimed_on == day)
        left = max_usd - self.spent.get(day, 0.0)
        if self.dearest is None:
            return 1 if left > 0 and n_claimed == 0 else 0
        if self.dearest == 0.0:
            return _BATCH
        return max(min(_BATCH, int(left / self.dearest) - n_claimed), 0)


class TrafficScorer:
    """Scores the requests of one test. One thread at a time uses it.

    Args:
        workspace: For the store, the clock and connections.
        test: Name of the test.
        tell: Hears of evaluators that fail, once for each code of a problem.
    """

    def __init__(self, workspace: Workspace, test: str, tell: Tell) -> None:
        self._workspace = workspace
        self._test = test
        self._tell = tell
        self._digest = ""
        self._place = 0
        self._shown: dict[str, Exposure] = {}
        self._queues: dict[str, _Queue] = {}

    def step(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Score what waits and may be paid for.

        Args:
            is_over: Whether to stop after the requests at hand.

        Returns:
            How many requests were scored or failed.

        Raises:
            StateError: The store is away; the next call goes on.
        """
        latest = self._workspace.store.latest_revision(self._test)
        if latest is None or latest.is_over:
            return 0
        traffic = recorded_traffic(latest)
        if not traffic.evaluators:
            return 0
        if traffic.digest != self._digest:
            self._begin(traffic)
        n_scored = 0
        for evaluator in traffic.evaluators:
            while not is_over():
                self._take(traffic)
                n_tried = self._score(traffic, evaluator)
                if n_tried is None:
                    break
                n_scored += n_tried
        return n_scored

    def failures(self) -> dict[str, int]:
        """Evaluator to the number of requests that it could not score."""
        return {name: queue.n_failed for name, queue in self._queues.items()}

    def _begin(self, traffic: Traffic) -> None:
        """Read everything again: other requests may be wanted now."""
        self._digest = traffic.digest
        self._place = 0
        self._shown.clear()
        self._queues = {evaluator.name: _Queue() for evaluator in traffic.evaluators}

    def _take(self, traffic: Traffic) -> None:
        oldest_ns = self._now_ns() - _longest_ns(traffic)
        while arrivals := self._workspace.store.read_arrivals(self._test, after=self._place, limit=_READ):
            for arrival in arrivals:
                self._take_one(traffic, arrival.evidence, oldest_ns)
            self._place = arrivals[-1].place

    def _take_one(self, traffic: Traffic, record: Evidence, oldest_ns: int) -> None:
        if isinstance(record, Exposure):
            if record.role == "assigned":
                self._shown[record.id] = record
        elif isinstance(record, Completion):
            exposure = self._shown.pop(record.exposure, None)
            if exposure is not None and exposure.at_ns >= oldest_ns:
                self._queue(traffic, exposure, record)
        elif record.source in self._queues:
            _take_said(self._queues[record.source], record)

    def _queue(self, traffic: Traffic, exposure: Exposure, completion: Completion) -> None:
        if completion.inputs is None or completion.outputs is None or completion.problem:
            return
        for evaluator in traffic.evaluators:
            seed = f"{traffic.seed}:evaluator:{evaluator.name}"
            if evaluator.share < 1 and hash_share(seed, exposure.unit) >= evaluator.share:
                continue
            waiting = self._queues[evaluator.name].waiting
            waiting[exposure.id] = LoggedRequest(exposure=exposure, completion=completion, said={})
            if len(waiting) > MAX_WAITING:
                del waiting[next(iter(waiting))]

    def _score(self, traffic: Traffic, evaluator: OnlineEvaluator) -> int | None:
        """Score some requests; ``None`` where none may be, or none is left."""
        queue = self._queues[evaluator.name]
        spec = self._spec(traffic, evaluator, queue)
        if spec is None:
            return None
        now_ns = self._now_ns()
        max_usd = None if is_free(spec) else evaluator.max_usd
        n_wanted = queue.room(max_usd, now_ns // _DAY_NS)
        requests = list(queue.waiting.values())[:n_wanted]
        if not requests:
            return None
        for item in requests:
            del queue.waiting[item.exposure.id]
        if not is_free(spec):
            requests = [
                item for item in requests if self._is_claimed(item.exposure.id, evaluator.name, now_ns)
            ]
        scored = score_requests(self._workspace, spec, requests)
        now_ns = self._now_ns()
        records = [
            record
            for item in scored
            for record in _records(self._test, evaluator.name, item, now_ns, has_cost=not is_free(spec))
        ]
        self._workspace.store.append_evidence(records)
        self._note_failures(evaluator, queue, scored)
        return len(scored)

    def _spec(self, traffic: Traffic, evaluator: OnlineEvaluator, queue: _Queue) -> EvaluatorSpec | None:
        if queue.spec is None and not queue.is_off:
            try:
                queue.spec = find_evaluator(self._workspace, traffic, evaluator)
            except HeadraceError as error:
                queue.is_off = True
                what = f"The evaluator {evaluator.name} of {self._test} scores nothing: it cannot be run."
                self._tell(what, error.problems)
        return None if queue.is_off else queue.spec

    def _is_claimed(self, exposure: str, evaluator: str, now_ns: int) -> bool:
        """Claim a request; false where somebody else was first."""
        claim = _said(self._test, evaluator, exposure, CLAIM, None, now_ns)
        return self._workspace.store.append_evidence([claim]) == 1

    def _note_failures(
        self, evaluator: OnlineEvaluator, queue: _Queue, scored: Sequence[ScoredRequest]
    ) -> None:
        for item in scored:
            if evaluator.max_usd is not None and item.usage.calls and item.usage.cost_usd is None:
                queue.is_off = True
                what = (
                    f"The evaluator {evaluator.name} of {self._test} is stopped: what it spends is not known."
                )
                self._tell(what, ())
                return
            if item.value is not None:
                continue
            queue.n_failed += 1
            code = item.problem.code if item.problem is not None else ""
            if code not in queue.said:
                queue.said.add(code)
                what = f"The evaluator {evaluator.name} of {self._test} gives no score for a request."
                self._tell(what, (item.problem,) if item.problem is not None else ())

    def _now_ns(self) -> int:
        return (self._workspace.now() - _EPOCH) // timedelta(microseconds=1) * 1000


def _longest_ns(traffic: Traffic) -> int:
    """How long a score of a request may still count: the longest window of a metric of an evaluator, else a day."""
    names = {evaluator.name for evaluator in traffic.evaluators}
    windows = [metric.window_s for metric in traffic.metrics if metric.source in names]
    return round(max(windows, default=0.0) * 1e9) or _DAY_NS


def _take_said(queue: _Queue, record: Feedback) -> None:
    """What this scorer or another one has said: the request waits no longer."""
    day = record.at_ns // _DAY_NS
    queue.waiting.pop(record.exposure, None)
    if record.metric == f"{record.source}.{CLAIM}":
        queue.claimed[record.exposure] = day
    elif record.metric == f"{record.source}.{COST}":
        cost_usd = record.value or 0.0
        queue.claimed.pop(record.exposure, None)
        queue.spent[day] = queue.spent.get(day, 0.0) + cost_usd
        queue.dearest = max(queue.dearest or 0.0, cost_usd)


def _records(
    test: str, evaluator: str, item: ScoredRequest, now_ns: int, *, has_cost: bool
) -> list[Feedback]:
    """The score, or the code of what went wrong in its place, and what it cost."""
    problem = item.problem.code if item.problem is not None else ""
    found = [_said(test, evaluator, item.exposure, "", item.value, now_ns, text=problem)]
    if has_cost:
        found.append(_said(test, evaluator, item.exposure, COST, item.usage.cost_usd or 0.0, now_ns))
    return found


def _said(
    test: str, evaluator: str, exposure: str, what: str, value: float | None, now_ns: int, text: str = ""
) -> Feedback:
    """The record of an evaluator about a request: the same id whoever writes it."""
    metric = f"{evaluator}.{what}" if what else evaluator
    return Feedback(
        id=f"{exposure}:{metric}",
        test=test,
        at_ns=now_ns,
        metric=metric,
        value=value,
        exposure=exposure,
        source=evaluator,
        text=text,
    )


class Scoring:
    """Scores the requests of tests on a thread of its own: a slow judge holds up no rollback.

    Args:
        workspace: For the store, the clock and connections.
        tell: Hears of evaluators that fail.
    """

    def __init__(self, workspace: Workspace, tell: Tell) -> None:
        self._workspace = workspace
        self._tell = tell
        self._scorers: dict[str, TrafficScorer] = {}
        self._asked: set[str] = set()
        self._is_asked = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="headrace-scoring")
        self._thread.start()

    def ask(self, test: str) -> None:
        """See soon whether requests of a test wait for scores."""
        self._asked.add(test)
        self._is_asked.set()

    def close(self, timeout_s: float) -> None:
        """End after the requests at hand, but wait no longer than ``timeout_s`` seconds."""
        self._is_over.set()
        self._is_asked.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            if not self._is_over.is_set():
                self._tell("Live requests get no more scores: the evaluators have ended by an error.", ())

    def _work(self) -> None:
        while not self._is_over.is_set():
            self._is_asked.wait()
            self._is_asked.clear()
            for test in sorted(self._asked.copy()):
                self._asked.discard(test)
                self._step(test)

    def _step(self, test: str) -> None:
        scorer = self._scorers.get(test)
        if scorer is None:
            scorer = self._scorers[test] = TrafficScorer(self._workspace, test, self._tell)
        try:
            scorer.step(self._is_over.is_set)
        except StateError:  # the watch says so
            return
