"""Records become units: whatever order they arrive in, once each, and the same when all are read again."""

from __future__ import annotations

from dataclasses import replace
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

from headrace.domain.ab_report import AbArm, AbMetric
from headrace.domain.evidence import Evidence
from headrace.domain.traffic import OnlineMetric
from headrace.evaluation.online.seen_units import SeenUnits
from headrace.evaluation.online.unit_flow import MAX_UNREAD

HALVES = {"old": 0.5, "new": 0.5}


def halves(*metrics: OnlineMetric, **settings: object) -> LiveTest:
    return LiveTest(traffic_of(HALVES, metrics or (FAILURES,), **settings))  # type: ignore[arg-type]


def scored(test: LiveTest, arm: str, metric: str = "thumbs", *, at_s: float = 0.0) -> AbMetric:
    found = test.look(at_s).arm(arm).metric(metric)
    assert found is not None
    return found


def counted(test: LiveTest, arm: str, *, at_s: float = 0.0) -> AbArm:
    return test.look(at_s).arm(arm)


def test_an_answer_makes_its_unit_count() -> None:
    test = halves()
    test.take(
        exposed("r1", "new"), completed("r1", fails=True, latency_ms=40.0, cost_usd=0.5, prompt_tokens=7)
    )
    arm = counted(test, "new")
    assert (arm.exposures, arm.units, arm.completions, arm.failures, arm.cost_usd, arm.tokens) == (
        1,
        1,
        1,
        1,
        0.5,
        7,
    )
    assert (scored(test, "new", "failures").n, scored(test, "new", "failures").mean) == (1, 1.0)


def test_a_completion_that_comes_before_its_exposure_counts_once_that_is_there() -> None:
    test = halves()
    test.take(completed("r1", latency_ms=40.0))
    assert test.look().orphans == 1
    test.take(exposed("r1", "new"))
    assert (counted(test, "new").completions, test.look().orphans) == (1, 0)
    assert scored(test, "new", "failures").n == 1


def test_records_that_arrive_again_count_once() -> None:
    test = halves(FAILURES, thumbs())
    records: list[Evidence] = [exposed("r1", "new"), completed("r1"), said("r1", 1.0)]
    test.take(*records, *records)
    assert counted(test, "new").exposures == counted(test, "new").completions == 1
    assert scored(test, "new", at_s=1000.0).n == 1
    test.analysis.take(test.arrivals)
    assert counted(test, "new").exposures == 1


def test_only_the_first_exposure_of_a_unit_is_evidence() -> None:
    test = halves()
    test.take(exposed("r1", "new", unit="ann"), completed("r1"))
    test.take(exposed("r2", "new", unit="ann", at_s=5.0), completed("r2", at_s=6.0, fails=True))
    arm = counted(test, "new")
    assert (arm.exposures, arm.units, arm.failures) == (2, 1, 1)
    assert (scored(test, "new", "failures").n, scored(test, "new", "failures").mean) == (1, 0.0)


def test_within_a_window_all_requests_of_a_unit_count_as_one() -> None:
    metrics = [
        replace(FAILURES, window_s=60.0),
        OnlineMetric(name="latency", source="latency_ms", kind="mean", high=1000.0, window_s=60.0),
        OnlineMetric(name="cost", source="cost_usd", kind="mean", high=10.0, window_s=60.0),
    ]
    test = halves(*metrics)
    for number, (at_s, fails) in enumerate([(0.0, False), (30.0, True), (59.0, False), (61.0, True)]):
        test.take(exposed(f"r{number}", "new", unit="ann", at_s=at_s))
        test.take(
            completed(
                f"r{number}", at_s=at_s + 1.0, fails=fails, latency_ms=100.0 * (number + 1), cost_usd=1.0
            )
        )
    assert scored(test, "new", "failures").n == 0
    at_s = 200.0
    assert scored(test, "new", "failures", at_s=at_s).mean == 1.0
    assert scored(test, "new", "latency", at_s=at_s).mean == pytest.approx(200.0), "of the two that answered"
    assert scored(test, "new", "cost", at_s=at_s).mean == pytest.approx(3.0)


