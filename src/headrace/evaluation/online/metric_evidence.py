"""What units say about one metric: per arm, against the baseline, and against guardrails."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Final

from headrace.domain.traffic import OnlineGuardrail, OnlineMetric, Traffic
from headrace.evaluation.online.odds import Odds
from headrace.evaluation.online.unit_flow import Unit
from headrace.evaluation.online.unit_values import is_of_answers, reader, window_ns
from headrace.evaluation.stats.betting import OneSidedBets
from headrace.evaluation.stats.rare_events import RareEvents
from headrace.evaluation.stats.sequential import Contrast, Moments

WARNING_ALPHA: Final = 0.01
"""Chance of a false warning that more is known of the units of one arm than of those of the baseline."""

_TO_WARN: Final = -log(WARNING_ALPHA)

_FEW: Final = 20

_RESERVE: Final = 0.2
"""Share of a guardrail's capital that is bet on arms that go bad later: docs/online-statistics.md has what it gains."""


class MetricTally:
    """What the units of one arm say; see :class:`~headrace.domain.ab_report.AbMetric`."""

    __slots__ = ("moments", "n_beyond", "n_events", "n_missing", "n_said")

    def __init__(self) -> None:
        self.moments = Moments()
        self.n_said = self.n_missing = self.n_events = self.n_beyond = 0


class Watch:
    """One arm under one guardrail.

    Attributes:
        epoch: See :class:`~headrace.evaluation.online.odds.Odds`.
        test: Of bad events, or of a mean.
    """

    __slots__ = ("epoch", "test")

    def __init__(self, test: RareEvents | OneSidedBets) -> None:
        self.epoch = 0
        self.test = test


def is_about_rare_events(guardrail: OnlineGuardrail, metric: OnlineMetric) -> bool:
    """Whether bad events alone are looked at: where a ratio is given, or nothing and the metric is a rate of such."""
    is_bad_rate = metric.kind == "rate" and metric.direction == "lower"
    return guardrail.max_ratio is not None or (guardrail.margin is None and is_bad_rate)


class Guard:
    """A guardrail over all arms but the baseline."""

    def __init__(self, traffic: Traffic, guardrail: OnlineGuardrail, metric: OnlineMetric) -> None:
        self.rule = guardrail
        self.metric = metric
        self.is_rare = is_about_rare_events(guardrail, metric)
        self.is_at_once = self.is_rare and metric.source == "failures"
        self.slack_ratio = guardrail.max_ratio or 1.0
        # No difference is larger than the range: a larger margin would let the bets lose more than there is.
        self.slack = min((guardrail.margin or 0.0) / (metric.high - metric.low), 1.0)
        self._baseline = traffic.baseline
        self.watches = {
            arm.name: Watch(self.new_test()) for arm in traffic.answering if arm.name != traffic.baseline
        }

    def watch(self, arm: str, epoch: int) -> Watch | None:
        """The arm's, begun anew where the test was resumed since; ``None`` for units from before that."""
        watch = self.watches.get(arm)
        if watch is None or epoch < watch.epoch:
            return None
        if epoch > watch.epoch:
            watch.epoch, watch.test = epoch, self.new_test()
        return watch

    def new_test(self) -> RareEvents | OneSidedBets:
        """A test that knows nothing yet."""
        return RareEvents(self.slack_ratio, _RESERVE) if self.is_rare else OneSidedBets(_RESERVE)

    def bad_event(self, arm: str, odds: Odds) -> None:
        """Take a unit with a bad event."""
        for name, share in odds.against_baseline.items():
            if arm not in (name, self._baseline):
                continue
            watch = self.watch(name, odds.epoch)
            if watch is not None and isinstance(watch.test, RareEvents):
                watch.test.add(share, is_arm=arm == name)

    def lead(self, arm: str, odds: Odds, lead: float, scale: float) -> None:
        """Take by how much a unit speaks for the arm, on the scale of the bets."""
        watch = self.watch(arm, odds.epoch)
        if watch is not None and isinstance(watch.test, OneSidedBets):
            worse = -lead if self.metric.direction == "higher" else lead
            watch.test.add(worse - self.slack * scale)


