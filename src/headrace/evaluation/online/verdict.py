"""From evidence on one metric to one word, as offline, and the sentence that justifies it."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from headrace.domain.ab_report import AbComparison, AbMargin
from headrace.domain.comparison import Interval, Verdict
from headrace.domain.traffic import OnlineMetric, Traffic
from headrace.evaluation import wording
from headrace.evaluation.online.metric_evidence import Evidence, MetricEvidence
from headrace.evaluation.stats.sequential import Contrast


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What all verdicts of a test go by.

    Attributes:
        n_comparisons: Arms beside the baseline: alpha is divided among them.
        n_looks: Of a fixed horizon; 0 where one may always look.
    """

    traffic: Traffic
    n_comparisons: int
    n_looks: int

    @property
    def alpha(self) -> float:
        """Of one comparison."""
        return self.traffic.decision.alpha / max(1, self.n_comparisons)

    @property
    def threshold(self) -> float:
        """What evidence has to reach, as a natural logarithm."""
        return -log(self.alpha)


def compare(
    metric: MetricEvidence, arm: str, evidence: Evidence, rules: Rules, *, is_mismatch: bool
) -> AbComparison:
    """Compare an arm with the baseline on a metric.

    Args:
        metric: Evidence about it.
        arm: Not the baseline.
        evidence: For the looks of a fixed horizon.
        rules: What decides.
        is_mismatch: Whether units were not split as the weights say; then nothing is judged.
    """
    contrast, spec = metric.contrasts[arm], metric.metric
    span = spec.high - spec.low
    effect, interval = contrast.effect, contrast.interval(rules.alpha)
    if interval is not None:
        interval = Interval(
            low=interval.low * span, high=interval.high * span, level=interval.level, method=interval.method
        )
    bets = contrast.bets
    above, below = bets.log_e_above, bets.log_e_below
    is_higher = spec.direction == "higher"
    found = AbComparison(
        arm=arm,
        against=rules.traffic.baseline,
        metric=spec.name,
        direction=spec.direction,
        n=contrast.arm.n,
        n_baseline=contrast.other.n,
        effect=None if effect is None else effect * span,
        interval=interval,
        log_e=bets.log_e,
        log_e_better=above if is_higher else below,
        log_e_worse=below if is_higher else above,
        threshold=rules.threshold,
        verdict=_OPEN,
        margin=_margin(contrast, spec, rules),
    )
    verdict = judge(found, metric, evidence, rules, is_mismatch=is_mismatch)
    return _with_verdict(found, verdict)


_OPEN = Verdict(word="inconclusive", reason="", is_judged=False)


def _with_verdict(found: AbComparison, verdict: Verdict) -> AbComparison:
    values = {name: getattr(found, name) for name in AbComparison.__slots__}
    return AbComparison(**{**values, "verdict": verdict})


def _margin(contrast: Contrast, spec: OnlineMetric, rules: Rules) -> AbMargin | None:
    if spec.margin is None or contrast.above is None or contrast.below is None:
        return None
    above, below = contrast.above.log_e, contrast.below.log_e
    is_higher = spec.direction == "higher"
    return AbMargin(
        margin=spec.margin,
        log_e_no_worse=above if is_higher else below,
        log_e_no_better=below if is_higher else above,
        threshold=rules.threshold,
    )


def judge(
    found: AbComparison, metric: MetricEvidence, evidence: Evidence, rules: Rules, *, is_mismatch: bool
) -> Verdict:
    """Give the verdict.

    "better" and "worse" need the evidence of the bets, or at a planned look z beyond its boundary; "equivalent" needs
    the evidence that the arm is neither worse nor better by the margin. The interval is shown and decides nothing.
    """
    if is_mismatch:
        return _undecided("units were not split among the arms as their weights say")
    missing = _missing(metric, found.arm, rules)
    if missing:
        return _undecided(missing)
    if rules.n_looks:
        return _judge_as_planned(found, evidence, rules)
    if found.log_e >= found.threshold and found.effect is not None:
        is_better = found.log_e_better > found.log_e_worse
        return Verdict(word="better" if is_better else "worse", reason=f"{_size(found)} ({_words(found)}).")
    return _judge_equivalent(found) or _inconclusive(found)


