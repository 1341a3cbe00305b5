from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import ranking
from headrace.evaluation.stats.estimate import mean

MATRICES = st.builds(
    lambda n, rows: [[float(row >> line & 1) for line in range(n)] for row in rows],
    st.integers(5, 30),
    st.lists(st.integers(0, 2**30 - 1), min_size=2, max_size=5),
)


def ladder(rates: list[float], n: int, seed: int) -> list[list[float]]:
    random = Random(seed)
    difficulty = [random.random() for _ in range(n)]
    return [[float(0.5 * random.random() + 0.5 * hard < rate) for hard in difficulty] for rate in rates]


@settings(deadline=None)
@given(MATRICES, st.booleans())
def test_the_best_arm_is_always_in_the_best_set(matrix: list[list[float]], is_binary: bool) -> None:
    found = ranking.best_set_p(matrix, is_binary=is_binary)
    assert all(p is not None and 0.0 <= p <= 1.0 for p in found)
    means = [mean(row) for row in matrix]
    best = found[means.index(max(means))]
    assert best is not None
    assert best > 0.499


@settings(deadline=None)
@given(MATRICES, st.randoms(use_true_random=False))
def test_ranking_does_not_depend_on_the_order(matrix: list[list[float]], random: Random) -> None:
    order = list(range(len(matrix[0])))
    random.shuffle(order)
    shuffled = [[row[line] for line in order] for row in reversed(matrix)]
    p, turned = ranking.best_set_p(matrix, is_binary=True), ranking.best_set_p(shuffled, is_binary=True)
    assert turned[::-1] == pytest.approx(p)
    before, after = ranking.shrink(matrix, draws=10), ranking.shrink(shuffled, draws=10)
    assert before is not None
    assert after is not None
    assert after.means[::-1] == pytest.approx(before.means, abs=1e-9)


@settings(deadline=None)
@given(MATRICES)
def test_shrinking_keeps_the_mean_and_narrows_the_rest(matrix: list[list[float]]) -> None:
    found = ranking.shrink(matrix, draws=50)
    assert found is not None
    observed = [mean(row) for row in matrix]
    assert mean(found.means) == pytest.approx(mean(observed), abs=1e-9)
    centre = mean(observed)
    before = sum((value - centre) ** 2 for value in observed)
    assert sum((value - centre) ** 2 for value in found.means) <= before + 1e-9
    assert sum(found.p_best) == pytest.approx(1.0)
    assert all(interval is None or interval.high > interval.low for interval in found.intervals)


def test_the_posterior_is_that_of_two_arms_by_hand() -> None:
    # Two arms, d = difference of the means, v its variance: tau² = (d² - v) / 2 and d shrinks by 1 - v / d².
    random = Random(4)
    first = [random.random() + 0.2 for _ in range(50)]
    second = [value * 0.5 + random.random() * 0.5 for value in first]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    d = mean(differences)
    v = sum((x - d) ** 2 for x in differences) / 49 / 50
    found = ranking.shrink([first, second])
    assert found is not None
    assert found.between_arms == pytest.approx((d * d - v) / 2)
    assert found.means[0] - found.means[1] == pytest.approx(d * (1.0 - v / (d * d)))


def test_a_pseudo_inverse_by_another_way() -> None:
    # Three arms: the posterior solves (tau² P + S) x = dev for x with sum zero, and its mean is tau² x.
    matrix = ladder([0.4, 0.6, 0.9], 80, seed=3)
    found = ranking.shrink(matrix)
    assert found is not None
    means = [mean(row) for row in matrix]
    centre, tau2 = mean(means), found.between_arms
    covariance = ranking._centred(ranking._mean_covariance(matrix, means, None))
    x = [(value - centre) / tau2 for value in found.means]
    for arm in range(3):
        left = tau2 * x[arm] + sum(covariance[arm][j] * x[j] for j in range(3))
        assert left == pytest.approx(means[arm] - centre, abs=1e-12)


def test_a_clear_winner_is_found_and_equal_arms_are_not() -> None:
    clear = ladder([0.3, 0.3, 0.3, 0.9], 200, seed=2)
    found = ranking.shrink(clear)
    assert found is not None
    assert found.p_best[3] > 0.99
    in_set = [p is not None and p > 0.05 for p in ranking.best_set_p(clear, is_binary=True)]
    assert in_set == [False, False, False, True]
    same = ranking.shrink([clear[0]] * 4)
    assert same is not None
    assert same.p_best == (0.25,) * 4


def test_copies_of_lines_in_clusters_make_no_arm_surer() -> None:
    matrix = ladder([0.5, 0.7], 40, seed=6)
    copied = [[value for value in row for _ in range(5)] for row in matrix]
    clusters = [line for line in range(40) for _ in range(5)]
    alone, often = ranking.shrink(matrix), ranking.shrink(copied, clusters=clusters)
    assert alone is not None
    assert often is not None
    assert often.means == pytest.approx(alone.means, abs=1e-9)
    p, p_often = (
        ranking.best_set_p(matrix, is_binary=False)[0],
        ranking.best_set_p(copied, is_binary=False, clusters=clusters)[0],
    )
    assert p is not None
    assert p_often == pytest.approx(p, rel=0.5)  # degrees of freedom count the guard's two lines or not


def test_fifty_arms_are_ranked() -> None:
    found = ranking.shrink(ladder([0.3 + arm / 100 for arm in range(50)], 100, seed=9), draws=500)
    assert found is not None
    assert sum(found.p_best) == pytest.approx(1.0)
    assert sum(found.p_best[25:]) > 0.9


def test_too_little_to_rank() -> None:
    assert ranking.shrink([[1.0, 0.0]]) is None
    assert ranking.shrink([[1.0], [0.0]]) is None
    assert ranking.best_set_p([[], []], is_binary=True) == [None, None]
    assert ranking.best_set_p([[1.0, 0.0]], is_binary=True) == [1.0]
    few = [0, 1, 2, 3] * 3
    assert ranking.best_set_p([[1.0] * 12, [0.0] * 12], is_binary=True, clusters=few) == [None, None]
    assert ranking.shrink([[1.0] * 12, [0.0] * 12], clusters=few) is None
    with pytest.raises(ValueError, match="every arm"):
        ranking.best_set_p([[1.0], []], is_binary=True)


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_arms_that_answer_alike_have_the_same_chance(seed: int) -> None:
    three = ladder([0.4, 0.7, 0.5], 100, seed)
    found = ranking.shrink([three[place % 3] for place in range(12)], seed=seed)
    assert found is not None
    assert sum(found.p_best) == pytest.approx(1.0)
    for kind in range(3):
        assert found.p_best[kind::3] == pytest.approx([found.p_best[kind]] * 4, abs=1e-3)
    assert sum(found.p_best[1::3]) > 0.9
