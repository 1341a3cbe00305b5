"""What one arm did and used: lines, failures, tokens, cost and latency, alone and as ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import fsum, inf, isfinite

from headrace.domain.comparison import ArmSummary, Estimate
from headrace.domain.scores import ArmLines, LineObservation
from headrace.evaluation.stats.estimate import mean, quantile, quantile_interval
from headrace.evaluation.stats.paired import log_ratio


def summarise_arm(arm: ArmLines, baseline: ArmLines, *, level: float = 0.95) -> ArmSummary:
    """Totals, latency quantiles and ratios to the baseline of one arm.

    Latency is that of executions that did not fail. Ratios are taken per line (repeats averaged)
    over the lines that both arms have, and are ``None`` for the baseline itself.
    """
    observations = _observations(arm)
    durations = [_measured(repeats, _duration) for repeats in arm.lines.values()]
    is_baseline = arm.arm == baseline.arm
    return ArmSummary(
        arm=arm.arm,
        n_lines=sum(bool(repeats) for repeats in arm.lines.values()),
        n_observations=len(observations),
        n_failed=sum(observation.is_failed for observation in observations),
        repeats=max((len(repeats) for repeats in arm.lines.values()), default=0),
        prompt_tokens=sum(observation.prompt_tokens for observation in observations),
        completion_tokens=sum(observation.completion_tokens for observation in observations),
        cost_usd=_total_cost(observations),
        latency_p50_ms=_latency(durations, 0.5, level),
        latency_p95_ms=_latency(durations, 0.95, level),
        latency_ratio=None if is_baseline else _ratio(arm, baseline, _duration, level),
        cost_ratio=None if is_baseline else _ratio(arm, baseline, _cost, level),
        token_ratio=None if is_baseline else _ratio(arm, baseline, _tokens, level),
    )


def has_only_failures(arm: ArmLines) -> bool:
    """Whether the arm has executions and every one of them failed."""
    observations = _observations(arm)
    return bool(observations) and all(observation.is_failed for observation in observations)


def _observations(arm: ArmLines) -> list[LineObservation]:
    return [observation for repeats in arm.lines.values() for observation in repeats]


def _total_cost(observations: Sequence[LineObservation]) -> float | None:
    costs = [o.cost_usd for o in observations if o.cost_usd is not None and isfinite(o.cost_usd)]
    if not costs or len(costs) < len(observations):
        return None
    return fsum(costs)


def _latency(per_line: Sequence[Sequence[float]], probability: float, level: float) -> Estimate | None:
    durations = [value for values in per_line for value in values]
    if not durations:
        return None
    n_lines = sum(bool(values) for values in per_line)
    return Estimate(
        value=quantile(durations, probability),
        interval=quantile_interval(durations, probability, level=level, n_independent=n_lines),
        n=n_lines,
    )


def _ratio(
    arm: ArmLines,
    baseline: ArmLines,
    quantity: Callable[[LineObservation], float | None],
    level: float,
) -> Estimate | None:
    ours, theirs = [], []
    for line_id, repeats in arm.lines.items():
        mine = _measured(repeats, quantity)
        other = _measured(baseline.lines.get(line_id, ()), quantity) if mine else []
        if other:
            ours.append(mean(mine))
            theirs.append(mean(other))
    return log_ratio(ours, theirs, level=level)


def _measured(
    observations: Iterable[LineObservation],
    quantity: Callable[[LineObservation], float | None],
) -> list[float]:
    """Positive values of the executions that did not fail: a ratio needs both."""
    values = [quantity(o) for o in observations if not o.is_failed]
    return [value for value in values if value is not None and 0.0 < value < inf]


def _duration(observation: LineObservation) -> float:
    return observation.duration_ms


def _cost(observation: LineObservation) -> float | None:
    return observation.cost_usd


def _tokens(observation: LineObservation) -> float:
    return float(observation.prompt_tokens + observation.completion_tokens)