def test_a_unit_that_a_revision_moved_stays_with_its_first_arm() -> None:
    test = LiveTest(
        traffic_of(HALVES, [replace(FAILURES, window_s=60.0)]),
        revision_of(1, HALVES),
        revision_of(2, {"old": 1.0, "new": 0.0}, reason="rolled back"),
    )
    test.take(exposed("r1", "new", unit="ann"), completed("r1"))
    test.take(
        exposed("r2", "old", 1.0, unit="ann", at_s=9.0, revision=2), completed("r2", at_s=9.0, fails=True)
    )
    report = test.look(500.0)
    assert (report.arm("new").units, report.arm("old").units) == (1, 0)
    assert report.arm("old").failures == 1, "what requests did is counted where they were answered"
    assert scored(test, "new", "failures", at_s=500.0).mean == 0.0
    assert scored(test, "old", "failures", at_s=500.0).n == 0


@pytest.mark.parametrize("role", ["forced", "holdout", "outside"])
def test_requests_that_no_bucket_chose_are_counted_and_are_no_evidence(role: str) -> None:
    test = halves()
    test.take(exposed("r1", "new", role=role), completed("r1", fails=True))
    report = test.look()
    assert report.held_out + report.forced + report.outside == 1
    assert (report.arm("new").exposures, report.arm("new").units, report.arm("new").completions) == (0, 0, 0)
    assert report.orphans == 0


def test_mirrors_are_counted_for_the_shadow_alone() -> None:
    test = LiveTest(traffic_of(HALVES, shadows=["next"]), revision_of(1, HALVES))
    test.take(exposed("r1", "new", unit="ann"), exposed("r1 next", "next", 1.0, unit="ann", role="shadow"))
    test.take(completed("r1"), completed("r1 next", fails=True, latency_ms=5.0))
    report = test.look()
    assert (report.arm("next").exposures, report.arm("next").failures, report.arm("next").units) == (1, 1, 0)
    assert report.arm("next").is_shadow
    assert report.arm("new").completions == 1
    assert "next" not in report.sample_ratio.expected


def test_a_client_that_went_is_neither_a_success_nor_a_failure() -> None:
    test = halves(guardrails=[NO_FAILURES])
    test.take(exposed("r1", "new"), completed("r1", fails=True, is_gone=True))
    score = scored(test, "new", "failures")
    assert (score.n, score.n_missing, counted(test, "new").gone, counted(test, "new").failures) == (
        0,
        1,
        1,
        0,
    )
    assert test.look().guardrails[0].n == 0


def test_feedback_counts_by_request_and_by_unit_the_last_one_of_each() -> None:
    test = halves(thumbs())
    for unit in ("ann", "bob", "cid"):
        test.take(exposed(f"{unit} 1", "new", unit=unit))
    test.take(said("ann 1", 1.0, at_s=1.0), said("ann 1", 0.0, at_s=2.0, key="changed"))
    test.take(said("", 1.0, unit="bob", at_s=3.0))
    test.take(said("cid 1", 0.0, at_s=9.0), said("cid 1", 1.0, at_s=8.0, key="older"))
    score = scored(test, "new", at_s=1000.0)
    assert (score.n, score.n_said, score.mean) == (3, 3, pytest.approx(1 / 3))


def test_feedback_that_arrives_before_its_exposure_counts() -> None:
    test = halves(thumbs())
    test.take(said("r1", 1.0, at_s=1.0), said("", 1.0, unit="bob", at_s=1.0))
    test.take(exposed("r1", "new"), exposed("r2", "new", unit="bob"))
    assert scored(test, "new", at_s=1000.0).n == 2


def test_what_is_said_after_the_window_does_not_count() -> None:
    test = halves(thumbs(60.0))
    test.take(exposed("r1", "new"), exposed("r2", "new"))
    test.take(said("r1", 1.0, at_s=59.0), said("r2", 1.0, at_s=61.0))
    score = scored(test, "new", at_s=1000.0)
    assert (score.n, score.n_missing, score.said_rate) == (1, 1, 0.5)


