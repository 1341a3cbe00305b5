"""What a comparison answers to the questions of a gate: passed, failed, or undecided.

Each answer rests on the interval of the comparison and, where a claim has to be shown, on its p: passed is what the
data show, failed is what they exclude, and what lies between is undecided, which more lines would settle. Where all
questions have to pass, the chance of letting an arm through that fails one of them is at most that of a single test.

Source: intersection-union test, Berger (1982), Technometrics 24:295; intervals against a margin, Piaggio et al. (2012),
JAMA 308:2594, figure 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt

from headrace.domain.comparison import ArmSummary, Comparison, Estimate, MetricComparison, PairedEffect
from headrace.domain.gate import QUANTITIES, GateOutcome, GateResult, GateSpec
from headrace.evaluation import wording
from headrace.evaluation.evidence import evidence, margin_test
from headrace.evaluation.stats.estimate import wilson_interval
from headrace.evaluation.stats.power import lines_for_margin, variance_upper_bound
from headrace.evaluation.verdict import MIN_PAIRS

_MAX_LINES = 1_000_000
_BUDGETED = {"cost": "cost", "tokens": "number of tokens"}
_NAMES = {"cost": "cost", "latency": "latency", "tokens": "tokens", "failures": "share of failures"}


@dataclass(frozen=True, slots=True)
class _Answer:
    outcome: GateOutcome
    evidence: str
    numbers: Mapping[str, float | None]
    n_more: int | None = None


def is_quantity(spec: GateSpec, comparison: Comparison) -> bool:
    """Whether a question is about cost, latency, tokens or failures, and no score of that name was compared."""
    names = [metric.spec.name for metric in comparison.metrics]
    return spec.test in ("guardrail", "budget") and spec.metric in QUANTITIES and spec.metric not in names


def judge_gate(comparison: Comparison, spec: GateSpec) -> GateResult:
    """Answer one question.

    Args:
        comparison: Its baseline is the arm that is compared with.
        spec: Its arm is settled. Where it has a margin, the metric of the comparison has the same.

    Raises:
        KeyError: The comparison has no such arm.
        StopIteration: It has no such metric.
    """
    if is_quantity(spec, comparison):
        return _result(spec, _judge_quantity(comparison, spec))
    metric = next(metric for metric in comparison.metrics if metric.spec.name == spec.metric)
    arm = str(spec.arm)
    if spec.test == "budget":
        return _result(spec, _judge_mean(metric, arm, spec.limit or 0.0))
    effect = metric.effect_of(arm)
    if effect is None:
        raise KeyError(arm)
    answer = _judge_effect(comparison, metric, effect, spec)
    return _result(spec, answer, evidence(effect, metric, comparison.provenance.adjustment))


def _result(spec: GateSpec, answer: _Answer, details: tuple[str, ...] = ()) -> GateResult:
    return GateResult(
        spec=spec,
        outcome=answer.outcome,
        evidence=answer.evidence,
        numbers={name: value for name, value in answer.numbers.items() if value is not None},
        details=details,
        n_more=answer.n_more if answer.outcome == "undecided" else None,
    )


def _judge_effect(
    comparison: Comparison, metric: MetricComparison, effect: PairedEffect, spec: GateSpec
) -> _Answer:
    margin = spec.margin or 0.0
    numbers: dict[str, float | None] = {"n": float(effect.n_pairs), "margin": margin}
    interval = effect.difference.interval if effect.difference else None
    if not effect.verdict.is_judged or effect.difference is None or interval is None:
        return _Answer("undecided", effect.verdict.reason, numbers)
    sign = 1.0 if metric.spec.direction == "higher" else -1.0
    low, high = sorted((sign * interval.low, sign * interval.high))
    numbers |= {"difference": effect.difference.value, "low": interval.low, "high": interval.high}
    numbers["p"], outcome = _decide(effect, spec, low, high)
    claim = _claim(spec, effect.against, outcome)
    words = f"{wording.level(interval)} interval of the difference {wording.span(interval)}"
    p = _p_words(numbers["p"], spec, comparison.provenance.alpha, outcome)
    text = f"{effect.arm} {claim}: {words}{p}, {wording.count(effect.n_pairs, 'paired line')}."
    more = None
    if outcome == "undecided":
        more = _lines_missing(comparison, metric, effect, spec, sign)
        text += (
            "" if more is None else f" About {wording.count(more, 'more line')} would be likely to settle it."
        )
    return _Answer(outcome, text, numbers, more)


def _p_words(p: float | None, spec: GateSpec, alpha: float, outcome: GateOutcome) -> str:
    """The p of the claim, with what it would have to be where it leaves the question open."""
    if p is None:
        return ""
    needed = alpha if spec.test == "superiority" and not spec.margin else alpha / 2.0
    open_words = f" where at most {needed:g} is needed" if outcome == "undecided" and p > needed else ""
    return f", p {wording.p_value(p)}{open_words}"


def _decide(
    effect: PairedEffect, spec: GateSpec, low: float, high: float
) -> tuple[float | None, GateOutcome]:
    """The p of the claim and what is decided, from the ends of the interval of the gain."""
    margin = spec.margin or 0.0
    if spec.test == "guardrail":
        return None, "failed" if high < -margin else "passed"
    if spec.test == "superiority" and not margin:
        word = effect.verdict.word
        is_excluded = word in ("worse", "equivalent") or high <= 0.0
        return effect.p_adjusted, _three(is_shown=word == "better", is_excluded=is_excluded)
    if spec.test == "superiority":
        question, is_excluded = margin_test(effect, "superior"), high < margin
    elif spec.test == "non_inferiority":
        question, is_excluded = margin_test(effect, "non-inferior"), high < -margin
    else:
        question, is_excluded = margin_test(effect, "equivalent"), low > margin or high < -margin
    is_shown = question is not None and question.holds
    return question.p_adjusted if question else None, _three(is_shown=is_shown, is_excluded=is_excluded)


def _three(*, is_shown: bool, is_excluded: bool) -> GateOutcome:
    return "passed" if is_shown else "failed" if is_excluded else "undecided"


_SHOWN = {"passed": "is shown to be", "failed": "is shown not to be", "undecided": "is not shown to be"}
_HARM = {"passed": "is shown not to be", "failed": "is shown to be", "undecided": "may be"}


def _claim(spec: GateSpec, against: str, outcome: GateOutcome) -> str:
    """What is said of the arm, such as "is shown not to be worse than zero_shot by 0.050 or more on f1"."""
    margin, on = wording.number(spec.margin or 0.0), f"on {spec.metric}"
    by_more = f" by more than {margin}" if spec.margin else ""
    if spec.test == "superiority":
        return f"{_SHOWN[outcome]} better than {against}{by_more} {on}"
    if spec.test == "equivalence":
        return f"{_SHOWN[outcome]} within {margin} of {against} {on}"
    if spec.test == "non_inferiority":
        return f"{_HARM[outcome]} worse than {against} by {margin} or more {on}"
    return f"is {'' if outcome == 'failed' else 'not '}shown to be worse than {against}{by_more} {on}"


def _lines_missing(
    comparison: Comparison, metric: MetricComparison, effect: PairedEffect, spec: GateSpec, sign: float
) -> int | None:
    """Lines beside those that there are that show the claim with 80 % power if the gain is the one that was seen.

    Source: ``stats.power.lines_for_margin`` with the upper bound of the variance.
    """
    if effect.spread is None or effect.difference is None or spec.test == "equivalence":
        return None
    margin = spec.margin or 0.0
    shift = -margin if spec.test == "superiority" else margin
    room = sign * effect.difference.value + shift
    repeats = max(1, metric.repeats)
    variance = effect.spread.between_lines + (effect.spread.within_lines or 0.0) / repeats
    if room <= 0.0 or variance <= 0.0:
        return None
    bound = variance_upper_bound(variance, effect.n_pairs)
    lines = lines_for_margin(room, bound, alpha=comparison.provenance.alpha / 2.0)
    if lines is None:
        return None
    missing = ceil(lines * max(1.0, metric.design_effect or 1.0)) - effect.n_pairs
    return missing if 0 < missing <= _MAX_LINES else None


def _judge_mean(metric: MetricComparison, arm: str, limit: float) -> _Answer:
    score = metric.score_of(arm).mean
    is_higher = metric.spec.direction == "higher"
    what = f"the mean {metric.spec.name} of {arm}"
    return _against_limit(score, limit, what, wording.number, is_at_least=is_higher)


def _judge_quantity(comparison: Comparison, spec: GateSpec) -> _Answer:
    ours = comparison.summary_of(str(spec.arm))
    if spec.test == "budget":
        return _judge_budget(ours, spec)
    theirs = comparison.summary_of(comparison.baseline)
    if spec.metric == "failures":
        return _judge_failures(ours, theirs, spec.margin or 0.0, 1.0 - comparison.provenance.alpha)
    ratio = {"cost": ours.cost_ratio, "latency": ours.latency_ratio, "tokens": ours.token_ratio}[spec.metric]
    return _judge_ratio(ratio, ours.arm, comparison.baseline, spec)


def _judge_ratio(ratio: Estimate | None, arm: str, against: str, spec: GateSpec) -> _Answer:
    margin = spec.margin or 0.0
    name = _NAMES[spec.metric]
    if ratio is None:
        text = f"The {name} of {arm} and {against} is not known on the same lines."
        return _Answer("undecided", text, {"margin": margin})
    numbers: dict[str, float | None] = {"ratio": ratio.value, "n": float(ratio.n), "margin": margin}
    low = ratio.value if ratio.interval is None else ratio.interval.low
    if ratio.interval is not None:
        numbers |= {"low": ratio.interval.low, "high": ratio.interval.high}
    lines = wording.count(ratio.n, "paired line")
    words = f"{wording.ratio(ratio)} on {lines}"
    if ratio.n < MIN_PAIRS:
        text = f"The {name} of {arm} is {words} that of {against}; {MIN_PAIRS} lines are needed."
        return _Answer("undecided", text, numbers)
    is_over = low > 1.0 + margin
    allowed = f" and {100.0 * margin:g} % more" if margin else ""
    verb = "is shown to be above" if is_over else "is not shown to be above"
    text = f"The {name} of {arm} {verb} that of {against}{allowed}: {words}."
    return _Answer("failed" if is_over else "passed", text, numbers)


def _judge_failures(ours: ArmSummary, theirs: ArmSummary, margin: float, level: float) -> _Answer:
    """Difference of two shares of failures, as if the executions were independent.

    Source: Newcombe (1998), Statistics in Medicine 17:873, method 10.
    """
    if min(ours.n_observations, theirs.n_observations) < MIN_PAIRS:
        return _Answer("undecided", f"There are fewer than {MIN_PAIRS} executions.", {"margin": margin})
    ours_share, theirs_share = ours.n_failed / ours.n_observations, theirs.n_failed / theirs.n_observations
    mine = wilson_interval(ours.n_failed, ours.n_observations, level=level)
    other = wilson_interval(theirs.n_failed, theirs.n_observations, level=level)
    difference = ours_share - theirs_share
    low = difference - sqrt((ours_share - mine.low) ** 2 + (other.high - theirs_share) ** 2)
    high = difference + sqrt((mine.high - ours_share) ** 2 + (theirs_share - other.low) ** 2)
    is_over = low > margin
    verb = "fails more often" if is_over else "is not shown to fail more often"
    by = f" by more than {wording.number(margin)}" if margin else ""
    text = (
        f"{ours.arm} {verb} than {theirs.arm}{by}: {ours.n_failed:,} of {ours.n_observations:,} executions against "
        f"{theirs.n_failed:,} of {theirs.n_observations:,}, {level * 100:g}% interval of the difference "
        f"{wording.signed(low)} to {wording.signed(high)}."
    )
    numbers = {"difference": difference, "low": low, "high": high, "margin": margin, "n": ours.n_observations}
    return _Answer("failed" if is_over else "passed", text, numbers)


def _judge_budget(summary: ArmSummary, spec: GateSpec) -> _Answer:
    limit, n = spec.limit or 0.0, summary.n_observations
    if spec.metric == "latency":
        what = f"the 95th percentile of the latency of {summary.arm}"
        return _against_limit(summary.latency_p95_ms, limit, what, wording.duration)
    if spec.metric == "failures":
        interval = wilson_interval(summary.n_failed, n) if n else None
        share = Estimate(value=summary.n_failed / n, interval=interval, n=n) if n else None
        return _against_limit(share, limit, f"the share of failures of {summary.arm}", wording.number)
    total = summary.cost_usd if spec.metric == "cost" else summary.total_tokens
    show = wording.cost if spec.metric == "cost" else wording.number
    what = f"the mean {_BUDGETED[spec.metric]} of an execution of {summary.arm}"
    if total is None or not n:
        return _Answer("undecided", f"It is not known what {what} is.", {"limit": limit})
    each = total / n
    is_kept = each <= limit
    side = "at most" if is_kept else "above"
    text = f"{what} is {show(each)}, {side} {show(limit)}, over {wording.count(n, 'execution')}."
    return _Answer(
        "passed" if is_kept else "failed", _sentence(text), {"value": each, "limit": limit, "n": n}
    )


def _against_limit(
    estimate: Estimate | None,
    limit: float,
    what: str,
    show: Callable[[float], str],
    *,
    is_at_least: bool = False,
) -> _Answer:
    """An estimate against a limit: passed where its whole interval keeps it, failed where all of it does not."""
    if estimate is None or estimate.interval is None or estimate.n < MIN_PAIRS:
        return _Answer("undecided", f"There are too few lines to know {what}.", {"limit": limit})
    low, high = estimate.interval.low, estimate.interval.high
    is_kept, is_broken = (low >= limit, high < limit) if is_at_least else (high <= limit, low > limit)
    outcome = _three(is_shown=is_kept, is_excluded=is_broken)
    side = "at least" if is_at_least else "at most"
    text = (
        f"{what} {_SHOWN[outcome]} {side} {show(limit)}: {show(estimate.value)}, "
        f"{wording.level(estimate.interval)} interval {show(low)} to {show(high)}, {wording.count(estimate.n, 'line')}."
    )
    numbers = {"value": estimate.value, "low": low, "high": high, "limit": limit, "n": float(estimate.n)}
    return _Answer(outcome, _sentence(text), numbers)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
