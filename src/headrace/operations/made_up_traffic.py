"""Makes up live traffic as a scenario says: requests, how they end, and what is said of them, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import exp, log
from random import Random
from typing import Final

from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback, unit_digest
from headrace.domain.scenario import Level, Levels, Scenario
from headrace.domain.traffic import OnlineMetric, Traffic, UnitSource
from headrace.formats.scenario import said_metrics
from headrace.planning.assignment import Assigner, Assignment

_DAY_S: Final = 86_400.0
_SECOND_NS: Final = 1_000_000_000


class _Unit:
    """Whoever asks. As facts of a request it is found at every place."""

    __slots__ = ("forced", "left", "name", "own", "request_id")

    def __init__(self, name: str, left: int) -> None:
        self.name = name
        self.left = left
        self.request_id = ""
        self.forced: str | None = None
        self.own: dict[str, float] = {}

    def find(self, source: UnitSource) -> str | None:
        """Its name."""
        return self.name


class MadeUpTraffic:
    """The traffic of one run.

    Args:
        traffic: The rules.
        scenario: What is supposed.
        seed: The same one makes up the same requests.
        start_ns: When the test begins, nanoseconds since the Unix epoch.

    Attributes:
        requests: Arm to how many requests in the test it has answered so far.
        since_change: Arm to how many of these since its last change.
    """

    def __init__(self, traffic: Traffic, scenario: Scenario, seed: str, start_ns: int) -> None:
        self._traffic = traffic
        self._scenario = scenario
        self._said = said_metrics(traffic)
        self._random = Random(seed)  # noqa: S311 - makes up data
        self._seed = seed
        self._start_ns = start_ns
        self._numbers = count()
        self._coming: list[tuple[int, int, _Unit | Evidence]] = []
        self._last_s = scenario.days * _DAY_S
        self._changed_s = {arm: levels[-1][0] for arm, levels in scenario.arms.items()}
        self.requests = dict.fromkeys(scenario.arms, 0)
        self.since_change = dict.fromkeys(scenario.arms, 0)
        self._next_unit(0.0)

    def until(self, at_s: float, assigner: Assigner) -> Iterator[Evidence]:
        """What happens up to a moment, in order of time.

        Args:
            at_s: Seconds since the test began.
            assigner: Chooses arms meanwhile.
        """
        until_ns = self._start_ns + int(at_s * _SECOND_NS)
        coming = self._coming
        while coming and coming[0][0] <= until_ns:
            at_ns, _, item = heappop(coming)
            if isinstance(item, _Unit):
                yield from self._ask(item, at_ns, assigner)
            else:
                yield item

    def _next_unit(self, after_s: float) -> None:
        at_s = after_s + self._random.expovariate(self._scenario.units_per_day / _DAY_S)
        if at_s < self._last_s:
            number = next(self._numbers)
            unit = _Unit(f"{self._seed}-{number}", self._n_requests())
            heappush(self._coming, (self._start_ns + int(at_s * _SECOND_NS), number, unit))

    def _n_requests(self) -> int:
        mean = self._scenario.requests_per_unit
        if mean <= 1.0:
            return 1
        return 1 + int(log(1.0 - self._random.random()) / log(1.0 - 1.0 / mean))

    def _ask(self, unit: _Unit, at_ns: int, assigner: Assigner) -> Iterator[Evidence]:
        at_s = (at_ns - self._start_ns) / _SECOND_NS
        if not unit.request_id:
            self._next_unit(at_s)
        unit.left -= 1
        if unit.left:
            pause_s = self._random.expovariate(1.0) * self._scenario.pause_s
            self._push(at_ns + int(pause_s * _SECOND_NS), unit)
        unit.request_id = f"{unit.name}-{unit.left}"
        assignment = assigner.assign(unit)
        if assigner.revision.is_over:
            return
        yield self._exposure(unit, at_ns, assignment, assigner.revision.number)
        self._answer(unit, at_ns, at_s, assignment)
        for shadow in assignment.shadows:
            yield self._mirror(unit, at_ns, shadow, assigner.revision.number)

    def _exposure(self, unit: _Unit, at_ns: int, assignment: Assignment, revision: int) -> Exposure:
        return Exposure(
            id=unit.request_id,
            test=self._traffic.name,
            revision=revision,
            at_ns=at_ns,
            unit=unit_digest(self._traffic.name, assignment.unit or unit.request_id),
            arm=assignment.arm,
            propensity=assignment.propensity,
            role=assignment.role,
            request_id=unit.request_id,
        )

    def _answer(self, unit: _Unit, at_ns: int, at_s: float, assignment: Assignment) -> None:
        arm = assignment.arm
        if assignment.role == "assigned":
            self.requests[arm] += 1
            self.since_change[arm] += at_s >= self._changed_s[arm]
        levels = self._scenario.levels(arm, at_s)
        completion = self._completion(unit.request_id, arm, at_ns, levels)
        self._push(completion.at_ns, completion)
        if completion.problem:
            if not self._traffic.falls_back or arm == self._traffic.baseline:
                return
            levels = self._scenario.levels(self._traffic.baseline, at_s)
        if self._said and self._random.random() < self._scenario.feedback_share:
            delay_s = self._random.expovariate(1.0) * self._scenario.feedback_delay_s
            said_ns = completion.at_ns + int(delay_s * _SECOND_NS)
            for metric in self._said:
                self._push(said_ns, self._feedback(unit, metric, levels, said_ns))

    def _mirror(self, unit: _Unit, at_ns: int, shadow: str, revision: int) -> Exposure:
        name = f"{unit.request_id}:{shadow}"
        levels = self._scenario.levels(shadow, (at_ns - self._start_ns) / _SECOND_NS)
        completion = self._completion(name, shadow, at_ns, levels)
        self._push(completion.at_ns, completion)
        return Exposure(
            id=name,
            test=self._traffic.name,
            revision=revision,
            at_ns=at_ns,
            unit=unit_digest(self._traffic.name, unit.name),
            arm=shadow,
            propensity=1.0,
            role="shadow",
            request_id=unit.request_id,
        )

    def _completion(self, exposure: str, arm: str, at_ns: int, levels: Levels) -> Completion:
        random = self._random
        drawn = {
            name: spread.median * exp(spread.sigma * random.gauss(0.0, 1.0))
            for name, spread in levels.spreads.items()
        }
        latency_ms = drawn.get("latency_ms", 0.0)
        tokens = drawn.get("total_tokens")
        return Completion(
            exposure=exposure,
            test=self._traffic.name,
            at_ns=at_ns + int(latency_ms * 1_000_000),
            answered_by=arm,
            problem="simulated" if random.random() < levels.failures else "",
            latency_ms=latency_ms,
            first_token_ms=drawn.get("first_token_ms"),
            completion_tokens=None if tokens is None else round(tokens),
            cost_usd=drawn.get("cost_usd"),
        )

    def _feedback(self, unit: _Unit, metric: OnlineMetric, levels: Levels, at_ns: int) -> Feedback:
        return Feedback(
            id=f"{unit.request_id}:{metric.name}",
            test=self._traffic.name,
            at_ns=at_ns,
            metric=metric.source,
            value=self._value(unit, metric, levels.metrics[metric.name]),
            exposure=unit.request_id,
        )

    def _value(self, unit: _Unit, metric: OnlineMetric, level: Level) -> float:
        is_rate = metric.kind == "rate"
        draw = self._random.random() if is_rate else self._random.gauss(0.0, 1.0)
        own = unit.own.setdefault(metric.name, draw)
        if self._random.random() < self._scenario.likeness:
            draw = own
        if is_rate:
            return float(draw < level.mean)
        return min(max(level.mean + level.deviation * draw, metric.low), metric.high)

    def _push(self, at_ns: int, item: _Unit | Evidence) -> None:
        heappush(self._coming, (at_ns, next(self._numbers), item))