def test_what_is_said_after_a_window_hides_nothing_that_was_said_in_it() -> None:
    longer = OnlineMetric(name="later", source="thumbs", window_s=600.0)
    test = halves(thumbs(60.0), longer)
    test.take(exposed("r1", "new"), exposed("r2", "new", unit="bob"))
    test.take(said("r1", 1.0, at_s=59.0), said("r1", 0.0, at_s=61.0, key="changed"))
    test.take(said("", 1.0, unit="bob", at_s=59.0), said("", 0.0, unit="bob", at_s=61.0, key="of bob"))
    assert (scored(test, "new", at_s=1000.0).n, scored(test, "new", at_s=1000.0).mean) == (2, 1.0)
    assert scored(test, "new", "later", at_s=1000.0).mean == 0.0


def test_what_was_said_of_a_unit_before_the_test_does_not_count() -> None:
    test = halves(thumbs(60.0))
    test.take(said("", 1.0, unit="ann", at_s=-300.0), said("", 1.0, unit="bob", at_s=-5.0))
    test.take(exposed("r1", "new", unit="ann"), exposed("r2", "new", unit="bob"))
    score = scored(test, "new", at_s=1000.0)
    assert (score.n, score.n_missing) == (1, 1)


def test_feedback_of_another_century_moves_no_window() -> None:
    test = halves(thumbs(60.0))
    test.take(said("", 1.0, unit="nobody", at_s=2e9), said("r1", 1.0, at_s=1.0))
    assert test.look().orphans == 2
    test.take(exposed("r1", "new"))
    assert scored(test, "new", at_s=1000.0).n == 1
    test.take(exposed("r2", "new", at_s=4000.0))
    assert test.look().orphans == 0


def test_a_unit_of_which_nothing_is_said_counts_as_the_metric_says() -> None:
    test = halves(thumbs(60.0, missing=0.0))
    test.take(exposed("r1", "new"), exposed("r2", "new"), said("r1", 1.0))
    score = scored(test, "new", at_s=1000.0)
    assert (score.n, score.n_said, score.n_missing, score.mean) == (2, 1, 1, 0.5)


def test_text_alone_and_feedback_about_other_things_count_nothing() -> None:
    test = halves(thumbs(60.0))
    test.take(exposed("r1", "new"), said("r1", None), said("r1", 1.0, metric="other", key="other"))
    assert scored(test, "new", at_s=1000.0).n == 0


def test_feedback_that_no_metric_reads_is_said_with_what_may_be_meant() -> None:
    test = halves(thumbs(60.0), OnlineMetric(name="rating", source="rating", kind="mean", window_s=60.0))
    test.take(exposed("r1", "new"))
    for key in ("a", "b", "c"):
        test.take(said("r1", 1.0, metric="tumbs", key=key))
    test.take(
        said("r1", 1.0), said("r1", 4.0, metric="helpful", key="d"), said("r1", None, metric="text", key="e")
    )
    test.take(replace(said("r1", 1.0, metric="judge.length", key="f"), source="judge"))
    assert test.look().caveats == (
        "3 pieces of feedback are about tumbs, which no metric reads; did you mean thumbs?",
        "1 piece of feedback is about helpful, which no metric reads. Name it in the file, from: of a metric, to have it "
        "read.",
    )
    one = halves(thumbs(60.0))
    one.take(exposed("r1", "new"), said("r1", 1.0, metric="helpful"))
    assert one.look().caveats == (
        "1 piece of feedback is about helpful, which no metric reads; did you mean thumbs?",
    )


def test_only_so_many_names_that_no_metric_reads_are_counted_and_the_most_frequent_are_said() -> None:
    test = halves(thumbs(60.0))
    test.take(*(said("r1", 1.0, metric=f"often{n % 2}", key=f"often {n}") for n in range(10)))
    test.take(*(said("r1", 1.0, metric=f"name{n}", key=f"name {n}") for n in range(MAX_UNREAD)))
    test.take(*(said("r1", 1.0, metric="late", key=f"late {n}") for n in range(20)))
    starts = [caveat.partition(",")[0] for caveat in test.look().caveats]
    assert starts == [
        "5 pieces of feedback are about often0",
        "5 pieces of feedback are about often1",
        "1 piece of feedback is about name0",
    ]


