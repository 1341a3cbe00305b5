"""What a look decides: verdicts, splits, guardrails, planned looks, and which arm to ship."""

from __future__ import annotations

from dataclasses import replace
from math import log
from random import Random

import pytest
from tests.support.live_traffic import (
    FAILURES,
    NO_FAILURES,
    START,
    LiveTest,
    completed,
    exposed,
    revision_of,
    said,
    thumbs,
    traffic_of,
)

from headrace.domain.ab_report import AbComparison
from headrace.domain.traffic import AllocationRule, DecisionRule, OnlineGuardrail, OnlineMetric
from headrace.evaluation.online.allocation import thompson_weights

HALVES = {"old": 0.5, "new": 0.5}
THIRDS = {"old": 0.34, "new": 0.33, "other": 0.33}
LATENCY = OnlineMetric(
    name="latency", source="latency_ms", kind="mean", direction="lower", high=1000.0, margin=50.0
)


def play(
    test: LiveTest,
    n: int,
    rates: dict[str, float],
    *,
    seed: int = 1,
    latency_ms: dict[str, float] | None = None,
    cost_usd: dict[str, float] | None = None,
    revision: int = 1,
    start: int = 0,
) -> None:
    """Requests that fail with the rate of their arm."""
    random = Random(seed)
    shares = next(one for one in test.revisions if one.number == revision)
    arms = [arm for arm in shares.ranges if shares.share(arm)]
    weights = [shares.propensity(arm) for arm in arms]
    for number in range(start, start + n):
        arm = random.choices(arms, weights)[0]
        at_s = number * 0.1
        test.take(
            exposed(f"r{number}", arm, shares.propensity(arm), at_s=at_s, revision=revision),
            completed(
                f"r{number}",
                at_s=at_s,
                fails=random.random() < rates[arm],
                latency_ms=(latency_ms or {}).get(arm, 100.0) * random.uniform(0.5, 1.5),
                cost_usd=(cost_usd or {}).get(arm),
            ),
        )


def compared(test: LiveTest, arm: str = "new", metric: str = "failures") -> AbComparison:
    found = test.look().comparison(arm, metric)
    assert found is not None
    return found


def test_nothing_is_decided_before_both_arms_have_enough_units() -> None:
    test = LiveTest(traffic_of(HALVES))
    test.take(exposed("r1", "new"), completed("r1"))
    found = compared(test)
    assert found.verdict.reason == "Cannot be decided, because only 1 unit of new counts and 50 are needed."
    assert not found.verdict.is_judged
    assert (found.word, test.look().decision.arm) == ("inconclusive", None)


def test_nothing_is_decided_about_a_rate_before_both_outcomes_were_seen_often_enough() -> None:
    test = LiveTest(traffic_of(HALVES))
    play(test, 400, {"old": 0.0, "new": 0.0})
    assert (
        "only 0 units of new differ from the others on failures and 10 are needed"
        in compared(test).verdict.reason
    )


def test_an_arm_that_fails_less_is_better_and_shipped() -> None:
    test = LiveTest(traffic_of(HALVES))
    play(test, 1500, {"old": 0.4, "new": 0.2})
    found = compared(test)
    assert found.word == "better"
    assert found.log_e >= found.threshold == pytest.approx(log(20.0))
    assert found.log_e_better > 0.0 > found.log_e_worse
    assert found.effect == pytest.approx(-0.2, abs=0.06)
    assert found.verdict.reason.startswith("0.188 lower on 1,500 units (95% interval")
    decision = test.look().decision
    assert decision.arm == "new"
    assert decision.reason.startswith("Ship new. new beats old on failures: 0.188 lower")
    assert test.analysis.decided() == ("new",)


def test_where_every_other_arm_is_worse_the_baseline_is_kept() -> None:
    test = LiveTest(traffic_of(HALVES))
    play(test, 1500, {"old": 0.2, "new": 0.4})
    assert compared(test).word == "worse"
    assert test.look().decision.arm == "old"
    assert test.look().decision.reason == "Keep old: no arm is better on failures; worse: new."


def test_equal_arms_stay_undecided() -> None:
    test = LiveTest(traffic_of(HALVES))
    play(test, 1500, {"old": 0.3, "new": 0.3})
    found = compared(test)
    assert found.word == "inconclusive"
    assert found.verdict.is_judged
    assert test.look().decision.arm is None
    assert "Too little evidence to move from old. Closest is new" in test.look().decision.reason


