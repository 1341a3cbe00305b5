from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from headrace.evaluation.stats import repeats


def test_the_spread_is_split_without_bias() -> None:
    random = Random(5)
    between, within, correlation = [], [], []
    for _ in range(300):
        pairs = []
        for _ in range(40):
            line = random.gauss(0.0, 1.0)
            shift = random.gauss(0.1, 0.5)
            ours = [line + shift + random.gauss(0.0, 0.4) for _ in range(3)]
            theirs = [line + random.gauss(0.0, 0.3) for _ in range(2)]
            pairs.append((ours, theirs))
        found = repeats.spread(pairs)
        assert found is not None
        assert found.within_lines is not None
        assert found.correlation is not None
        between.append(found.between_lines)
        within.append(found.within_lines)
        correlation.append(found.correlation)
    assert sum(between) / 300 == pytest.approx(0.25, abs=0.01)
    assert sum(within) / 300 == pytest.approx(0.4**2 + 0.3**2, abs=0.01)
    assert 0.8 < sum(correlation) / 300 < 0.95


def test_without_repeats_the_noise_is_not_told_apart() -> None:
    found = repeats.spread([([1.0], [0.0]), ([0.0], [0.0]), ([1.0], [1.0]), ([], [1.0])])
    assert found is not None
    assert found.between_lines == pytest.approx(1 / 3)
    assert found.within_lines is None
    assert found.correlation == pytest.approx(0.5)


def test_noise_above_the_whole_is_cut_off_at_zero() -> None:
    found = repeats.spread([([0.0, 1.0], [1.0, 0.0]), ([1.0, 0.0], [0.0, 1.0])])
    assert found is not None
    assert found.between_lines == 0.0
    assert found.within_lines == pytest.approx(1.0)
    assert found.correlation is None
    assert repeats.spread([([1.0], [0.0])]) is None


@pytest.mark.parametrize(("successes", "k"), [(0, 2), (2, 1), (2, 3), (4, 2), (5, 5)])
def test_pass_at_k_counts_all_draws(successes: int, k: int) -> None:
    tries = [True] * successes + [False] * (5 - successes)
    draws = list(combinations(tries, k))
    assert repeats.pass_at_k(successes, 5, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert repeats.pass_hat_k(successes, 5, k) == pytest.approx(sum(map(all, draws)) / len(draws))


def test_programmer_errors() -> None:
    with pytest.raises(ValueError, match="successes"):
        repeats.pass_at_k(3, 2, 1)
    with pytest.raises(ValueError, match="k >= 1"):
        repeats.repeat_variance_factor(0.0, 1.0, 1.0)
