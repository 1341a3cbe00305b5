from __future__ import annotations

from math import sqrt
from random import Random

import pytest

from headrace.domain.scores import ArmLines, LineFacts, LineObservation, MetricSpec
from headrace.evaluation.choice import Choice, choose_best

METRIC = MetricSpec(name="score")


def _arm(name: str, scores: list[float | None]) -> ArmLines:
    lines = {f"l{i}": (LineObservation(scores={"score": score}),) for i, score in enumerate(scores)}
    return ArmLines(arm=name, lines=lines)


def _choose(arms: list[ArmLines], metric: MetricSpec = METRIC, **more: object) -> Choice | None:
    names = [arm.arm for arm in arms if arm.arm != "base"]
    return choose_best(arms, baseline="base", candidates=names, metric=metric, **more)  # type: ignore[arg-type]


def test_the_best_is_the_one_with_the_largest_gain_and_the_first_of_equal_ones() -> None:
    base, good = _arm("base", [0, 0, 0, 1] * 5), [1, 0, 0, 1] * 5
    found = _choose([base, _arm("a", [0, 0, 0, 0] * 5), _arm("b", good), _arm("c", good)])
    assert found is not None
    assert (found.best, found.gain, found.n_lines, found.baseline_mean) == ("b", 0.25, 20, 0.25)
    assert found.gains == {"a": -0.25, "b": 0.25, "c": 0.25}
    assert found.shrunken is not None
    assert found.shrunken.value < 0.25


def test_less_can_be_better() -> None:
    metric = MetricSpec(name="score", direction="lower")
    found = _choose([_arm("base", [3.0] * 6), _arm("a", [1.0, 2.0] * 3), _arm("b", [4.0, 5.0] * 3)], metric)
    assert found is not None
    assert (found.best, found.gain) == ("a", -1.5)
    assert found.shrunken is not None
    assert found.shrunken.interval is not None
    assert found.shrunken.interval.low <= found.shrunken.value <= found.shrunken.interval.high


def test_only_lines_that_all_arms_have_count() -> None:
    found = _choose([_arm("base", [0, 0, None]), _arm("a", [1, None, 1]), _arm("b", [0, 1, 1])])
    assert found is not None
    assert (found.best, found.n_lines, found.shrunken) == ("a", 1, None)
    assert _choose([_arm("base", [None]), _arm("a", [1.0])]) is None


def test_lines_of_one_cluster_count_together() -> None:
    random = Random(3)
    rows = [[float(random.random() < 0.5) for _ in range(40)] for _ in range(3)]
    arms = [_arm(name, list(row)) for name, row in zip(("base", "a", "b"), rows, strict=True)]
    facts = {f"l{i}": LineFacts(cluster=str(i // 20)) for i in range(40)}
    alone, grouped = _choose(arms), _choose(arms, facts=facts)
    assert alone is not None
    assert grouped is not None
    assert (alone.shrunken is None, grouped.shrunken is None) == (False, True)  # two clusters say nothing


def test_the_winners_curse_is_seen_and_corrected() -> None:
    """Nine equal candidates on 50 lines: the observed gain of the best is far too good, the shrunken one hardly."""
    random, runs = Random(7), 300
    naive, shrunken, fresh = [], [], []
    for _ in range(runs):
        rates = [random.betavariate(4, 2) for _ in range(100)]
        rows = [[float(random.random() < rate) for rate in rates] for _ in range(10)]
        arms = [_arm("base" if i == 0 else f"c{i}", list(row[:50])) for i, row in enumerate(rows)]
        found = _choose(arms)
        assert found is not None
        assert found.shrunken is not None
        naive.append(found.gain)
        shrunken.append(found.shrunken.value)
        chosen = rows[int(found.best[1:])][50:]
        fresh.append(sum(chosen) / 50 - sum(rows[0][50:]) / 50)
    error = 3.0 * sqrt(2 * 0.22 / 50 / runs)  # three standard errors of a mean of differences
    means = [sum(values) / runs for values in (naive, shrunken, fresh)]
    assert means[0] > 0.07
    assert abs(means[1]) < 0.02
    assert abs(means[2]) < error


def test_a_real_gain_is_not_shrunk_away() -> None:
    random = Random(8)
    rows = [[float(random.random() < 0.9) for _ in range(200)] if i == 1 else
            [float(random.random() < 0.5) for _ in range(200)] for i in range(6)]  # fmt: skip
    found = _choose([_arm("base" if i == 0 else f"c{i}", list(row)) for i, row in enumerate(rows)])
    assert found is not None
    assert found.best == "c1"
    assert found.shrunken is not None
    assert found.shrunken.value == pytest.approx(found.gain, abs=0.05)