def test_alpha_is_divided_among_the_arms() -> None:
    test = LiveTest(traffic_of(THIRDS))
    play(test, 300, {"old": 0.3, "new": 0.3, "other": 0.1})
    found = compared(test)
    assert found.threshold == pytest.approx(log(40.0))
    assert found.interval is not None
    assert found.interval.level == pytest.approx(0.975)


def test_the_best_of_several_better_arms_is_shipped() -> None:
    test = LiveTest(traffic_of(THIRDS))
    play(test, 4000, {"old": 0.6, "new": 0.4, "other": 0.1})
    assert {compared(test, arm).word for arm in ("new", "other")} == {"better"}
    assert test.look().decision.arm == "other"


def test_arms_within_the_margin_are_equivalent() -> None:
    test = LiveTest(traffic_of(HALVES, [replace(FAILURES, margin=0.1)]))
    play(test, 4000, {"old": 0.3, "new": 0.3})
    found = compared(test)
    assert found.word == "equivalent"
    assert found.margin is not None
    assert found.margin.is_no_worse
    assert found.margin.is_equivalent
    assert test.look().decision.arm == "old"


def test_an_arm_that_is_no_worse_and_cheaper_is_shipped() -> None:
    test = LiveTest(traffic_of(HALVES, [replace(FAILURES, margin=0.1)]))
    play(test, 4000, {"old": 0.3, "new": 0.3}, cost_usd={"old": 0.02, "new": 0.01})
    decision = test.look().decision
    assert decision.arm == "new"
    assert (
        "no worse than old on failures by 0.100 and costs $0.0100 a request instead of $0.0200"
        in decision.reason
    )


def test_effects_are_in_units_of_the_metric_and_lower_may_be_better() -> None:
    test = LiveTest(traffic_of(HALVES, [LATENCY]))
    play(test, 2000, {"old": 0.0, "new": 0.0}, latency_ms={"old": 500.0, "new": 300.0})
    found = compared(test, metric="latency")
    assert found.effect == pytest.approx(-200.0, abs=25.0)
    assert found.interval is not None
    assert found.interval.low < -200.0 < found.interval.high < 0.0
    assert found.word == "better"


def test_a_split_that_is_not_as_the_weights_say_decides_nothing() -> None:
    test = LiveTest(traffic_of(HALVES))
    for number in range(3000):
        arm = "new" if number % 50 < 20 else "old"
        test.take(exposed(f"r{number}", arm), completed(f"r{number}", fails=arm == "old" and number % 3 == 0))
    report = test.look()
    assert report.sample_ratio.is_mismatch
    assert report.sample_ratio.observed == {"old": 1800, "new": 1200}
    assert report.decision.arm is None
    assert report.decision.reason.startswith("Nothing can be decided: units were not split")
    assert not compared(test).verdict.is_judged
    assert test.analysis.decided() == ()


def test_weights_that_a_revision_changed_are_no_mismatch_and_bias_nothing() -> None:
    late = {"old": 0.2, "new": 0.8}
    test = LiveTest(traffic_of(HALVES), revision_of(1, HALVES), revision_of(2, late, reason="allocated"))
    play(test, 3000, {"old": 0.1, "new": 0.1})
    play(test, 3000, {"old": 0.5, "new": 0.5}, revision=2, start=3000)
    report, found = test.look(), compared(test)
    assert not report.sample_ratio.is_mismatch
    assert report.sample_ratio.expected["new"] == pytest.approx(3900.0)
    means = [report.arm(arm).metric("failures") for arm in ("new", "old")]
    assert means[0] is not None
    assert means[1] is not None
    assert (means[0].mean or 0.0) - (means[1].mean or 0.0) > 0.08
    assert found.effect == pytest.approx(0.0, abs=0.04)
    assert found.word == "inconclusive"


def test_a_revision_that_is_not_known_is_told_by_what_was_logged() -> None:
    test = LiveTest(traffic_of(HALVES))
    for number in range(2000):
        is_new = number % 10 == 0
        test.take(exposed(f"r{number}", "new" if is_new else "old", 0.1 if is_new else 0.9, revision=7))
    ratio = test.look().sample_ratio
    assert ratio.expected["new"] == pytest.approx(200.0)
    assert not ratio.is_mismatch


