"""Whether live requests say of an arm what an experiment said."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.domain.ab_report import AbComparison, AbReport
from headrace.domain.comparison import Estimate, Interval
from headrace.domain.offline_beside import Agreement, JoinedEffect, JoinedResults, OfflineArms, OfflineEffect
from headrace.domain.traffic import Direction, OnlineMetric, Traffic

_LEAST_DIGITS = 12


def join_offline(traffic: Traffic, report: AbReport, offline: OfflineArms) -> JoinedResults:
    """The offline results of the arms beside their online ones.

    Args:
        traffic: The rules; they say which metric offline goes with which online.
        report: A look at the test.
        offline: What the experiment said, against the same baseline.
    """
    effects = tuple(
        _joined(metric, comparison, found)
        for metric in traffic.metrics
        for comparison in report.comparisons
        if comparison.metric == metric.name
        and (found := offline.effect(comparison.arm, offline_name(metric))) is not None
    )
    notes = (*_missing(traffic, offline), *_other_versions(report, offline))
    return JoinedResults(experiment=offline.experiment, effects=effects, notes=notes)


def offline_name(metric: OnlineMetric) -> str:
    """What a metric is called offline."""
    return metric.offline or metric.name


def _joined(metric: OnlineMetric, comparison: AbComparison, found: OfflineEffect) -> JoinedEffect:
    online = None
    if comparison.effect is not None:
        online = Estimate(
            value=comparison.effect,
            interval=comparison.interval,
            n=min(comparison.n, comparison.n_baseline),
        )
    agreement, reason = _agreement(metric, found, online)
    return JoinedEffect(
        arm=comparison.arm,
        metric=metric.name,
        offline_metric=found.metric,
        offline=found.difference,
        online=online,
        agreement=agreement,
        reason=reason,
    )


def _agreement(metric: OnlineMetric, found: OfflineEffect, online: Estimate | None) -> tuple[Agreement, str]:
    """Whether both intervals lie on the same side and overlap; lengths count only where both have one unit."""
    offline = found.difference
    if offline is None or offline.interval is None:
        return "cannot say yet", "there is no interval offline"
    if online is None or online.interval is None:
        return "cannot say yet", "there is no interval online yet"
    sides = _side(offline.interval, found.direction), _side(online.interval, metric.direction)
    if sides[0] * sides[1] < 0:
        return "disagree", f"{_WORDS[sides[0]]} offline and {_WORDS[sides[1]]} online"
    if metric.name == found.metric and not _overlap(offline.interval, online.interval):
        return "disagree", "the intervals do not overlap"
    if sides[0] * sides[1] > 0:
        return "agree", f"{_WORDS[sides[0]]} offline and online"
    open_at = [place for place, side in zip(("offline", "online"), sides, strict=True) if side == 0]
    return "cannot say yet", f"the interval {' and '.join(open_at)} has room for no difference"


_WORDS = {1: "better", -1: "worse"}


def _side(interval: Interval, direction: Direction) -> int:
    """1 for better, -1 for worse, 0 where the interval has room for no difference."""
    if not interval.excludes_zero:
        return 0
    return 1 if (interval.low > 0) is (direction == "higher") else -1


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


def _missing(traffic: Traffic, offline: OfflineArms) -> Iterator[str]:
    known = {(item.arm, item.metric) for item in offline.effects}
    metrics = {metric for _, metric in known}
    for item in traffic.metrics:
        if item.offline and item.offline not in metrics:
            yield f"{offline.experiment} has no metric {item.offline}, which {item.name} is to be compared with."
    if not any(offline_name(item) in metrics for item in traffic.metrics):
        yield (
            f"No metric of the test has the name of one of {offline.experiment}: "
            f"{', '.join(sorted(metrics)) or 'it has none'}. Say which belongs to which: offline: NAME."
        )
    for arm in traffic.answering:
        if arm.name not in offline.versions:
            yield f"{arm.name} was no arm of {offline.experiment}."


def _other_versions(report: AbReport, offline: OfflineArms) -> Iterator[str]:
    """Arms that ran another version offline than the one that answers; endpoints and unknown versions are left out."""
    for arm in report.arms:
        known = {digest[:_LEAST_DIGITS] for digest in offline.versions.get(arm.arm, ())}
        others = [
            name for name in arm.versions if name and name.rpartition("@")[2][:_LEAST_DIGITS] not in known
        ]
        if known and others:
            yield (
                f"{arm.arm} is another version online than offline: {', '.join(others)}, not "
                f"{', '.join(sorted(known))}."
            )
