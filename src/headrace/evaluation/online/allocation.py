"""How a bandit would split traffic from now on."""

from __future__ import annotations

from headrace.domain.ab_report import AbArm, AbReport
from headrace.domain.traffic import RESOLUTION, OnlineMetric, Traffic
from headrace.evaluation.stats.bandit import Posterior, best_chances, with_floor


def thompson_weights(traffic: Traffic, report: AbReport) -> dict[str, float]:
    """Weights in proportion to each arm's chance to be the best on the primary metric, none below the floor.

    Args:
        traffic: For the metric and the floor.
        report: The look. Arms that have no share any more, because they were rolled back, get none.

    Returns:
        The arms that answer and their weights, which add up to 1.
    """
    arms = [arm for arm in report.arms if not arm.is_shadow]
    alive = [arm for arm in arms if arm.share > 0.0] or arms
    weights = {arm.arm: 0.0 for arm in arms}
    if not traffic.metrics:
        shares = (1.0 / len(alive),) * len(alive)
    else:
        chances = best_chances([_posterior(arm, traffic.metrics[0]) for arm in alive])
        # An arm without a single bucket would be taken for one that was rolled back, and never be tried again.
        shares = with_floor(chances, max(traffic.allocation.floor, 1 / RESOLUTION))
    weights.update((arm.arm, share) for arm, share in zip(alive, shares, strict=True))
    return weights


def _posterior(arm: AbArm, metric: OnlineMetric) -> Posterior:
    """What is known of the arm, on a scale from 0 to 1 on which higher is better."""
    found = arm.metric(metric.name)
    is_rate = metric.kind == "rate"
    if found is None or found.mean is None:
        return Posterior(n=0, mean=0.5, variance=None if is_rate else 0.0)
    span = metric.high - metric.low
    mean = (found.mean - metric.low) / span
    if metric.direction == "lower":
        mean = 1.0 - mean
    variance = None if is_rate else (found.variance or 0.0) / span**2
    return Posterior(n=found.n, mean=mean, variance=variance)