def test_an_arm_that_fails_too_often_is_due_for_a_rollback_at_once() -> None:
    canary = {"old": 0.9, "new": 0.1}
    test = LiveTest(traffic_of(canary, guardrails=[NO_FAILURES]))
    play(test, 400, {"old": 0.0, "new": 0.0})
    assert test.look().rollbacks == ()
    play(test, 400, {"old": 0.01, "new": 0.5}, start=400)
    report = test.look()
    (rollback,) = report.rollbacks
    assert (rollback.arm, rollback.by) == ("new", "guardrail failures")
    assert rollback.evidence.is_breached
    assert rollback.evidence.what.startswith("new has failures more often than old: ")
    assert test.analysis.breached() == ("new",)
    assert report.arm("new").units < 100, "far below what a verdict needs"


def test_a_breach_stays_a_breach_and_an_arm_without_traffic_is_not_rolled_back_again() -> None:
    over = revision_of(2, {"old": 1.0, "new": 0.0}, reason="rolled back")
    test = LiveTest(traffic_of(HALVES, guardrails=[NO_FAILURES]))
    play(test, 200, {"old": 0.0, "new": 0.3})
    test.take(*[exposed(f"bad {number}", "old") for number in range(60)])
    test.take(*[completed(f"bad {number}", fails=True) for number in range(60)])
    (guardrail,) = test.look().guardrails
    assert guardrail.log_e < guardrail.threshold <= guardrail.highest
    assert [rollback.arm for rollback in test.look().rollbacks] == ["new"]
    test.analysis.take_revision(over)
    assert test.look().rollbacks == ()
    assert test.look().arm("new").share == 0.0


def test_an_arm_that_goes_bad_when_all_units_are_long_known_is_due_for_a_rollback() -> None:
    test = LiveTest(traffic_of(HALVES, guardrails=[NO_FAILURES]), revision_of(1, HALVES))
    for number in range(200):
        arm = ("old", "new")[number % 2]
        test.take(exposed(f"r{number}", arm, unit=f"u{number}"), completed(f"r{number}"))
    for number in range(40):
        arm, again = ("old", "new")[number % 2], f"again {number}"
        for name in (again, f"once more {number}"):
            test.take(exposed(name, arm, unit=f"u{number}", at_s=90_000.0))
            test.take(completed(name, fails=arm == "new", at_s=90_001.0))
    (guardrail,) = test.look(90_002.0).guardrails
    assert (guardrail.n, guardrail.n_baseline, guardrail.is_breached) == (20, 0, True)


def test_a_test_that_was_resumed_begins_its_guardrails_anew() -> None:
    test = LiveTest(
        traffic_of(HALVES, guardrails=[NO_FAILURES]),
        revision_of(1, HALVES),
        revision_of(2, {"old": 1.0, "new": 0.0}, reason="rolled back"),
    )
    play(test, 300, {"old": 0.0, "new": 0.3})
    assert test.analysis.breached() == ("new",)
    test.analysis.take_revision(revision_of(3, HALVES, reason="resumed"))
    assert test.analysis.breached() == ()
    assert (test.look().guardrails[0].n, test.look().rollbacks) == (0, ())
    test.take(exposed("late", "new"), completed("late", fails=True))
    assert test.look().guardrails[0].n == 0, "chosen before the test was resumed"
    test.take(exposed("new one", "new", revision=3), completed("new one", fails=True))
    assert test.look().guardrails[0].n == 1


def test_units_that_failed_may_fail_again_after_the_test_was_resumed() -> None:
    test = LiveTest(traffic_of(HALVES, guardrails=[NO_FAILURES]), revision_of(1, HALVES))
    for revision in (1, 2, 3):
        for number in range(40):
            arm, name = ("old", "new")[number % 2], f"{revision} {number}"
            test.take(exposed(name, arm, unit=f"u{number}", at_s=revision, revision=revision))
            test.take(completed(name, fails=arm == "new", at_s=revision))
        assert test.analysis.breached() == ("new",), revision
        test.analysis.take_revision(revision_of(revision + 1, HALVES, reason="resumed"))
        assert test.analysis.breached() == ()


