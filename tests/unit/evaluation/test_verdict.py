from __future__ import annotations

import pytest

from headrace.domain.comparison import Estimate, Interval
from headrace.domain.scores import MetricSpec
from headrace.evaluation.effects import Measurement
from headrace.evaluation.line_scores import SettledMetric
from headrace.evaluation.verdict import judge

METRIC = SettledMetric(spec=MetricSpec(name="accuracy", kind="binary"), failed_count_as=0.0, value_range=1.0)


def a_measurement(low: float, high: float, *, n_for_observed: int | None) -> Measurement:
    interval = Interval(low=low, high=high, level=0.95, method="Tango")
    return Measurement(
        arm="new",
        against="base",
        difference=Estimate(value=(low + high) / 2, interval=interval, n=40),
        without_failed=None,
        p_raw=0.05,
        method_p="McNemar mid-p",
        wins=10,
        losses=2,
        ties=28,
        probability_better=0.9,
        n_for_observed=n_for_observed,
        detectable=0.2,
        worst_lines=(),
        unmatched_arm=(),
        unmatched_against=(),
        unscored=(),
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "word", "is_borderline"),
    [
        (0.01, 0.3, 0.01, "better", False),
        (-0.3, -0.01, 0.01, "worse", False),
        (0.01, 0.3, 0.2, "inconclusive", True),
        (-0.01, 0.3, 0.01, "inconclusive", True),
        (-0.1, 0.3, 0.2, "inconclusive", False),
        (0.01, 0.3, 0.05, "better", False),
    ],
)
def test_a_verdict_needs_both_the_p_and_the_interval(low, high, p, word, is_borderline) -> None:
    verdict = judge(a_measurement(low, high, n_for_observed=100), METRIC, p_adjusted=p, alpha=0.05)
    assert verdict.word == word
    assert verdict.is_borderline == is_borderline
    assert verdict.reason.startswith("Borderline") == is_borderline


@pytest.mark.parametrize(
    ("n_for_observed", "words"),
    [
        (41, "about 1 more line would"),
        (163, "about 130 more lines would"),  # 123, to two digits, upwards
        (100_040, "about 100,000 more lines would"),
        (100_041, "more than 100,000 more lines would"),
    ],
)
def test_the_lines_that_are_missing_are_rounded_up(n_for_observed: int, words: str) -> None:
    effect = a_measurement(-0.1, 0.3, n_for_observed=n_for_observed)
    assert words in judge(effect, METRIC, p_adjusted=0.2, alpha=0.05).reason


@pytest.mark.parametrize("n_for_observed", [None, 40, 10])
def test_no_lines_are_asked_for_where_there_are_enough(n_for_observed: int | None) -> None:
    effect = a_measurement(0.01, 0.3, n_for_observed=n_for_observed)
    assert "more" not in judge(effect, METRIC, p_adjusted=0.2, alpha=0.05).reason
