"""Guardrails: an arm is shipped only where it is shown to be no worse on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from tests.unit.evaluation.builders import an_observation, yes_no

from headrace.domain.comparison import Comparison, Recommendation
from headrace.domain.report import ReportContext
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.guardrails import check_guardrails
from headrace.evaluation.recommendation import keep_guardrails, ship_recommendation
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.markdown import render_markdown

N = 400
ACCURACY = MetricSpec(name="accuracy")
POLITE = MetricSpec(name="polite", margin=0.1, goal="non_inferiority")
SHORT = MetricSpec(name="length", direction="lower", margin=20.0, goal="non_inferiority", kind="unbounded")


def arm(name: str, right: int, polite: int, length: float = 100.0, cost_usd: float | None = None) -> ArmLines:
    """The first lines are right; the polite ones are spread evenly over all."""
    scores = zip(yes_no(right, N - right), range(N), strict=True)
    return ArmLines(
        arm=name,
        lines={
            f"line-{i}": (
                an_observation(
                    {
                        "accuracy": score,
                        "polite": float((i * 7) % N < polite),
                        "length": length + i % 7,
                    },
                    cost_usd=None if cost_usd is None else cost_usd * (1 + 0.01 * (i % 5)),
                ),
            )
            for score, i in scores
        },
    )


def comparison(
    arms: Sequence[ArmLines], *guardrails: MetricSpec, metric: MetricSpec = ACCURACY
) -> Comparison:
    return compare(arms, baseline="base", metrics=[metric], guardrails=guardrails)


def recommend(
    arms: Sequence[ArmLines], *guardrails: MetricSpec, metric: MetricSpec = ACCURACY
) -> Recommendation:
    return ship_recommendation(comparison(arms, *guardrails, metric=metric))


def test_an_arm_that_keeps_its_guardrails_is_shipped_and_says_so() -> None:
    found = recommend([arm("base", 100, 300), arm("new", 300, 300)], POLITE)
    assert found.arm == "new"
    assert "It is no worse on polite within 0.100, adjusted p < 0.001." in found.reason
    assert [(check.metric, check.holds) for check in found.guardrails] == [("polite", True)]


def test_an_arm_that_breaks_a_guardrail_is_not_shipped_however_much_better_it_is() -> None:
    arms = [arm("base", 100, 380), arm("new", 380, 100)]
    assert recommend(arms).arm == "new"
    found = recommend(arms, POLITE)
    assert found.arm == "base"
    assert "new is good enough on accuracy, but it is worse on polite by 0.100" in found.reason
    assert found.guardrails[0].is_broken


def test_a_guardrail_that_is_neither_kept_nor_broken_leaves_the_question_open() -> None:
    found = recommend([arm("base", 100, 300), arm("new", 300, 264)], POLITE)
    assert found.arm is None
    assert "is not shown to be no worse on polite" in found.reason
    assert "Too little evidence" in found.reason


def test_the_next_best_arm_that_keeps_its_guardrails_is_shipped() -> None:
    arms = [arm("base", 100, 300), arm("rude", 390, 100), arm("kind", 250, 300)]
    found = recommend(arms, POLITE)
    assert found.arm == "kind"
    assert "Left out for their guardrails: rude." in found.reason


def test_every_guardrail_must_hold() -> None:
    arms = [arm("base", 100, 300), arm("long", 300, 300, length=150.0)]
    assert recommend(arms, POLITE).arm == "long"
    found = recommend(arms, POLITE, SHORT)
    assert found.arm == "base"
    assert "length by 20" in found.reason
    assert [check.holds for check in found.guardrails] == [True, False]
    assert (
        recommend([arm("base", 100, 300), arm("short", 300, 300, length=90.0)], POLITE, SHORT).arm == "short"
    )


def test_a_saving_counts_only_within_the_guardrails() -> None:
    goal = MetricSpec(name="accuracy", margin=0.1, goal="non_inferiority")
    dear, cheap = arm("base", 200, 300, cost_usd=0.2), arm("cheap", 200, 300, cost_usd=0.1)
    assert recommend([dear, cheap], POLITE, metric=goal).arm == "cheap"
    rude = arm("rude", 200, 100, cost_usd=0.1)
    assert recommend([dear, rude], metric=goal).arm == "rude"
    assert recommend([dear, rude], POLITE, metric=goal).arm == "base"


def test_a_metric_that_is_compared_anyway_takes_the_margin_of_its_guardrail() -> None:
    found = compare(
        [arm("base", 100, 300), arm("new", 300, 300)],
        baseline="base",
        metrics=[ACCURACY, MetricSpec(name="polite")],
        guardrails=[POLITE],
    )
    assert [metric.spec.name for metric in found.metrics] == ["accuracy", "polite"]
    assert found.metrics[1].spec.margin == 0.1
    assert found.guardrails == ("polite",)


def test_a_guardrail_without_a_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="a guardrail needs a margin"):
        comparison([arm("base", 1, 1), arm("new", 1, 1)], MetricSpec(name="polite"))


def test_a_guardrail_without_scores_does_not_hold() -> None:
    found = comparison([arm("base", 100, 300), arm("new", 300, 300)], MetricSpec(name="other", margin=1.0))
    (check,) = check_guardrails(found, "new")
    assert (check.holds, check.is_broken) == (False, False)
    assert ship_recommendation(found).arm is None


def test_boards_say_what_the_guardrails_come_to() -> None:
    found = comparison([arm("base", 100, 380), arm("new", 380, 100)], POLITE)
    context = ReportContext(title="t", flow="f", dataset="d", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    for text in (render_markdown(found, context), render_html(found, context)):
        assert "worse on polite by 0.100" in text
        assert "intersection-union" in text


def test_what_is_recommended_otherwise_is_held_back_too() -> None:
    raced = Recommendation(arm="new", reason="new is left of the race.")
    broken = comparison([arm("base", 100, 380), arm("new", 380, 100)], POLITE)
    found = keep_guardrails(broken, raced)
    assert found.arm == "base"
    assert "But it is worse on polite" in found.reason
    kept = keep_guardrails(comparison([arm("base", 100, 300), arm("new", 300, 300)], POLITE), raced)
    assert kept.arm == "new"
    assert "It is no worse on polite" in kept.reason
    assert keep_guardrails(comparison([arm("base", 100, 300), arm("new", 300, 300)]), raced) == raced


def test_arms_at_the_margin_are_shipped_no_more_often_than_alpha_allows() -> None:
    """Two guardrails, both exactly at their margin: the worst case of the claim."""
    random = Random(5)
    n, trials, shipped = 200, 200, 0
    guardrails = [
        MetricSpec(name=name, margin=0.1, goal="non_inferiority", kind="binary") for name in ("a", "b")
    ]

    def make(name: str, right: float, rate: float) -> ArmLines:
        return ArmLines(
            arm=name,
            lines={
                f"line-{i}": (
                    an_observation(
                        {
                            "accuracy": float(random.random() < right),
                            "a": float(random.random() < rate),
                            "b": 1.0,
                        }
                    ),
                )
                for i in range(n)
            },
        )

    for _ in range(trials):
        found = comparison([make("base", 0.3, 0.8), make("new", 0.9, 0.7)], *guardrails)
        shipped += ship_recommendation(found).arm == "new"
    # Tests are one-sided at 2.5 %: of 200 trials 5 are expected; 13 or more happen with probability 0.002.
    assert shipped <= 12
