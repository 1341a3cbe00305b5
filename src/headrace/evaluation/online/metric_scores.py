"""What an arm scored on a metric, in units of the metric."""

from __future__ import annotations

from headrace.domain.ab_report import AbMetric
from headrace.evaluation.online.metric_evidence import MetricEvidence


def metric_score(metric: MetricEvidence, arm: str) -> AbMetric:
    """What the units of an arm that answers scored."""
    tally, spec = metric.tallies[arm], metric.metric
    span = spec.high - spec.low
    mean, variance = tally.moments.mean, tally.moments.variance
    return AbMetric(
        metric=spec.name,
        n=tally.moments.n,
        n_said=tally.n_said,
        n_missing=tally.n_missing,
        n_events=tally.n_events,
        mean=None if mean is None else spec.low + span * mean,
        variance=None if variance is None else variance * span**2,
    )
