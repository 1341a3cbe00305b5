from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import agreement

PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30)
LEVELS: list[agreement.RatingLevel] = ["nominal", "ordinal", "interval", "ratio"]


def columns(pairs: Sequence[tuple[int, int]]) -> tuple[list[float], list[float]]:
    return [float(a) for a, _ in pairs], [float(b) for _, b in pairs]


@settings(deadline=None)
@given(PAIRS)
def test_agreement_is_the_same_from_both_sides(pairs: list[tuple[int, int]]) -> None:
    first, second = columns(pairs)
    for weights in (None, "linear", "quadratic"):
        found = agreement.kappa_of_ratings(first, second, weights=weights)  # type: ignore[arg-type]
        swapped = agreement.kappa_of_ratings(second, first, weights=weights)  # type: ignore[arg-type]
        assert found == (None if swapped is None else pytest.approx(swapped, abs=1e-12))
        assert found is None or found <= 1.0
    for level in LEVELS:
        found = agreement.krippendorff_alpha([first, second], level=level)
        swapped = agreement.krippendorff_alpha([second[::-1], first[::-1]], level=level)
        assert found == (None if swapped is None else pytest.approx(swapped, abs=1e-12))


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=30))
def test_full_agreement_is_one_unless_chance_gives_it(values: list[int]) -> None:
    ratings = [float(value) for value in values]
    expected = None if len(set(values)) == 1 else pytest.approx(1.0)
    assert agreement.kappa_of_ratings(ratings, ratings) == expected
    assert agreement.krippendorff_alpha([ratings] * 3, level="interval") == expected
    assert agreement.exact_agreement([ratings] * 3) == 1.0


def test_alpha_by_the_definition() -> None:
    # Interval level without gaps: one minus the mean squared difference within units over that among all ratings.
    rows = [[1.0, 2.0, 4.0, 5.0], [1.0, 3.0, 4.0, 3.0], [2.0, 2.0, 5.0, 5.0]]
    values = [value for row in rows for value in row]
    within = [(a - b) ** 2 for unit in zip(*rows, strict=True) for a, b in combinations(unit, 2)]
    among = [(a - b) ** 2 for a, b in combinations(values, 2)]
    expected = 1.0 - (sum(within) / len(within)) / (sum(among) / len(among))
    assert agreement.krippendorff_alpha(rows, level="interval") == pytest.approx(expected)


def test_the_textbook_table() -> None:
    # 50 proposals read twice: 20 yes-yes, 5 and 10 split, 15 no-no: kappa .40.
    assert agreement.cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    first = [1.0] * 25 + [0.0] * 25
    second = [1.0] * 20 + [0.0] * 5 + [1.0] * 10 + [0.0] * 15
    assert agreement.kappa_of_ratings(first, second) == pytest.approx(0.4)


def test_distances_are_those_of_the_grades() -> None:
    # Nobody gave 2 to 4: in positions of categories 1 and 5 would be next to each other.
    first, second = [0.0, 1.0, 5.0, 5.0, 0.0], [0.0, 0.0, 5.0, 5.0, 1.0]
    by_grade = agreement.kappa_of_ratings(first, second, weights="quadratic")
    by_rank = agreement.cohen_kappa([[1, 1, 0], [1, 0, 0], [0, 0, 2]], weights="quadratic")
    assert by_grade is not None
    assert by_rank is not None
    assert by_grade > 0.95
    assert by_rank < 0.8


def test_ratings_left_out() -> None:
    assert agreement.exact_agreement([[1.0, None, 2.0], [1.0, 3.0, 1.0]]) == 0.5
    assert agreement.exact_agreement([[1.0, None], [None, 2.0]]) is None
    assert agreement.krippendorff_alpha([[1.0, None], [None, 2.0]], level="nominal") is None
    assert agreement.kappa_of_ratings([], []) is None
    assert agreement.fleiss_kappa([]) is None
    assert agreement.fleiss_kappa([[3, 0], [3, 0]]) is None


def test_programmer_errors() -> None:
    with pytest.raises(ValueError, match="square table"):
        agreement.cohen_kappa([[1, 2]])
    with pytest.raises(ValueError, match="pairs of ratings"):
        agreement.kappa_of_ratings([1.0], [])
    with pytest.raises(ValueError, match="same number of raters"):
        agreement.fleiss_kappa([[2, 0], [1, 0]])
    with pytest.raises(ValueError, match="every rater"):
        agreement.krippendorff_alpha([[1.0], []], level="nominal")
