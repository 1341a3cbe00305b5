from __future__ import annotations

from math import inf, nan

import pytest
from tests.unit.evaluation.builders import an_arm, an_observation

from headrace.domain.scores import ArmLines, MetricKind, MetricSpec
from headrace.evaluation.line_scores import line_scores, read_scores, score_table, usable_score


@pytest.mark.parametrize(
    ("declared", "scores", "settled"),
    [
        ("auto", [1.0, 0.0, 1.0], "binary"),
        ("auto", [1.0, 0.5], "graded"),
        ("auto", [1.0, 3.0], "unbounded"),
        ("auto", [-0.1, 1.0], "unbounded"),
        ("auto", [[1.0, 1.0], [0.0, 0.0]], "binary"),
        ("auto", [[1.0, 0.0], [0.0, 0.0]], "graded"),  # repeats disagree: a line is worth one half
        ("binary", [[1.0, 0.0], [0.0, 0.0]], "graded"),
        ("graded", [1.0, 0.0], "graded"),
        ("unbounded", [1.0, 0.0], "unbounded"),
    ],
)
def test_the_kind_follows_from_the_scores(declared: MetricKind, scores: list, settled: str) -> None:
    metric = score_table(MetricSpec(name="accuracy", kind=declared), [an_arm("a", scores)]).metric
    assert metric.spec.kind == settled
    assert metric.warnings == ()


@pytest.mark.parametrize(
    ("declared", "scores", "settled"),
    [("binary", [0.5, 1.0], "graded"), ("binary", [2.0], "unbounded"), ("graded", [4.0, 1.0], "unbounded")],
)
def test_scores_that_contradict_the_declared_kind_are_said(declared, scores, settled) -> None:
    metric = score_table(MetricSpec(name="accuracy", kind=declared), [an_arm("a", scores)]).metric
    assert metric.spec.kind == settled
    assert len(metric.warnings) == 1
    assert declared in metric.warnings[0]
    assert settled in metric.warnings[0]


def test_the_kind_is_settled_over_all_arms() -> None:
    arms = [an_arm("a", [1.0, 0.0]), an_arm("b", [1.0, 0.25])]
    assert score_table(MetricSpec(name="accuracy"), arms).metric.spec.kind == "graded"


@pytest.mark.parametrize(("direction", "worst"), [("higher", 0.0), ("lower", 1.0)])
def test_a_failed_line_counts_as_the_worst_bounded_value(direction, worst: float) -> None:
    arm = an_arm("a", [1.0, 1.0, 0.0], failed=[0])
    metric = score_table(MetricSpec(name="accuracy", direction=direction), [arm]).metric
    scores = line_scores(read_scores(arm, "accuracy"), metric.failed_count_as)
    assert scores.values["line-0"] == worst
    assert scores.n_failed_counted == 1


def test_a_failed_line_has_no_worst_value_without_bounds() -> None:
    arm = an_arm("a", [7.0, 3.0], failed=[1])
    metric = score_table(MetricSpec(name="accuracy"), [arm]).metric
    assert metric.failed_count_as is None
    scores = line_scores(read_scores(arm, "accuracy"), None)
    assert scores.values == {"line-0": 7.0}
    assert scores.missing == ("line-1",)


def test_the_score_of_a_failed_line_does_not_decide_the_kind() -> None:
    arm = an_arm("a", [1.0, 99.0], failed=[1])
    assert score_table(MetricSpec(name="accuracy"), [arm]).metric.spec.kind == "binary"


@pytest.mark.parametrize("score", [None, nan, inf, -inf])
def test_unusable_scores_are_missing_and_never_zero(score: float | None) -> None:
    assert usable_score(score) is None
    scores = line_scores(read_scores(an_arm("a", [score, 1.0]), "accuracy"), 0.0)
    assert scores.values == {"line-1": 1.0}
    assert scores.missing == ("line-0",)


def test_repeats_are_averaged_over_what_is_usable() -> None:
    scores = line_scores(read_scores(an_arm("a", [[1.0, None, 0.0, 0.5], [None, None]]), "accuracy"), 0.0)
    assert scores.values == {"line-0": 0.5}
    assert scores.missing == ("line-1",)
    assert scores.n_partial == 1


def test_a_line_without_observations_is_not_a_line() -> None:
    arm = ArmLines(arm="a", lines={"x": (), "y": (an_observation(1.0),)})
    scores = line_scores(read_scores(arm, "accuracy"), 0.0)
    assert scores.values == {"y": 1.0}
    assert scores.missing == ()


def test_nothing_scored_settles_without_a_worst_value() -> None:
    metric = score_table(MetricSpec(name="unheard-of"), [an_arm("a", [1.0, 0.0], failed=[0])]).metric
    assert not metric.has_scores
    assert metric.failed_count_as is None
    assert metric.spec.kind != "auto"


def test_the_range_of_an_unbounded_metric_is_the_range_seen() -> None:
    arms = [an_arm("a", [1.0, 4.0]), an_arm("b", [2.0, 5.0])]
    assert score_table(MetricSpec(name="accuracy"), arms).metric.value_range == 4.0
