"""From records that arrive in any order to units, each handed on once for every window of time.

A unit is what was shown first, and what came of it within a window. It is handed on when evidence has arrived that is
newer than the end of its window: so what is handed on, and in which order, depends on the records and on the order of
their arrival alone. Reading all of them again gives the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, TypeAlias

from headrace.domain.evidence import Arrival, Completion, Exposure, Feedback
from headrace.evaluation.online.arm_tally import Answer, ArmTally
from headrace.evaluation.online.odds import Odds, OddsBook
from headrace.evaluation.online.seen_units import SeenUnits

SECOND_NS: Final = 1_000_000_000

SETTLE_NS: Final = 60 * SECOND_NS
"""How long after the end of a window what was said within it may still arrive."""

ANSWER_NS: Final = 600 * SECOND_NS
"""How long an answer is waited for; a unit without one counts as one of which nothing is known."""

ORPHAN_NS: Final = 3600 * SECOND_NS
"""How long records wait for their exposure."""

MAX_UNREAD: Final = 100
"""Different names that no metric reads and that are counted; clients may send any."""

Said: TypeAlias = dict[tuple[str, int], tuple[int, float]]
"""Metric and window to when it was last said within that window, and what."""


class Request:
    """One exposure that may still hear something.

    Attributes:
        unit: The unit that it is evidence about; ``None`` for none.
        tally: Counts of the arm that was asked; ``None`` where nobody counts them.
        chosen: The unit, whether it is new or not, with its arm and odds now; ``None`` where no bucket chose.
        said: See :data:`Said`.
    """

    __slots__ = ("answer", "at_ns", "chosen", "expires_ns", "said", "tally", "unit")

    def __init__(
        self,
        at_ns: int,
        expires_ns: int,
        unit: Unit | None,
        tally: ArmTally | None,
        chosen: tuple[str, str, Odds] | None = None,
    ) -> None:
        self.at_ns = at_ns
        self.expires_ns = expires_ns
        self.unit = unit
        self.tally = tally
        self.chosen = chosen
        self.answer: Answer | None = None
        self.said: Said | None = None


class Unit:
    """A unit whose windows are not all over.

    Attributes:
        arm: The arm that it was shown first.
        at_ns: When.
        first: What it was shown first.
        requests: Those that this arm was asked, by their ids, the first one among them.
        said: Of the unit as a whole; see :data:`Said`.
    """

    __slots__ = ("arm", "at_ns", "due_ns", "first", "key", "n_open", "odds", "requests", "said")

    first: Request

    def __init__(self, key: str, arm: str, odds: Odds, at_ns: int, due_ns: int, n_open: int) -> None:
        self.key = key
        self.arm = arm
        self.odds = odds
        self.at_ns = at_ns
        self.due_ns = due_ns
        self.n_open = n_open
        self.requests: dict[str, Request] = {}
        self.said: Said | None = None

    def within(self, window_ns: int) -> Iterator[Request]:
        """Its requests in a window; in one of no length the first one alone."""
        if window_ns == 0:
            yield self.first
            return
        end = self.at_ns + window_ns
        for request in self.requests.values():
            if request.at_ns <= end:
                yield request


_Orphan: TypeAlias = tuple[int, list[Completion | Feedback]]


class UnitFlow:
    """Folds arrivals to units.

    Args:
        windows_ns: Different lengths of windows, in order.
        feedback: What feedback may be about, each with the windows in which that counts; other feedback is not kept.
        book: The odds of units.
        tallies: Arm to its counts, those of shadows among them.
        on_first: Called with a unit when it is shown its arm.
        on_failure: Called when a unit has failed for the first time, or the first time since the test was resumed, new
            or long known, with the arm that it was shown and the odds of that.
        on_end: Called with a unit and the number of a window when that is over.

    Attributes:
        roles: Role to its exposures that are no evidence.
        unknown_arms: Arms that the rules do not name.
        place: Of the last arrival that was taken.
        n_orphans: Records whose exposure has not arrived.
        unread: What people have said that no metric reads, to how often.
    """

    def __init__(
        self,
        *,
        windows_ns: Sequence[int],
        feedback: Mapping[str, Collection[int]],
        book: OddsBook,
        tallies: dict[str, ArmTally],
        on_first: Callable[[str, Odds], None],
        on_failure: Callable[[str, Odds], None],
        on_end: Callable[[Unit, int], None],
    ) -> None:
        self.roles = {"forced": 0, "holdout": 0, "outside": 0}
        self.unknown_arms: dict[str, None] = {}
        self.place = 0
        self.n_orphans = 0
        self.unread: dict[str, int] = {}
        self._windows = tuple(windows_ns)
        self._keep_ns = max(self._windows, default=0) + SETTLE_NS + ANSWER_NS
        self._feedback = feedback
        self._book = book
        self._tallies = tallies
        self._on_first, self._on_failure, self._on_end = on_first, on_failure, on_end
        self._mark = 0
        self._next_sweep = 0
        self._seen = SeenUnits()
        self._failed: dict[str, int] = {}
        self._live: dict[str, Unit] = {}
        self._requests: dict[str, Request] = {}
        self._orphans: dict[str, _Orphan] = {}
        self._answers: deque[Unit] = deque()
        self._ends: list[list[tuple[int, int, Unit]]] = [[] for _ in self._windows]

    @property
    def latest_ns(self) -> int:
        """When the latest exposure or completion was made, by the clock of its server; 0 before the first."""
        return self._mark

    def take(self, arrival: Arrival) -> None:
        """Take one record; a place that was taken before changes nothing."""
        if arrival.place <= self.place:
            return
        self.place = arrival.place
        record = arrival.evidence
        if isinstance(record, Exposure):
            self._expose(record)
        elif isinstance(record, Completion):
            self._advance(record.at_ns)
            self._complete(record)
        else:
            self._hear(record)
        self._drain()

    def _advance(self, at_ns: int) -> None:
        if at_ns > self._mark:
            if not self._mark:
                self._orphans = {
                    key: (at_ns + ORPHAN_NS, records) for key, (_, records) in self._orphans.items()
                }
            self._mark = at_ns
            if at_ns >= self._next_sweep:
                self._sweep()

    def _expose(self, exposure: Exposure) -> None:
        self._advance(exposure.at_ns)
        if exposure.id in self._requests:
            return
        tally = self._tallies.get(exposure.arm)
        unit: Unit | None = None
        chosen: tuple[str, str, Odds] | None = None
        if exposure.role in ("assigned", "shadow"):
            if tally is None:
                self.unknown_arms[exposure.arm] = None
            else:
                tally.expose(exposure.version)
            if exposure.role == "assigned":
                key = exposure.unit or exposure.id
                odds = self._book.find(exposure.revision, exposure.arm, exposure.propensity)
                unit = self._unit_of(key, odds, exposure, tally)
                chosen = (key, exposure.arm, odds)
        else:
            self.roles[exposure.role] += 1
            tally = None
        request = Request(exposure.at_ns, self._mark + self._keep_ns, unit, tally, chosen)
        self._requests[exposure.id] = request
        if unit is not None:
            if not unit.requests:
                unit.first = request
            unit.requests[exposure.id] = request
        if self._orphans:
            self._adopt(exposure.id)
            if unit is not None:
                self._adopt(f"unit {unit.key}")

    def _unit_of(self, key: str, odds: Odds, exposure: Exposure, tally: ArmTally | None) -> Unit | None:
        """The unit, where it is one whose windows are not over and whose arm this is."""
        unit = self._live.get(key)
        if unit is not None:
            return unit if unit.arm == exposure.arm else None
        if not self._seen.add(key):
            return None
        self._on_first(exposure.arm, odds)
        if tally is None:
            return None
        tally.units += 1
        if not self._windows:
            return None
        unit = Unit(key, exposure.arm, odds, exposure.at_ns, self._mark + ANSWER_NS, len(self._windows))
        self._live[key] = unit
        for number, window in enumerate(self._windows):
            if window == 0:
                self._answers.append(unit)
            else:
                due = max(exposure.at_ns + window, self._mark) + SETTLE_NS
                heappush(self._ends[number], (due, self.place, unit))
        return unit

    def _complete(self, completion: Completion) -> None:
        request = self._requests.get(completion.exposure)
        if request is None:
            self._wait(completion.exposure, completion)
            return
        if request.answer is not None:
            return
        tokens = None
        if completion.prompt_tokens is not None or completion.completion_tokens is not None:
            tokens = (completion.prompt_tokens or 0) + (completion.completion_tokens or 0)
        is_failed = bool(completion.problem)
        answer = Answer(
            is_failed,
            completion.is_gone,
            completion.latency_ms,
            completion.first_token_ms,
            completion.cost_usd,
            tokens,
        )
        request.answer = answer
        if request.tally is not None:
            request.tally.complete(answer)
        unit = request.unit
        if unit is None or not unit.n_open:
            del self._requests[completion.exposure]
        if is_failed and not completion.is_gone and request.chosen is not None:
            key, arm, odds = request.chosen
            if self._failed.get(key, -1) < odds.epoch:
                self._failed[key] = odds.epoch
                self._on_failure(arm, odds)

    def _hear(self, feedback: Feedback) -> None:
        value = feedback.value
        if value is None:
            return
        if feedback.metric not in self._feedback:
            self._count_unread(feedback)
            return
        if feedback.exposure:
            request = self._requests.get(feedback.exposure)
            if request is None:
                self._wait(feedback.exposure, feedback)
            elif request.unit is not None:
                request.said = self._later(request.said, request.unit, feedback, value)
            return
        unit = self._live.get(feedback.unit)
        if unit is None:
            self._wait(f"unit {feedback.unit}", feedback)
        elif feedback.at_ns >= unit.at_ns - SETTLE_NS:  # else it was said of what came before the test
            unit.said = self._later(unit.said, unit, feedback, value)

    def _count_unread(self, feedback: Feedback) -> None:
        """Count what people said and no metric reads; evaluators say more than is read."""
        name = feedback.metric
        if feedback.source == "user" and (name in self.unread or len(self.unread) < MAX_UNREAD):
            self.unread[name] = self.unread.get(name, 0) + 1

    def _later(self, said: Said | None, unit: Unit, feedback: Feedback, value: float) -> Said:
        """What was said in each window, with what is said now where that is no older.

        What is said after a window hides nothing that was said in it.
        """
        known = {} if said is None else said
        for window in self._feedback[feedback.metric]:
            key = (feedback.metric, window)
            before = known.get(key)
            is_newest = before is None or before[0] <= feedback.at_ns
            if is_newest and feedback.at_ns <= unit.at_ns + window:
                known[key] = (feedback.at_ns, value)
        return known

    def _wait(self, key: str, record: Completion | Feedback) -> None:
        self._orphans.setdefault(key, (self._mark + ORPHAN_NS, []))[1].append(record)
        self.n_orphans += 1

    def _adopt(self, key: str) -> None:
        found = self._orphans.pop(key, None)
        if found is None:
            return
        self.n_orphans -= len(found[1])
        for record in found[1]:
            if isinstance(record, Completion):
                self._complete(record)
            else:
                self._hear(record)

    def _drain(self) -> None:
        """Hand on the units whose windows are over; those without a window in order of arrival."""
        answers, mark = self._answers, self._mark
        while answers and (answers[0].first.answer is not None or answers[0].due_ns <= mark):
            self._end(answers.popleft(), 0)
        for number, ends in enumerate(self._ends):
            while ends and ends[0][0] <= mark:
                self._end(heappop(ends)[2], number)

    def _end(self, unit: Unit, number: int) -> None:
        self._on_end(unit, number)
        unit.n_open -= 1
        if not unit.n_open:
            self._forget(unit)

    def due(self, now_ns: int) -> Iterator[tuple[Unit, int]]:
        """Units whose windows are over by the clock, while no newer evidence has arrived yet; they stay."""
        for unit in self._answers:
            if unit.first.answer is None and unit.due_ns > now_ns:
                break
            yield unit, 0
        for number, ends in enumerate(self._ends):
            for _, _, unit in sorted(end for end in ends if end[0] <= now_ns):
                yield unit, number

    def _forget(self, unit: Unit) -> None:
        del self._live[unit.key]
        for name, request in unit.requests.items():
            if request.answer is not None:
                self._requests.pop(name, None)

    def _sweep(self) -> None:
        """Drop what has waited too long; records stand in the order in which they arrived."""
        self._next_sweep = self._mark + SETTLE_NS
        old = []
        for name, request in self._requests.items():
            if request.expires_ns > self._mark:
                break
            old.append(name)
        for name in old:
            del self._requests[name]
        lost = []
        for key, (expires_ns, records) in self._orphans.items():
            if expires_ns > self._mark:
                break
            lost.append(key)
            self.n_orphans -= len(records)
        for key in lost:
            del self._orphans[key]