def test_failures_within_the_accepted_ratio_roll_nothing_back() -> None:
    test = LiveTest(traffic_of(HALVES, guardrails=[OnlineGuardrail(metric="failures", max_ratio=3.0)]))
    play(test, 3000, {"old": 0.05, "new": 0.1})
    (guardrail,) = test.look().guardrails
    assert not guardrail.is_breached
    assert "3 times" in guardrail.what


def test_a_mean_that_is_worse_by_more_than_the_margin_is_rolled_back() -> None:
    guardrail = OnlineGuardrail(metric="latency", margin=50.0)
    slow, steady = (LiveTest(traffic_of(HALVES, [FAILURES, LATENCY], [guardrail])) for _ in range(2))
    play(slow, 1000, {"old": 0.0, "new": 0.0}, latency_ms={"old": 300.0, "new": 450.0})
    play(steady, 1000, {"old": 0.0, "new": 0.0}, latency_ms={"old": 300.0, "new": 340.0})
    assert [rollback.by for rollback in slow.look().rollbacks] == ["guardrail latency"]
    assert "worse than old on latency by more than 50.0" in slow.look().guardrails[0].what
    assert steady.look().rollbacks == ()


def test_a_margin_beyond_the_range_rolls_nothing_back() -> None:
    guardrail = OnlineGuardrail(metric="latency", margin=100_000.0)
    test = LiveTest(traffic_of(HALVES, [FAILURES, LATENCY], [guardrail]))
    play(test, 300, {"old": 0.0, "new": 0.0})
    assert test.look().rollbacks == ()


def test_a_rate_of_what_people_say_can_be_guarded_as_rare_events() -> None:
    flagged = OnlineMetric(name="flagged", source="flag", direction="lower", window_s=30.0, missing=0.0)
    test = LiveTest(traffic_of(HALVES, [flagged], [OnlineGuardrail(metric="flagged")]))
    for number in range(400):
        arm = "new" if number % 2 else "old"
        test.take(exposed(f"r{number}", arm, at_s=float(number)))
        if arm == "new" and number % 20 == 1:
            test.take(said(f"r{number}", 1.0, at_s=float(number), metric="flag"))
    assert [rollback.arm for rollback in test.look(1000.0).rollbacks] == ["new"]


def test_an_arm_that_breaches_a_guardrail_is_not_shipped() -> None:
    test = LiveTest(traffic_of(HALVES, [LATENCY, FAILURES], [NO_FAILURES]))
    play(test, 2000, {"old": 0.0, "new": 0.2}, latency_ms={"old": 600.0, "new": 300.0})
    assert compared(test, metric="latency").word == "better"
    decision = test.look().decision
    assert decision.arm == "old"
    assert "rolled back or due for it: new" in decision.reason


def test_a_fixed_horizon_is_decided_at_its_looks_alone() -> None:
    rule = DecisionRule(horizon="fixed", n_units=1000, looks=5)
    test = LiveTest(traffic_of(HALVES, decision=rule))
    play(test, 199, {"old": 0.7, "new": 0.2})
    found = compared(test)
    assert found.log_e > found.threshold
    assert found.verdict.reason == "Cannot be decided, because 0 of 5 planned looks are done."
    play(test, 1, {"old": 0.7, "new": 0.2}, start=199)
    horizon = test.look().horizon
    assert horizon is not None
    assert (horizon.n, horizon.looks_done, horizon.is_over) == (200, 1, False)
    assert horizon.boundaries[-1] == pytest.approx(2.040, abs=1e-3)
    assert compared(test).word == "better"
    assert "at look 1 of 5" in compared(test).verdict.reason
    assert test.analysis.decided() == ("new",)


def test_a_fixed_horizon_that_is_over_keeps_the_baseline() -> None:
    rule = DecisionRule(horizon="fixed", n_units=600, looks=3)
    test = LiveTest(traffic_of(HALVES, decision=rule))
    play(test, 700, {"old": 0.3, "new": 0.3})
    horizon = test.look().horizon
    assert horizon is not None
    assert horizon.is_over
    assert compared(test).verdict.reason == "The planned looks are over and none of them showed a difference."
    assert test.look().decision.arm == "old"


