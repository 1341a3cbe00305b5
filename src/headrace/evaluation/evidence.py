"""What the data say about one arm against another, in a few lines of words: for tests and logs."""

from __future__ import annotations

from headrace.domain.comparison import Estimate, MarginQuestion, MarginTest, MetricComparison, PairedEffect
from headrace.evaluation import wording

_QUESTIONS = {
    "superior": "better by more than the margin",
    "non-inferior": "worse by less than the margin",
    "equivalent": "neither better nor worse by as much as the margin",
}
_MAX_LINES = 5


def margin_test(effect: PairedEffect, question: MarginQuestion) -> MarginTest | None:
    """The test of one question; ``None`` where the metric has no margin or there are no pairs."""
    return next((test for test in effect.margin_tests if test.question == question), None)


def evidence(effect: PairedEffect, metric: MetricComparison, adjustment: str) -> tuple[str, ...]:
    """Estimate, interval, p, lines and the worst losses, a line each.

    Args:
        effect: One arm against another.
        metric: The metric that it is about.
        adjustment: Name of the adjustment of p over the arms.
    """
    lines = [_difference_line(effect, metric)]
    if effect.p_adjusted is not None:
        adjusted = "" if adjustment == "none" else f", adjusted over the arms ({adjustment})"
        lines.append(f"p {wording.p_value(effect.p_adjusted)}{adjusted}: {effect.method_p}")
    lines += [_margin_line(test) for test in effect.margin_tests]
    lines.append(
        f"{wording.count(effect.n_pairs, 'paired line')}: "
        f"{effect.wins} better, {effect.losses} worse, {effect.ties} equal"
    )
    left_out = (
        (len(effect.unscored), "without a score on both sides"),
        (len(effect.unmatched_arm), f"that only {effect.arm} has"),
        (len(effect.unmatched_against), f"that only {effect.against} has"),
    )
    lines += [f"{wording.count(count, 'line')} {words}" for count, words in left_out if count]
    if effect.worst_lines:
        worst = ", ".join(
            f"{line.line_id} ({wording.number(line.loss)} worse)" for line in effect.worst_lines[:_MAX_LINES]
        )
        lines.append(f"worst lines: {worst}")
    lines.append(f"verdict: {effect.verdict.word}. {effect.verdict.reason}")
    return tuple(lines)


def _difference_line(effect: PairedEffect, metric: MetricComparison) -> str:
    means = {score.arm: score.mean for score in metric.scores}
    sides = f"{_mean(means.get(effect.arm))} against {_mean(means.get(effect.against))}"
    if effect.difference is None:
        return f"no difference can be estimated: {sides}"
    text = f"difference {wording.signed(effect.difference.value)} ({sides})"
    interval = effect.difference.interval
    if interval is None:
        return f"{text}, without an interval"
    return f"{text}, {wording.level(interval)} interval {wording.span(interval)} ({interval.method})"


def _mean(estimate: Estimate | None) -> str:
    return "no score" if estimate is None else wording.number(estimate.value)


def _margin_line(test: MarginTest) -> str:
    holds = "shown" if test.holds else "not shown"
    p = "" if test.p_adjusted is None else f", p {wording.p_value(test.p_adjusted)}"
    bound = "" if test.bound is None else f", bound {wording.signed(test.bound)}"
    return f"{_QUESTIONS[test.question]} of {wording.number(test.margin)}: {holds}{p}{bound}"