def test_values_beyond_the_limits_are_taken_for_these() -> None:
    test = halves(OnlineMetric(name="latency", source="latency_ms", kind="mean", low=0.0, high=200.0))
    test.take(exposed("r1", "new"), completed("r1", latency_ms=900.0), exposed("r2", "new"))
    test.take(completed("r2", latency_ms=100.0))
    assert scored(test, "new", "latency").mean == pytest.approx(150.0)


def test_units_are_taken_in_the_order_of_their_exposures_however_long_answers_take() -> None:
    test = halves()
    test.take(exposed("slow", "old"), exposed("fast", "new"), completed("fast"))
    assert scored(test, "new", "failures").n == 0
    test.take(completed("slow"))
    assert scored(test, "new", "failures").n == scored(test, "old", "failures").n == 1


def test_an_answer_that_never_comes_is_waited_for_and_then_missing() -> None:
    test = halves()
    test.take(exposed("lost", "old"), exposed("r1", "new"), completed("r1"))
    test.take(exposed("later", "new", at_s=700.0))
    assert scored(test, "old", "failures").n_missing == 1
    assert scored(test, "new", "failures").n == 1


def test_windows_close_by_the_clock_where_traffic_has_ended_and_stay_the_same_after() -> None:
    test = halves(thumbs(60.0))
    test.take(exposed("r1", "new"), said("r1", 1.0))
    assert scored(test, "new", at_s=100.0).n == 0
    assert scored(test, "new", at_s=200.0).n == 1
    assert scored(test, "new", at_s=100.0).n == 0, "a look changes nothing"
    test.take(exposed("r2", "new", at_s=300.0))
    assert scored(test, "new", at_s=100.0).n == 1


def test_reading_everything_again_gives_the_same_evidence() -> None:
    random = Random(11)
    metrics = (FAILURES, thumbs(60.0), replace(FAILURES, name="any", window_s=30.0))
    test = halves(*metrics, guardrails=[NO_FAILURES])
    records: list[tuple[float, Evidence]] = []
    for number in range(800):
        at_s, arm, name = number * 0.5, random.choice(("old", "new")), f"r{number}"
        records.append((at_s + random.random() * 20.0, exposed(name, arm, at_s=at_s, unit=f"u{number // 2}")))
        records.append(
            (at_s + random.random() * 40.0, completed(name, at_s=at_s, fails=random.random() < 0.2))
        )
        if random.random() < 0.5:
            records.append(
                (at_s + random.random() * 90.0, said(name, float(random.random() < 0.6), at_s=at_s))
            )
    for place, (_, record) in enumerate(sorted(records, key=lambda pair: pair[0])):
        test.take(record)
        if place % 50 == 0:
            test.look(place / 4.0)
    again = test.fresh()
    again.take(test.arrivals)
    now_ns = START + 10_000 * 1_000_000_000
    assert again.look(now_ns) == test.analysis.look(now_ns)
    assert again.look(now_ns).arm("new").units > 150


def test_an_arm_that_the_file_does_not_name_any_more_is_left_out_and_said() -> None:
    test = halves()
    test.take(exposed("r1", "gone", 0.5), completed("r1"))
    assert any("gone" in caveat for caveat in test.look().caveats)


def test_records_without_an_exposure_are_dropped_after_a_while() -> None:
    test = halves(thumbs())
    test.take(said("never", 1.0), completed("never"))
    assert test.look().orphans == 2
    test.take(exposed("r1", "new", at_s=4000.0))
    assert test.look().orphans == 0


def test_seen_units_are_told_from_new_ones_as_the_table_grows() -> None:
    seen = SeenUnits()
    assert all(seen.add(f"unit {number}") for number in range(5000))
    assert not any(seen.add(f"unit {number}") for number in range(5000))
    assert len(seen) == 5000
