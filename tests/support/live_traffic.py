"""Tests with live traffic that are played: rules, revisions and records in the order of their arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from headrace.domain.ab_report import AbReport
from headrace.domain.evidence import Arrival, Completion, Evidence, Exposure, Feedback
from headrace.domain.traffic import (
    RESOLUTION,
    BucketRange,
    OnlineGuardrail,
    OnlineMetric,
    Reason,
    Revision,
    Traffic,
    TrafficArm,
)
from headrace.domain.variant import Arm
from headrace.evaluation.online.analysis import OnlineAnalysis

NAME = "checkout"
SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
FAILURES = OnlineMetric(name="failures", source="failures", direction="lower")
NO_FAILURES = OnlineGuardrail(metric="failures", max_ratio=1.0)


def thumbs(window_s: float = 60.0, **settings: Any) -> OnlineMetric:
    return OnlineMetric(name="thumbs", source="thumbs", window_s=window_s, **settings)


def traffic_of(
    weights: Mapping[str, float],
    metrics: Sequence[OnlineMetric] = (FAILURES,),
    guardrails: Sequence[OnlineGuardrail] = (),
    shadows: Sequence[str] = (),
    **settings: Any,
) -> Traffic:
    """Rules whose first arm is the baseline."""
    arms = [TrafficArm(name=name, arm=Arm(name=name), weight=weight) for name, weight in weights.items()]
    arms.extend(TrafficArm(name=name, arm=Arm(name=name), shadow_share=1.0) for name in shadows)
    return Traffic(
        name=NAME,
        path="traffic.yaml",
        arms=tuple(arms),
        baseline=next(iter(weights)),
        digest="0" * 64,
        metrics=tuple(metrics),
        guardrails=tuple(guardrails),
        **settings,
    )


def revision_of(
    number: int, weights: Mapping[str, float], *, coverage: float = 1.0, reason: Reason = "started"
) -> Revision:
    """A revision that gives each arm one range."""
    ranges: dict[str, tuple[BucketRange, ...]] = {}
    start = 0
    for arm, weight in weights.items():
        end = start + round(weight * coverage * RESOLUTION)
        ranges[arm] = ((start, end),)
        start = end
    return Revision(
        test=NAME,
        number=number,
        at=datetime(2027, 1, 15, 8, number % 60, tzinfo=UTC),
        reason=reason,
        ranges=ranges,
        answering=next(iter(weights)),
        digest="0" * 64,
    )


def exposed(
    name: str, arm: str, propensity: float = 0.5, *, at_s: float = 0.0, unit: str | None = None, **more: Any
) -> Exposure:
    return Exposure(
        id=name,
        test=NAME,
        revision=more.pop("revision", 1),
        at_ns=START + round(at_s * SECOND),
        unit=name if unit is None else unit,
        arm=arm,
        propensity=propensity,
        **more,
    )


def completed(name: str, *, at_s: float = 0.0, fails: bool = False, **more: Any) -> Completion:
    return Completion(
        exposure=name,
        test=NAME,
        at_ns=START + round(at_s * SECOND),
        answered_by="",
        problem="T401" if fails else "",
        **more,
    )


def said(
    name: str,
    value: float | None,
    *,
    at_s: float = 0.0,
    metric: str = "thumbs",
    unit: str = "",
    key: str = "",
) -> Feedback:
    return Feedback(
        id=key or f"said of {name or unit}",
        at_ns=START + round(at_s * SECOND),
        metric=metric,
        value=value,
        exposure=name,
        unit=unit,
    )


class LiveTest:
    """A test that records arrive for."""

    def __init__(self, traffic: Traffic, *revisions: Revision) -> None:
        self.traffic = traffic
        self.revisions = revisions or (revision_of(1, {arm.name: arm.weight for arm in traffic.answering}),)
        self.arrivals: list[Arrival] = []
        self.analysis = self.fresh()

    def fresh(self) -> OnlineAnalysis:
        """An analysis that has read nothing yet."""
        analysis = OnlineAnalysis(self.traffic)
        for revision in self.revisions:
            analysis.take_revision(revision)
        return analysis

    def take(self, *records: Evidence) -> None:
        for record in records:
            self.arrivals.append(Arrival(place=len(self.arrivals) + 1, evidence=record))
            self.analysis.take(self.arrivals[-1:])

    def look(self, at_s: float = 0.0) -> AbReport:
        return self.analysis.look(START + round(at_s * SECOND))
