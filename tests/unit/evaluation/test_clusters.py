"""Lines that come in clusters: what they change, and where there are too few of them."""

from __future__ import annotations

from math import sqrt
from random import Random

import pytest
from tests.unit.evaluation.builders import an_arm, in_clusters, yes_no

from headrace.domain.comparison import MetricComparison
from headrace.domain.scores import ArmLines, LineFacts, MetricSpec
from headrace.evaluation.comparison import compare

ACCURACY = MetricSpec(name="accuracy")


def primary(
    arms: list[ArmLines], facts: dict[str, LineFacts], spec: MetricSpec = ACCURACY
) -> MetricComparison:
    found = compare(arms, baseline="base", metrics=[spec], facts=facts).primary
    assert found is not None
    return found


def clustered_arms(
    n_clusters: int, size: int, *, seed: int = 0
) -> tuple[list[ArmLines], dict[str, LineFacts]]:
    """Graded scores that share most of their noise within a cluster."""
    random = Random(seed)
    base, new, clusters = [], [], []
    for cluster in range(n_clusters):
        shift = random.uniform(-0.2, 0.2)
        for _ in range(size):
            base.append(0.5 + random.uniform(-0.05, 0.05))
            new.append(0.5 + shift + random.uniform(-0.05, 0.05))
            clusters.append(f"c{cluster}")
    return [an_arm("base", base), an_arm("new", new)], in_clusters(clusters)


def test_the_standard_error_is_that_of_the_clusters() -> None:
    arms, facts = clustered_arms(12, 10)
    effect = primary(arms, facts).effects[0]
    differences = [
        arms[1].lines[line][0].scores["accuracy"] - arms[0].lines[line][0].scores["accuracy"]  # type: ignore[operator]
        for line in arms[0].lines
    ]
    centre = sum(differences) / 120
    totals = [sum(d - centre for d in differences[start : start + 10]) for start in range(0, 120, 10)]
    error = sqrt(12 / 11 * sum(total**2 for total in totals)) / 120
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert effect.difference.interval.method == "CR2 t"
    t_11 = 2.2009851600916384  # 97.5 % quantile of t with 11 degrees of freedom
    assert effect.difference.interval.high == pytest.approx(centre + t_11 * error)
    assert effect.method_p == "CR2 t"


def test_clusters_widen_what_they_should_and_are_described() -> None:
    arms, facts = clustered_arms(12, 10)
    alone, together = primary(arms, {}), primary(arms, facts)
    plain, clustered = alone.effects[0].difference, together.effects[0].difference
    assert plain is not None
    assert plain.interval is not None
    assert clustered is not None
    assert clustered.interval is not None
    assert clustered.value == plain.value
    assert clustered.interval.high - clustered.interval.low > 2 * (plain.interval.high - plain.interval.low)
    assert (alone.n_clusters, together.n_clusters) == (None, 12)
    assert together.intraclass_correlation is not None
    assert together.intraclass_correlation > 0.5
    assert together.design_effect is not None
    assert together.design_effect > 4
    assert together.effects[0].verdict.word == "inconclusive"
    mean = together.scores[0].mean
    assert mean is not None
    assert mean.interval is not None
    assert mean.interval.method == "clustered Wilson"


def test_more_lines_are_asked_for_where_lines_come_in_clusters() -> None:
    arms, facts = clustered_arms(12, 10)
    alone, together = primary(arms, {}).effects[0], primary(arms, facts).effects[0]
    assert alone.n_for_observed is not None
    assert together.n_for_observed is not None
    assert together.n_for_observed > 3 * alone.n_for_observed
    assert alone.detectable is not None
    assert together.detectable is not None
    assert together.detectable > alone.detectable


@pytest.mark.parametrize("n_clusters", [1, 2, 4])
@pytest.mark.parametrize("scores", [yes_no(2, 38), [0.3, 0.6] * 20, [3.0, 7.0] * 20])
def test_fewer_than_five_clusters_decide_nothing(n_clusters: int, scores: list[float]) -> None:
    arms = [an_arm("base", scores), an_arm("new", [1.0] * 40)]
    facts = in_clusters([f"c{i % n_clusters}" for i in range(40)])
    metric = primary(arms, facts, MetricSpec(name="accuracy", margin=0.1))
    effect = metric.effects[0]
    assert effect.difference is not None
    assert effect.difference.interval is None
    assert effect.p_raw is None
    assert not effect.verdict.is_judged
    noun = "cluster" if n_clusters == 1 else "clusters"
    assert effect.verdict.reason == (
        f"Cannot be decided, because the paired lines come from {n_clusters} {noun} and 5 are needed."
    )
    assert not any(test.holds for test in effect.margin_tests)
    assert [score.in_best_set for score in metric.scores] == [None, None]
    assert all(score.mean is not None and score.mean.interval is None for score in metric.scores)


def test_lines_without_a_cluster_stand_for_themselves_and_are_counted() -> None:
    arms = [an_arm("base", yes_no(10, 10)), an_arm("new", yes_no(12, 8))]
    found = compare(
        arms, baseline="base", metrics=[ACCURACY], facts=in_clusters(["a"] * 6 + ["b"] * 6 + [None] * 8)
    )
    assert found.metrics[0].n_clusters == 10
    assert "8 lines name no cluster: each counts as a cluster of its own." in found.warnings


def test_clusters_of_one_line_each_are_no_clusters() -> None:
    arms = [an_arm("base", yes_no(10, 10)), an_arm("new", yes_no(15, 5))]
    facts = in_clusters([f"c{i}" for i in range(20)])
    lone = compare(arms, baseline="base", metrics=[ACCURACY], facts=facts)
    assert lone.metrics == compare(arms, baseline="base", metrics=[ACCURACY]).metrics
    assert lone.warnings[0].startswith("Every line is a cluster of its own")


def test_binary_scores_in_clusters_never_have_an_interval_of_no_width() -> None:
    arms = [an_arm("base", [1.0] * 40), an_arm("new", [1.0] * 40)]
    effect = primary(arms, in_clusters([f"c{i // 5}" for i in range(40)])).effects[0]
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert effect.difference.interval.method == "clustered Tango"
    assert effect.difference.interval.low < 0.0 < effect.difference.interval.high
