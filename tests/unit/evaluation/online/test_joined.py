"""Offline and online results of an arm: when they agree, when they do not, and what keeps them from being compared."""

from __future__ import annotations

import pytest
from tests.support.ab_reports import a_comparison, a_report, an_arm
from tests.support.evidence import a_traffic

from headrace.domain.comparison import Estimate, Interval
from headrace.domain.offline_beside import JoinedResults, OfflineArms, OfflineEffect
from headrace.domain.traffic import Direction, OnlineMetric
from headrace.evaluation.online.joined import join_offline

Ends = tuple[float, float]


def an_interval(ends: Ends) -> Interval:
    return Interval(low=ends[0], high=ends[1], level=0.95, method="t")


def joined(
    offline: Ends | None,
    online: Ends | None,
    *,
    named: str = "",
    directions: tuple[Direction, Direction] = ("higher", "higher"),
) -> JoinedResults:
    """The results of one arm on ``thumbs``; offline on the metric of that name, or of the name that is ``named``."""
    difference = None
    if offline is not None:
        difference = Estimate(value=sum(offline) / 2, interval=an_interval(offline), n=40)
    effect = OfflineEffect(
        arm="few_shot", metric=named or "thumbs", direction=directions[0], difference=difference
    )
    arms = OfflineArms(
        experiment="triage-1",
        baseline="zero_shot",
        effects=(effect,),
        versions={"zero_shot": (), "few_shot": ()},
    )
    metric = OnlineMetric(name="thumbs", source="thumbs", direction=directions[1], offline=named)
    traffic = a_traffic({"zero_shot": 0.5, "few_shot": 0.5}, baseline="zero_shot", metrics=(metric,))
    comparison = a_comparison(
        effect=None if online is None else sum(online) / 2,
        interval=None if online is None else an_interval(online),
        direction=directions[1],
    )
    return join_offline(traffic, a_report(comparisons=(comparison,)), arms)


@pytest.mark.parametrize(
    ("offline", "online", "word", "reason"),
    [
        ((0.1, 0.3), (0.05, 0.2), "agree", "better offline and online"),
        ((-0.3, -0.1), (-0.2, -0.05), "agree", "worse offline and online"),
        ((0.1, 0.3), (-0.2, -0.05), "disagree", "better offline and worse online"),
        ((0.4, 0.6), (0.01, 0.1), "disagree", "the intervals do not overlap"),
        ((0.4, 0.6), (-0.1, 0.1), "disagree", "the intervals do not overlap"),
        ((0.1, 0.3), (-0.1, 0.2), "cannot say yet", "the interval online has room for no difference"),
        ((-0.1, 0.3), (-0.1, 0.2), "cannot say yet", "the interval offline and online has room"),
        ((0.1, 0.3), None, "cannot say yet", "there is no interval online yet"),
        (None, (0.1, 0.3), "cannot say yet", "there is no interval offline"),
    ],
)
def test_both_agree_where_their_intervals_lie_on_one_side_and_overlap(
    offline: Ends | None, online: Ends | None, word: str, reason: str
) -> None:
    (effect,) = joined(offline, online).effects
    assert effect.agreement == word
    assert reason in effect.reason


def test_sizes_are_not_compared_where_the_metric_has_another_name_offline() -> None:
    (effect,) = joined((0.4, 0.6), (0.01, 0.1), named="accuracy").effects
    assert (effect.metric, effect.offline_metric, effect.agreement) == ("thumbs", "accuracy", "agree")


def test_less_may_be_better_on_one_side_only() -> None:
    (effect,) = joined((-0.6, -0.4), (0.01, 0.1), named="loss", directions=("lower", "higher")).effects
    assert effect.agreement == "agree"


def test_arms_and_metrics_that_the_experiment_does_not_have_are_named() -> None:
    arms = OfflineArms(experiment="triage-1", baseline="a", effects=(), versions={"a": ()})
    traffic = a_traffic(metrics=(OnlineMetric(name="thumbs", source="thumbs", offline="accuracy"),))
    notes = join_offline(traffic, a_report(), arms).notes
    assert any("triage-1 has no metric accuracy" in note for note in notes)
    assert "b was no arm of triage-1." in notes


def test_an_arm_that_is_another_version_online_is_named() -> None:
    versions = {"zero_shot": ("1" * 64,), "few_shot": ("2" * 64,)}
    arms = OfflineArms(experiment="triage-1", baseline="zero_shot", effects=(), versions=versions)
    report = a_report(
        arms=(
            an_arm("zero_shot", is_baseline=True, versions=("triage@111111111111",)),
            an_arm(versions=("triage@222222222222", "triage@333333333333")),
        )
    )
    traffic = a_traffic({"zero_shot": 0.5, "few_shot": 0.5}, baseline="zero_shot")
    other = [note for note in join_offline(traffic, report, arms).notes if "another version" in note]
    assert other == [
        "few_shot is another version online than offline: triage@333333333333, not 222222222222."
    ]