class MetricEvidence:
    """All evidence about one metric."""

    def __init__(self, traffic: Traffic, metric: OnlineMetric, guards: tuple[Guard, ...]) -> None:
        self.metric = metric
        self._baseline = traffic.baseline
        self._read = reader(metric)
        self._low = metric.low
        self._span = metric.high - metric.low
        self._missing = metric.missing
        self._bad_is_event = metric.direction == "lower"
        others = [arm.name for arm in traffic.answering if arm.name != traffic.baseline]
        margin = None if metric.margin is None else min(metric.margin / self._span, 1.0)
        self.tallies = {arm.name: MetricTally() for arm in traffic.answering}
        self.contrasts = {arm: Contrast(margin) for arm in others}
        is_watched = metric.missing is None and not is_of_answers(metric)
        self.said = {arm: Contrast() for arm in others} if is_watched else {}
        self.lost = {arm: RareEvents() for arm in others} if metric.source == "failures" else {}
        self._rare = tuple(guard for guard in guards if guard.is_rare and not guard.is_at_once)
        self._means = tuple(guard for guard in guards if not guard.is_rare)

    def take(self, unit: Unit) -> None:
        """Take a unit whose window is over."""
        tally = self.tallies.get(unit.arm)
        value = None if tally is None else self._value(unit, tally)
        if tally is None or value is None:
            return
        place = (value - self._low) / self._span
        y = min(1.0, max(0.0, place))
        tally.n_beyond += y != place
        tally.moments.add(y)
        is_event = y > 0.5
        tally.n_events += is_event
        if is_event == self._bad_is_event:
            for guard in self._rare:
                guard.bad_event(unit.arm, unit.odds)
        for arm, share in self._pairs(unit, self.contrasts):
            found = self.contrasts[arm].add(y, share, is_arm=unit.arm == arm)
            if found is not None:
                for guard in self._means:
                    guard.lead(arm, unit.odds, *found)

    def _value(self, unit: Unit, tally: MetricTally) -> float | None:
        """What the unit counts, in units of the metric; ``None`` where it is left out."""
        value = self._read(unit)
        is_said = value is not None
        if is_said:
            tally.n_said += 1
        else:
            tally.n_missing += 1
            for arm, share in self._pairs(unit, self.lost):
                self.lost[arm].add(share, is_arm=unit.arm == arm)
        if self.said:
            for arm, share in self._pairs(unit, self.said):
                self.said[arm].add(float(is_said), share, is_arm=unit.arm == arm)
        return value if is_said else self._missing

    def _pairs(self, unit: Unit, tests: Mapping[str, object]) -> list[tuple[str, float]]:
        """The tests that the unit is part of, with its chance to be on the arm's side."""
        pairs = unit.odds.against_baseline
        names = tests if unit.arm == self._baseline else (unit.arm,) if unit.arm in tests else ()
        return [(arm, pairs.get(arm, 0.0)) for arm in names]

    def share_beyond(self) -> float:
        """Share of the units whose value lies beyond the range, of which the limit counts; 0 of a few units."""
        n = sum(tally.moments.n for tally in self.tallies.values())
        return sum(tally.n_beyond for tally in self.tallies.values()) / n if n >= _FEW else 0.0

    def answers_differ(self) -> list[str]:
        """Arms whose units say something more or less often than those of the baseline."""
        return [arm for arm, contrast in self.said.items() if contrast.bets.log_e >= _TO_WARN]

    def loses_more(self) -> list[str]:
        """Arms of whose units it is unknown more often how they ended than of those of the baseline."""
        return [arm for arm, test in self.lost.items() if test.highest >= _TO_WARN]


class Evidence:
    """All evidence about effects.

    Attributes:
        metrics: In the order of the file.
        guards: Likewise.
        n_primary: Units that count on the first metric.
        looks_done: Of a fixed horizon.
        planned: Of a fixed horizon: metric and arm to the look that decided and z there.
    """

    def __init__(self, traffic: Traffic, boundaries: tuple[float, ...]) -> None:
        by_name = {metric.name: metric for metric in traffic.metrics}
        self.guards = tuple(
            Guard(traffic, rule, by_name[rule.metric])
            for rule in traffic.guardrails
            if rule.metric in by_name
        )
        self.metrics = tuple(
            MetricEvidence(traffic, metric, tuple(guard for guard in self.guards if guard.metric is metric))
            for metric in traffic.metrics
        )
        self.windows_ns = tuple(sorted({window_ns(metric) for metric in traffic.metrics}))
        self._by_window = tuple(
            tuple(one for one in self.metrics if window_ns(one.metric) == window)
            for window in self.windows_ns
        )
        self._at_once = tuple(guard for guard in self.guards if guard.is_at_once)
        self._boundaries = boundaries
        self._rule = traffic.decision
        self.looks_done = 0
        self.planned: dict[tuple[str, str], tuple[int, float]] = {}

    def end(self, unit: Unit, window: int) -> None:
        """Take a unit, one of whose windows is over."""
        for metric in self._by_window[window]:
            metric.take(unit)
        if self._boundaries:
            self._look_as_planned()

    def failure(self, arm: str, odds: Odds) -> None:
        """Take a failure of a unit, its first since the test was resumed, whenever that is.

        An arm may go bad when all units are long known.
        """
        for guard in self._at_once:
            guard.bad_event(arm, odds)

    @property
    def n_primary(self) -> int:
        """Units that count on the first metric, over all arms."""
        return sum(tally.moments.n for tally in self.metrics[0].tallies.values()) if self.metrics else 0

    def _look_as_planned(self) -> None:
        n_looks = len(self._boundaries)
        if self.looks_done == n_looks or not self._rule.n_units:
            return
        if self.n_primary * n_looks < self._rule.n_units * (self.looks_done + 1):
            return
        boundary = self._boundaries[self.looks_done]
        self.looks_done += 1
        for metric in self.metrics:
            for arm, contrast in metric.contrasts.items():
                effect, se = contrast.effect, contrast.standard_error
                key = (metric.metric.name, arm)
                if effect is None or se is None or key in self.planned:
                    continue
                if abs(effect / se) >= boundary:
                    self.planned[key] = (self.looks_done, effect / se)
