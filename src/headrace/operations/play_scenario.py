"""Plays a scenario once, through what serves and decides live tests, on a clock that jumps from look to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Final

from headrace.domain.ab_report import AbReport
from headrace.domain.comparison import VerdictWord
from headrace.domain.evidence import Evidence
from headrace.domain.scenario import Scenario
from headrace.domain.simulation import ArmPlay, Called, Play, Reached
from headrace.domain.traffic import Revision, Traffic
from headrace.errors import Problem
from headrace.evaluation.stats.group_sequential import obrien_fleming_boundaries
from headrace.evaluation.stats.special import normal_quantile
from headrace.operations.ab_revisions import settle_revision
from headrace.operations.made_up_traffic import MadeUpTraffic
from headrace.operations.watch_ab import Watch
from headrace.planning.assignment import Assigner
from headrace.store.opening import open_store

DAY_S: Final = 86_400.0
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LEVEL: Final = 0.95
_Z_LEVEL: Final = normal_quantile((1.0 + _LEVEL) / 2.0)
_ANSWER_S: Final = 900.0
"""How long after the last request its unit may take to count, beside the window of its metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayPlan:
    """How a scenario is played.

    Attributes:
        traffic: The rules; their conditions are met by every request.
        scenario: What is supposed.
        look_s: Time between two looks.
        planned_units, planned_looks: Of the fixed horizon that is played beside.
        seed: Of the first run.
    """

    traffic: Traffic
    scenario: Scenario
    look_s: float
    planned_units: int
    planned_looks: int
    seed: int


def play_scenario(plan: PlayPlan, number: int) -> Play:
    """Play a scenario until everything is decided, or its time is over.

    Args:
        plan: How.
        number: Of the run; the same one gives the same.
    """
    return _Run(plan, number).play()


class _Run:
    def __init__(self, plan: PlayPlan, number: int) -> None:
        self._plan = plan
        self._traffic = traffic = plan.traffic
        self._store = open_store("memory:")
        revision = settle_revision(self._store, traffic, _START)
        self._assigner = Assigner(traffic, revision)
        start_ns = int(_START.timestamp()) * 1_000_000_000
        self._made_up = MadeUpTraffic(traffic, plan.scenario, f"{plan.seed}-{number}", start_ns)
        self._watch = Watch(self._store, (traffic.name,), _say_nothing, every_s=plan.look_s)
        self._revision = revision.number
        self._looks_done = 0
        self._arms = {
            arm.name: ArmPlay(arm=arm.name) for arm in traffic.answering if arm.name != traffic.baseline
        }

    def play(self) -> Play:
        scenario = self._plan.scenario
        end_s = scenario.days * DAY_S
        at_s = 0.0
        report = None
        while at_s < end_s:
            at_s = min(at_s + self._plan.look_s, end_s)
            report = self._look(at_s, list(self._made_up.until(at_s, self._assigner)))
            if self._is_settled(report, at_s):
                break
        else:
            at_s = end_s + max(metric.window_s for metric in self._traffic.metrics) + _ANSWER_S
            report = self._look(at_s, list(self._made_up.until(at_s, self._assigner)))
        return Play(
            arms=tuple(self._arms.values()),
            units=_units(report),
            requests=sum(self._made_up.requests.values()),
            duration_s=at_s,
            is_mismatch=report.sample_ratio.is_mismatch,
        )

    def _look(self, at_s: float, records: Sequence[Evidence]) -> AbReport:
        now = _START + timedelta(seconds=at_s)
        self._store.append_evidence(records)
        self._watch.step(now)
        self._watch.raise_if_away()
        (view,) = self._watch.views()
        bound = self._planned_bound(view.report)
        for arm in self._arms:
            self._judge(arm, view.report, bound, at_s)
        self._follow(view.history, at_s, view.report)
        return view.report

    def _planned_bound(self, report: AbReport) -> float | None:
        """Size of z that decides at the look of the fixed horizon that is due now; ``None`` where none is."""
        looks = self._plan.planned_looks
        n_due = min(_counted(report, self._traffic) * looks // self._plan.planned_units, looks)
        if n_due <= self._looks_done:
            return None
        self._looks_done = n_due
        return obrien_fleming_boundaries(looks, 1.0 - _LEVEL)[n_due - 1]

    def _judge(self, arm: str, report: AbReport, bound: float | None, at_s: float) -> None:
        play = self._arms[arm]
        reached = Reached(after_s=at_s, units=_units(report), requests=self._made_up.requests[arm])
        z = z_gain(report, arm, self._traffic)
        words: dict[str, VerdictWord] = {}
        if play.called.at is None:
            words["called"] = _word(report, arm, self._traffic)
        if play.peeked.at is None:
            words["peeked"] = _side(z, _Z_LEVEL)
        if play.planned.at is None and bound is not None:
            words["planned"] = _side(z, bound)
        found = {
            name: Called(word=word, at=reached) for name, word in words.items() if word != "inconclusive"
        }
        if found:
            self._arms[arm] = replace(play, **found)  # type: ignore[arg-type]

    def _follow(self, history: Sequence[Revision], at_s: float, report: AbReport) -> None:
        for revision in history:
            if revision.number <= self._revision:
                continue
            if revision.reason == "rolled back" and revision.arm in self._arms:
                requests = self._made_up.since_change[revision.arm]
                self._arms[revision.arm] = replace(
                    self._arms[revision.arm],
                    rolled_back=Reached(after_s=at_s, units=_units(report), requests=requests),
                    rolled_back_by=revision.by,
                )
        if history[-1].number > self._revision:
            self._revision = history[-1].number
            self._assigner = Assigner(self._traffic, history[-1])

    def _is_settled(self, report: AbReport, at_s: float) -> bool:
        """Whether nothing more can come: a fixed horizon beside may still have looks to take."""
        if at_s <= self._plan.scenario.last_change_s:
            return False
        has_looked = self._looks_done == self._plan.planned_looks
        return all(
            play.rolled_back is not None
            or (play.called.at is not None and (has_looked or play.planned.at is not None))
            for play in self._arms.values()
        )


def z_gain(report: AbReport, arm: str, traffic: Traffic) -> float:
    """How many standard errors an arm is better on the first metric; 0 before there are enough units."""
    metric = traffic.metrics[0]
    mine, base = report.arm(arm).metric(metric.name), report.arm(report.baseline).metric(metric.name)
    if mine is None or base is None or min(mine.n, base.n) < max(traffic.decision.min_units, 2):
        return 0.0
    error = sqrt((mine.variance or 0.0) / mine.n + (base.variance or 0.0) / base.n)
    gain = ((mine.mean or 0.0) - (base.mean or 0.0)) * (1 if metric.direction == "higher" else -1)
    return gain / error if error else 0.0


def _side(z: float, bound: float) -> VerdictWord:
    if abs(z) < bound:
        return "inconclusive"
    return "better" if z > 0 else "worse"


def _word(report: AbReport, arm: str, traffic: Traffic) -> VerdictWord:
    comparison = report.comparison(arm, traffic.metrics[0].name)
    return "inconclusive" if comparison is None or report.sample_ratio.is_mismatch else comparison.word


def _units(report: AbReport) -> int:
    return sum(arm.units for arm in report.arms if not arm.is_shadow)


def _counted(report: AbReport, traffic: Traffic) -> int:
    """Units that count on the first metric."""
    found = (arm.metric(traffic.metrics[0].name) for arm in report.arms)
    return sum(metric.n for metric in found if metric is not None)


def _say_nothing(_what: str, _problems: Sequence[Problem]) -> None:
    """Revisions of a simulation are told by its summary."""