def test_arms_whose_units_answer_at_different_rates_are_named() -> None:
    test = LiveTest(traffic_of(HALVES, [thumbs(30.0)]))
    for number in range(1000):
        arm = "new" if number % 2 else "old"
        test.take(exposed(f"r{number}", arm, at_s=float(number)))
        if number % (8 if arm == "new" else 3) < 2:
            test.take(said(f"r{number}", 1.0, at_s=float(number)))
    (caveat,) = test.look(5000.0).caveats
    assert caveat.startswith("thumbs is said of 25.0% of the units of new and of 66.6% of those of old")


def test_an_arm_whose_requests_never_end_is_named() -> None:
    test = LiveTest(traffic_of(HALVES))
    for number in range(200):
        arm = "new" if number % 2 else "old"
        test.take(exposed(f"r{number}", arm, at_s=float(number)))
        if arm == "old" or number % 10 == 1:
            test.take(completed(f"r{number}", at_s=float(number)))
    (caveat,) = test.look(2000.0).caveats
    assert caveat.startswith("Of 80 units of new and 0 of old it is not known how they ended")


def test_several_versions_of_an_arm_are_named() -> None:
    test = LiveTest(traffic_of(HALVES))
    test.take(exposed("r1", "new", version="v1"), exposed("r2", "new", version="v2"))
    assert test.look().arm("new").versions == ("v1", "v2")
    assert any("2 versions" in caveat for caveat in test.look().caveats)


def test_a_range_that_most_values_are_beyond_is_named() -> None:
    narrow = replace(LATENCY, high=1.0, margin=0.5)
    test = LiveTest(traffic_of(HALVES, [narrow]))
    play(test, 20, {"old": 0.0, "new": 0.0})
    (caveat,) = test.look(10.0).caveats
    assert caveat.startswith("latency of 100% of the units lies beyond its range of 0 to 1")


def test_evidence_from_the_future_is_named() -> None:
    test = LiveTest(traffic_of(HALVES))
    test.take(exposed("r1", "new", at_s=7200.0))
    assert test.look(7200.0 - 50).caveats == ()
    (caveat,) = test.look(0.0).caveats
    assert caveat.startswith("There is evidence from 120 minutes in the future")


def test_a_change_of_shares_and_of_how_many_take_part_at_once_is_named() -> None:
    test = LiveTest(
        traffic_of(HALVES),
        revision_of(1, HALVES, coverage=0.2),
        revision_of(2, HALVES, coverage=0.5, reason="ramped"),
        revision_of(3, {"old": 0.2, "new": 0.8}, coverage=1.0, reason="changed"),
    )
    caveats = test.look().caveats
    assert len(caveats) == 1
    assert "Revision 3" in caveats[0]


def test_a_test_without_metrics_or_other_arms_says_so() -> None:
    assert "no metric" in LiveTest(traffic_of(HALVES, [])).look().decision.reason
    assert "no arm beside" in LiveTest(traffic_of({"old": 1.0})).look().decision.reason


def test_the_bandit_favours_the_better_arm_and_leaves_rolled_back_ones_out() -> None:
    shares = {"old": 0.5, "new": 0.5, "bad": 0.0}
    traffic = traffic_of(shares, allocation=AllocationRule(method="thompson", floor=0.1))
    test = LiveTest(traffic, revision_of(1, shares))
    play(test, 1500, {"old": 0.4, "new": 0.2})
    weights = thompson_weights(traffic, test.look())
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["bad"] == 0.0
    assert weights["old"] == pytest.approx(0.1, abs=0.01)
    assert thompson_weights(traffic, test.look()) == weights


def test_a_bandit_without_a_floor_leaves_every_arm_somebody() -> None:
    traffic = replace(traffic_of(HALVES), allocation=AllocationRule(method="thompson", floor=0.0))
    test = LiveTest(traffic, revision_of(1, HALVES))
    play(test, 600, {"old": 0.9, "new": 0.1})
    assert thompson_weights(traffic, test.look())["old"] == pytest.approx(1 / 10_000)


def test_the_bandit_begins_without_any_preference() -> None:
    traffic = traffic_of(HALVES, [LATENCY])
    assert thompson_weights(traffic, LiveTest(traffic).look()) == HALVES


def test_a_look_says_where_it_stands() -> None:
    test = LiveTest(traffic_of(HALVES))
    play(test, 10, {"old": 0.3, "new": 0.3})
    report = test.look()
    assert (report.at_ns, report.place, report.revision, report.test) == (START, 20, 1, "checkout")
    assert report.arm("new").share == 0.5
