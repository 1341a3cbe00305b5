from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.stats.multiple import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0.0, 1.0), max_size=20)


@given(P_VALUES)
def test_adjusted_values_keep_the_order_and_only_grow(p_values: list[float]) -> None:
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p_values)
        assert all(p - 1e-12 <= a <= 1.0 for p, a in zip(p_values, adjusted, strict=True))
        ranked = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
        assert ranked == sorted(ranked)


@given(P_VALUES)
def test_holm_is_between_benjamini_hochberg_and_bonferroni(p_values: list[float]) -> None:
    pairs = zip(p_values, holm(p_values), benjamini_hochberg(p_values), strict=True)
    for p, strict, lenient in pairs:
        assert lenient <= strict + 1e-12
        assert strict <= min(1.0, p * len(p_values)) + 1e-12


@given(P_VALUES, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(p_values: list[float], random) -> None:
    order = list(range(len(p_values)))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p_values)
        assert adjust([p_values[i] for i in order]) == pytest.approx([adjusted[i] for i in order])


def test_one_p_value_is_left_alone() -> None:
    assert holm([0.04]) == [0.04]
    assert benjamini_hochberg([0.04]) == [0.04]
    assert holm([]) == []


def test_impossible_p_values_are_refused() -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust([0.5, float("nan")])