def is_decided(metric: MetricEvidence, arm: str, evidence: Evidence, rules: Rules) -> bool:
    """Whether the verdict is "better" or "worse"; as :func:`judge`, without its words."""
    contrast = metric.contrasts[arm]
    is_there = (
        (metric.metric.name, arm) in evidence.planned
        if rules.n_looks
        else contrast.bets.log_e >= rules.threshold
    )
    return is_there and not _missing(metric, arm, rules)


def _missing(metric: MetricEvidence, arm: str, rules: Rules) -> str:
    """What is missing before an arm is judged; empty for nothing."""
    rule, contrast, spec = rules.traffic.decision, metric.contrasts[arm], metric.metric
    for name, units in ((arm, contrast.arm), (rules.traffic.baseline, contrast.other)):
        if units.n < rule.min_units:
            verb = "counts" if units.n == 1 else "count"
            return f"only {wording.count(units.n, 'unit')} of {name} {verb} and {rule.min_units} are needed"
        fewest = min(units.total, units.n - units.total)
        if spec.kind == "rate" and fewest < rule.min_events:
            few = wording.count(int(fewest), "unit")
            verb = "differs" if int(fewest) == 1 else "differ"
            return (
                f"only {few} of {name} {verb} from the others on {spec.name} and {rule.min_events} are needed"
            )
    return ""


def _judge_as_planned(found: AbComparison, evidence: Evidence, rules: Rules) -> Verdict:
    planned = evidence.planned.get((found.metric, found.arm))
    if planned is not None:
        look, z = planned
        is_better = (z > 0.0) == (found.direction == "higher")
        reason = f"{_size(found)} (z {wording.signed(z)} at look {look} of {rules.n_looks})."
        return Verdict(word="better" if is_better else "worse", reason=reason)
    equivalent = _judge_equivalent(found)
    if equivalent is not None:
        return equivalent
    if evidence.looks_done < rules.n_looks:
        return _undecided(f"{evidence.looks_done} of {rules.n_looks} planned looks are done")
    return Verdict(
        word="inconclusive", reason="The planned looks are over and none of them showed a difference."
    )


def _judge_equivalent(found: AbComparison) -> Verdict | None:
    if found.margin is None or not found.margin.is_equivalent:
        return None
    margin = wording.number(found.margin.margin)
    return Verdict(
        word="equivalent",
        reason=f"Neither better nor worse by \N{PLUS-MINUS SIGN}{margin} ({_words(found)}).",
    )


def _inconclusive(found: AbComparison) -> Verdict:
    if found.interval is None:
        return Verdict(word="inconclusive", reason="The units of these arms show no spread to judge by.")
    interval = f"{wording.level(found.interval)} interval {wording.span(found.interval)}"
    if found.interval.excludes_zero:
        reason = f"Borderline: the {interval} excludes zero, but the evidence is {_evidence(found)}."
        return Verdict(word="inconclusive", reason=reason, is_borderline=True)
    return Verdict(word="inconclusive", reason=f"The {interval} contains zero.")


def _size(found: AbComparison) -> str:
    effect = found.effect or 0.0
    side = "higher" if effect > 0.0 else "lower"
    return f"{wording.number(abs(effect))} {side} on {wording.count(found.n + found.n_baseline, 'unit')}"


def _words(found: AbComparison) -> str:
    if found.interval is None:
        return f"evidence {_evidence(found)}"
    return f"{wording.level(found.interval)} interval {wording.span(found.interval)}, evidence {_evidence(found)}"


def _evidence(found: AbComparison) -> str:
    return f"{e_value(found.log_e)} of {e_value(found.threshold)}"


def e_value(log_e: float) -> str:
    """Evidence as a number: how many times what was bet has been won."""
    value = exp(min(log_e, 20.0))
    if value >= 1_000_000.0:
        return "more than a million"
    return f"{value:,.0f}" if value >= 10.0 else f"{value:.1f}"


def _undecided(because: str) -> Verdict:
    return Verdict(word="inconclusive", reason=f"Cannot be decided, because {because}.", is_judged=False)
