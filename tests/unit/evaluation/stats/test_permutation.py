from __future__ import annotations

from itertools import pairwise
from math import sqrt
from random import Random

import pytest

from headrace.evaluation.stats import permutation


def tail(weights: list[float], reach: float) -> float:
    return permutation.sign_flip_tail(sorted(weights), reach, seed=0, draws=permutation.SIGN_FLIP_DRAWS)


def root_of_squares(weights: list[float]) -> float:
    return sqrt(sum(weight * weight for weight in weights))


def test_grids_and_enumeration_count_the_same() -> None:
    random = Random(1)
    for _ in range(20):
        weights = [random.randint(1, 4) / 4 for _ in range(20)]
        reach = random.randint(1, 30) / 4
        steps = [round(4 * weight) for weight in weights]
        expected = permutation._enumerated(weights, reach - 1e-6)
        assert permutation._on_grid(steps, 4 * reach - 1e-6) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [30, 60, 150, 300])
@pytest.mark.parametrize("shape", ["even", "exponential", "lognormal"])
def test_the_saddlepoint_is_within_one_percent(n: int, shape: str) -> None:
    # Against the exact count on a grid that is fine beside the weights.
    random = Random(n)
    draw = {
        "even": lambda: random.uniform(0.05, 1.0),
        "exponential": lambda: min(2.0, 0.05 + random.expovariate(1.0)),
        "lognormal": lambda: min(2.0, random.lognormvariate(0.0, 1.0)),
    }[shape]
    fine = 400 if n < 100 else 40
    steps = [max(1, round(fine * draw())) for _ in range(n)]
    weights = [float(step) for step in steps]
    assert max(weights) ** 2 <= permutation._LARGEST_SHARE * root_of_squares(weights) ** 2
    for z in (0.5, 1.0, 1.96, 2.5):
        reach = round(z * root_of_squares(weights))
        reach += (reach + sum(steps)) % 2
        exact = permutation._on_grid(steps, float(reach))
        assert permutation.saddlepoint_tail(weights, reach - 1.0) == pytest.approx(exact, rel=0.01)


def test_grades_on_a_thousand_lines_use_what_was_counted() -> None:
    # Beyond the steps that are counted, the approximation stands in, corrected for the grid.
    random = Random(2)
    steps = [random.randint(1, 4) for _ in range(1000)]
    reach = 2 * round(root_of_squares([float(step) for step in steps])) + sum(steps) % 2
    exact = permutation._on_grid(steps, float(reach))
    assert tail([step / 4 for step in steps], reach / 4) == pytest.approx(exact, rel=0.002)


def test_a_weight_that_stands_out_is_drawn() -> None:
    # The sum reaches 100 only where the large weight is on the same side as most of the rest, or beyond: about half.
    random = Random(3)
    weights = [*(random.random() for _ in range(60)), 100.0]
    assert tail(weights, 100.0) == pytest.approx(0.5, abs=0.03)


def test_the_end_of_the_scale() -> None:
    weights = [sqrt(value) for value in Random(4).sample(range(1000, 9999), 40)]
    assert tail(weights, sum(weights)) == pytest.approx(2.0**-39, rel=1e-9, abs=0.0)
    assert tail(weights, 0.0) == 1.0
    assert permutation.saddlepoint_tail([1.0, 2.0], 4.0) == 0.0


def test_a_farther_reach_is_less_likely() -> None:
    random = Random(5)
    for n in (20, 200, 1000):
        weights = [random.random() for _ in range(n)]
        tails = [tail(weights, z * root_of_squares(weights) / 4) for z in range(1, 17)]
        assert all(later <= earlier for earlier, later in pairwise(tails))
        assert all(0.0 <= p <= 1.0 for p in tails)


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.1])
def test_almost_equal_weights_are_not_left_to_the_saddlepoint(spread: float) -> None:
    # Their sums pile up in steps of two, which the approximation smooths away: it is off by up to a quarter.
    random = Random(3)
    worst = 0.0
    for _ in range(10):
        weights = sorted(random.uniform(1.0 - spread, 1.0 + spread) for _ in range(26))
        reach = random.uniform(8.0, 12.0)
        exact = permutation._enumerated(weights, reach)
        worst = max(worst, abs(permutation.saddlepoint_tail(weights, reach) / exact - 1.0))
        assert permutation._is_lumpy(weights, 0.0)
        more = sorted([*weights, *(random.uniform(1.0 - spread, 1.0 + spread) for _ in range(4))])
        found = tail(more, reach)
        assert found == pytest.approx(permutation._enumerated(more, reach), rel=0.15, abs=0.005)
    assert worst > 0.05


def test_weights_of_all_sizes_are_not_lumpy() -> None:
    random = Random(4)
    for _ in range(20):
        assert not permutation._is_lumpy(sorted(abs(random.gauss(0.0, 1.0)) for _ in range(60)), 0.0)


def test_a_unit_that_all_weights_share_is_counted_once() -> None:
    # Multiples of three: the same as whole numbers, exactly and by approximation.
    random = Random(5)
    for n in (40, 300, 900):
        whole = [float(random.randint(1, 3)) for _ in range(n)]
        reach = 2.0 * root_of_squares(whole) // 1
        tripled = tail([3.0 * weight for weight in whole], 3.0 * reach)
        assert tripled == pytest.approx(tail(whole, reach), rel=1e-9)
