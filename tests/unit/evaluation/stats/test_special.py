from __future__ import annotations

from math import inf, isclose, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluation.stats import special

OUTSIDE = [0.0, 1.0, -0.1, 1.1]


@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [
        (0.3, 1.0, 1.0, 0.3),
        (0.3, 2.0, 1.0, 0.09),
        (0.3, 1.0, 2.0, 0.51),
        (0.5, 5.0, 5.0, 0.5),
        (0.25, 0.5, 0.5, 1 / 3),
        (0.0, 2.0, 3.0, 0.0),
        (1.0, 2.0, 3.0, 1.0),
        (0.5, 0.0, 3.0, 1.0),
        (0.0, 0.0, 3.0, 1.0),
        (0.5, 3.0, 0.0, 0.0),
        (1.0, 3.0, 0.0, 1.0),
    ],
)
def test_incomplete_beta_closed_forms(x: float, a: float, b: float, expected: float) -> None:
    assert special.incomplete_beta(x, a, b) == pytest.approx(expected, abs=1e-14)


@given(
    st.floats(0.001, 0.999),
    st.floats(0.1, 300.0),
    st.floats(0.1, 300.0),
)
def test_incomplete_beta_is_symmetric(x: float, a: float, b: float) -> None:
    left = special.incomplete_beta(x, a, b)
    right = 1.0 - special.incomplete_beta(1.0 - x, b, a)
    assert 0.0 <= left <= 1.0
    assert left == pytest.approx(right, abs=1e-11)


@pytest.mark.parametrize(
    ("x", "a", "b"), [(-0.1, 1, 1), (1.1, 1, 1), (0.5, -1, 1), (0.5, 1, -1), (0.5, 0, 0)]
)
def test_incomplete_beta_refuses_nonsense(x: float, a: float, b: float) -> None:
    with pytest.raises(ValueError, match="incomplete_beta"):
        special.incomplete_beta(x, a, b)


@given(st.floats(0.001, 0.999), st.floats(0.5, 200.0), st.floats(0.5, 200.0))
def test_beta_quantile_inverts(probability: float, a: float, b: float) -> None:
    assert special.incomplete_beta(special.beta_quantile(probability, a, b), a, b) == pytest.approx(
        probability, abs=1e-9
    )


@pytest.mark.parametrize(
    ("probability", "df", "expected"),
    [
        # Tables of the t distribution, three decimals.
        (0.975, 1, 12.706),
        (0.975, 5, 2.571),
        (0.975, 11, 2.201),
        (0.975, 30, 2.042),
        (0.995, 9, 3.250),
        (0.95, 120, 1.658),
        (0.5, 3, 0.0),
    ],
)
def test_t_quantile_agrees_with_tables(probability: float, df: float, expected: float) -> None:
    assert special.t_quantile(probability, df) == pytest.approx(expected, abs=6e-4)
    assert special.t_quantile(1.0 - probability, df) == pytest.approx(-expected, abs=6e-4)


@pytest.mark.parametrize("t", [-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0])
def test_t_cdf_closed_form_for_two_degrees(t: float) -> None:
    assert special.t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * sqrt(2 + t * t)), abs=1e-14)


def test_t_cdf_in_the_far_tail_keeps_its_digits() -> None:
    # One degree of freedom is Cauchy: P(T < -t) is about 1 / (pi t).
    assert isclose(special.t_cdf(-1e8, 1), 1e-8 / pi, rel_tol=1e-9)
    assert special.t_cdf(inf, 3) == 1.0
    assert special.t_cdf(-inf, 3) == 0.0


def test_t_approaches_the_normal() -> None:
    assert special.t_quantile(0.975, 1e7) == pytest.approx(special.normal_quantile(0.975), abs=1e-6)
    assert special.normal_cdf(special.normal_quantile(0.3)) == pytest.approx(0.3, abs=1e-15)


@pytest.mark.parametrize(
    ("probability", "df", "expected"),
    # Tables of the chi-square distribution.
    [(0.2, 10, 6.179), (0.2, 30, 23.364), (0.2, 100, 87.945), (0.95, 20, 31.410)],
)
def test_chi_square_quantile_is_near_the_tables(probability: float, df: float, expected: float) -> None:
    assert special.chi_square_quantile(probability, df) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("probability", OUTSIDE)
def test_quantiles_refuse_probabilities_outside(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        special.normal_quantile(probability)
    with pytest.raises(ValueError, match="probability"):
        special.t_quantile(probability, 3)
    with pytest.raises(ValueError, match="probability"):
        special.beta_quantile(probability, 1, 1)
    with pytest.raises(ValueError, match="probability"):
        special.chi_square_quantile(probability, 3)


def test_shapes_and_degrees_are_checked() -> None:
    with pytest.raises(ValueError, match="shapes"):
        special.beta_quantile(0.5, 0.0, 1.0)
    with pytest.raises(ValueError, match="degrees"):
        special.t_cdf(0.0, 0.0)
    with pytest.raises(ValueError, match="degrees"):
        special.chi_square_quantile(0.5, 0.0)
