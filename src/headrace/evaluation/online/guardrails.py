"""Whether arms keep their guardrails, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from headrace.domain.ab_report import AbGuardrail
from headrace.domain.traffic import Traffic
from headrace.evaluation import wording
from headrace.evaluation.online.metric_evidence import Guard, MetricEvidence
from headrace.evaluation.online.metric_scores import metric_score
from headrace.evaluation.online.verdict import e_value
from headrace.evaluation.stats.rare_events import RareEvents


def is_breached(guard: Guard, arm: str, epoch: int) -> bool:
    """Whether the evidence against an arm has reached what is needed, at some moment since the test was resumed."""
    watch = guard.watches[arm]
    return watch.epoch >= epoch and watch.test.highest >= -log(guard.rule.alpha)


def check_guardrails(
    guards: Sequence[Guard], metrics: Sequence[MetricEvidence], traffic: Traffic, epoch: int
) -> tuple[AbGuardrail, ...]:
    """How every arm keeps every guardrail, in the order of the file."""
    by_metric = {metric.metric.name: metric for metric in metrics}
    return tuple(
        _check(guard, arm, by_metric[guard.metric.name], traffic.baseline, epoch)
        for guard in guards
        for arm in guard.watches
    )


def _check(guard: Guard, arm: str, metric: MetricEvidence, baseline: str, epoch: int) -> AbGuardrail:
    watch = guard.watches[arm]
    test = watch.test if watch.epoch >= epoch else guard.new_test()
    ours, theirs = metric_score(metric, arm), metric_score(metric, baseline)
    n, n_baseline = (test.arm, test.other) if isinstance(test, RareEvents) else (ours.n, theirs.n)
    threshold = -log(guard.rule.alpha)
    is_broken = test.highest >= threshold
    return AbGuardrail(
        arm=arm,
        metric=guard.metric.name,
        log_e=test.log_e,
        highest=test.highest,
        threshold=threshold,
        is_breached=is_broken,
        n=n,
        n_baseline=n_baseline,
        observed=ours.mean,
        observed_baseline=theirs.mean,
        what=_words(
            guard, arm, baseline, (n, n_baseline), (ours.mean, theirs.mean), test.highest, is_broken=is_broken
        ),
    )


def _words(
    guard: Guard,
    arm: str,
    baseline: str,
    counts: tuple[int, int],
    means: tuple[float | None, float | None],
    highest: float,
    *,
    is_broken: bool,
) -> str:
    name = guard.metric.name
    evidence = f"evidence {e_value(highest)} of {e_value(-log(guard.rule.alpha))}"
    if guard.is_rare:
        limit = "" if guard.slack_ratio == 1.0 else f" {guard.slack_ratio:g} times"
        seen = f"{wording.count(counts[0], 'unit')} of {arm} and {counts[1]:,} of {baseline}"
        if is_broken:
            return f"{arm} has {name} more often than{limit} {baseline}: {seen} ({evidence})."
        return f"{arm} is not shown to have {name} more often than{limit} {baseline}: {seen} ({evidence})."
    ours, theirs = ("unknown" if mean is None else wording.number(mean) for mean in means)
    margin = f" by more than {wording.number(guard.rule.margin)}" if guard.rule.margin else ""
    seen = f"{ours} against {theirs} ({evidence})"
    if is_broken:
        return f"{arm} is worse than {baseline} on {name}{margin}: {seen}."
    return f"{arm} is not shown to be worse than {baseline} on {name}{margin}: {seen}."
