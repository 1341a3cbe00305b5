"""The evidence of one test with live traffic, as it arrives, and looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from math import log
from typing import Final

from headrace.domain.ab_report import AbArm, AbReport, HorizonState, SampleRatio
from headrace.domain.evidence import Arrival
from headrace.domain.traffic import Revision, Traffic
from headrace.evaluation.online.arm_tally import ArmTally
from headrace.evaluation.online.caveats import find_caveats, say_ahead, say_unread
from headrace.evaluation.online.decision import decide, due_rollbacks
from headrace.evaluation.online.guardrails import check_guardrails, is_breached
from headrace.evaluation.online.metric_evidence import Evidence, MetricEvidence
from headrace.evaluation.online.metric_scores import metric_score
from headrace.evaluation.online.odds import Odds, OddsBook
from headrace.evaluation.online.unit_flow import UnitFlow
from headrace.evaluation.online.unit_values import is_of_answers, window_ns
from headrace.evaluation.online.verdict import Rules, compare, is_decided
from headrace.evaluation.stats.group_sequential import obrien_fleming_boundaries
from headrace.evaluation.stats.sample_ratio import SampleRatioTest

MISMATCH_ALPHA: Final = 0.001
"""Chance of a false alarm that units are not split as the weights say."""


class OnlineAnalysis:
    """Takes what arrives and says what it shows.

    What is said depends on the records, the order in which they arrived and the revisions alone, not on when one
    looked: reading everything again gives the same. It keeps units until their windows are over, and 16 to 32 bytes of
    each unit after that.

    Args:
        traffic: The rules. Where the file changes what is measured, a new analysis reads all arrivals again.
    """

    def __init__(self, traffic: Traffic) -> None:
        rule = traffic.decision
        n_comparisons = len(traffic.answering) - 1
        self._traffic = traffic
        self._unchanging = (traffic, rule, *traffic.metrics, *traffic.guardrails)
        self._boundaries: tuple[float, ...] = ()
        if rule.horizon == "fixed" and rule.n_units:
            self._boundaries = obrien_fleming_boundaries(rule.looks, rule.alpha / max(1, n_comparisons))
        self._rules = Rules(traffic=traffic, n_comparisons=n_comparisons, n_looks=len(self._boundaries))
        self._book = OddsBook(traffic)
        self._tallies = {arm.name: ArmTally() for arm in traffic.arms}
        self._split = SampleRatioTest()
        self._evidence = Evidence(traffic, self._boundaries)
        said: dict[str, set[int]] = {}
        for metric in traffic.metrics:
            if not is_of_answers(metric):
                said.setdefault(metric.source, set()).add(window_ns(metric))
        self._flow = UnitFlow(
            windows_ns=self._evidence.windows_ns,
            feedback=said,
            book=self._book,
            tallies=self._tallies,
            on_first=self._count_unit,
            on_failure=self._evidence.failure,
            on_end=self._evidence.end,
        )

    def take_revision(self, revision: Revision) -> None:
        """Take a revision of the test, before the exposures that it chose; the same one again changes nothing."""
        self._book.add(revision)

    def take(self, arrivals: Iterable[Arrival]) -> None:
        """Take records in the order of their arrival; places that were taken before change nothing."""
        take = self._flow.take
        for arrival in arrivals:
            take(arrival)

    def _count_unit(self, arm: str, odds: Odds) -> None:
        self._split.add(arm, odds.shares)

    @property
    def is_mismatch(self) -> bool:
        """Whether units were not split as the weights say."""
        return self._split.highest >= -log(MISMATCH_ALPHA)

    def decided(self) -> tuple[str, ...]:
        """Arms that are called better or worse on the primary metric; as :meth:`look` says, and quick."""
        if not self._evidence.metrics or self.is_mismatch:
            return ()
        primary = self._evidence.metrics[0]
        return tuple(
            arm for arm in primary.contrasts if is_decided(primary, arm, self._evidence, self._rules)
        )

    def breached(self) -> tuple[str, ...]:
        """Arms that breach a guardrail; as :meth:`look` says, and quick."""
        return tuple(
            arm
            for arm in dict.fromkeys(arm for guard in self._evidence.guards for arm in guard.watches)
            if any(is_breached(guard, arm, self._book.epoch) for guard in self._evidence.guards)
        )

    def look(self, now_ns: int) -> AbReport:
        """Say what the evidence shows.

        Args:
            now_ns: Nanoseconds since the Unix epoch. Windows that are over by then count, though no newer evidence has
                arrived yet; what they count now they will count for good.
        """
        evidence = self._evidence
        due = list(self._flow.due(now_ns))
        if due:
            evidence = deepcopy(evidence, {id(rule): rule for rule in self._unchanging})
            for unit, window in due:
                evidence.end(unit, window)
        traffic, rules = self._traffic, self._rules
        split = self._sample_ratio()
        comparisons = tuple(
            compare(metric, arm, evidence, rules, is_mismatch=split.is_mismatch)
            for metric in evidence.metrics
            for arm in metric.contrasts
        )
        arms = self._arms(evidence.metrics)
        guardrails = check_guardrails(evidence.guards, evidence.metrics, traffic, self._book.epoch)
        horizon = self._horizon(evidence)
        latest = self._book.latest
        roles = self._flow.roles
        return AbReport(
            test=traffic.name,
            at_ns=now_ns,
            revision=0 if latest is None else latest.number,
            place=self._flow.place,
            baseline=traffic.baseline,
            alpha=traffic.decision.alpha,
            arms=arms,
            sample_ratio=split,
            comparisons=comparisons,
            guardrails=guardrails,
            decision=decide(traffic, arms, comparisons, guardrails, split, horizon),
            rollbacks=due_rollbacks(arms, guardrails),
            horizon=horizon,
            held_out=roles["holdout"],
            forced=roles["forced"],
            outside=roles["outside"],
            orphans=self._flow.n_orphans,
            caveats=(
                *find_caveats(evidence, self._book, self._split, arms, tuple(self._flow.unknown_arms)),
                *say_ahead(self._flow.latest_ns - now_ns),
                *say_unread(self._flow.unread, traffic),
            ),
        )

    def _sample_ratio(self) -> SampleRatio:
        return SampleRatio(
            log_e=self._split.log_e,
            threshold=-log(MISMATCH_ALPHA),
            expected=dict(self._split.expected),
            observed={arm: self._split.observed.get(arm, 0) for arm in self._split.expected},
            is_mismatch=self.is_mismatch,
        )

    def _arms(self, metrics: tuple[MetricEvidence, ...]) -> tuple[AbArm, ...]:
        latest = self._book.latest
        found = []
        for arm in self._traffic.arms:
            tally = self._tallies[arm.name]
            share = arm.weight if latest is None else latest.share(arm.name)
            found.append(
                AbArm(
                    arm=arm.name,
                    is_baseline=arm.name == self._traffic.baseline,
                    is_shadow=arm.is_shadow,
                    share=(arm.shadow_share or 0.0) if arm.is_shadow else share,
                    exposures=tally.exposures,
                    units=tally.units,
                    completions=tally.completions,
                    failures=tally.failures,
                    gone=tally.gone,
                    latency_ms=tally.latency_ms,
                    cost_usd=tally.cost_usd,
                    n_priced=tally.n_priced,
                    tokens=tally.tokens,
                    versions=tuple(tally.versions),
                    metrics=() if arm.is_shadow else tuple(metric_score(one, arm.name) for one in metrics),
                )
            )
        return tuple(found)

    def _horizon(self, evidence: Evidence) -> HorizonState | None:
        rule = self._traffic.decision
        if not self._boundaries or rule.n_units is None:
            return None
        return HorizonState(
            n=evidence.n_primary,
            n_units=rule.n_units,
            looks=rule.looks,
            looks_done=evidence.looks_done,
            boundaries=self._boundaries,
            is_over=evidence.looks_done == rule.looks,
        )
