"""Fractions of factorial designs: balanced, of known resolution, and made without making the whole design."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.formats.design import Cell, cells, count_cells, find_fraction, prime_power


def is_balanced(found: list[Cell], sizes: tuple[int, ...], strength: int) -> bool:
    """Whether every combination of levels of ``strength`` factors occurs equally often."""
    for places in combinations(range(len(sizes)), strength):
        counts = Counter(tuple(cell[place] for place in places) for cell in found)
        wanted = len(list(product(*(range(sizes[place]) for place in places))))
        if len(counts) != wanted or len(set(counts.values())) != 1:
            return False
    return True


@pytest.mark.parametrize(
    ("sizes", "denominator", "resolution"),
    [
        # Highest resolutions of two-level fractions: Box, Hunter and Hunter (2005), table 6.22.
        ((2, 2, 2), 2, 3),
        ((2, 2, 2, 2), 2, 4),
        ((2, 2, 2, 2, 2), 2, 5),
        ((2, 2, 2, 2, 2), 4, 3),
        ((2,) * 6, 4, 4),
        ((2,) * 6, 8, 3),
        ((2,) * 7, 8, 4),
        ((2,) * 7, 16, 3),
        ((2,) * 8, 16, 4),
        # Three levels: Wu and Hamada (2009), table 6A.
        ((3, 3, 3), 3, 3),
        ((3, 3, 3, 3), 3, 4),
        ((3, 3, 3, 3), 9, 3),
        # Factors whose levels the prime does not divide stay whole.
        ((2, 3, 2, 2), 2, 3),
        ((4, 2, 2), 2, 3),
    ],
)
def test_a_fraction_has_the_best_resolution_and_is_balanced(
    sizes: tuple[int, ...], denominator: int, resolution: int
) -> None:
    fraction = find_fraction(sizes, denominator, seed=0)
    assert fraction is not None
    found = list(cells(sizes, fraction))
    assert (len(found), fraction.resolution) == (count_cells(sizes) // denominator, resolution)
    assert found[0] == (0,) * len(sizes)
    assert len(set(found)) == len(found)
    # A design of resolution R is an orthogonal array of strength R - 1.
    assert is_balanced(found, sizes, resolution - 1)


def test_a_fraction_is_no_better_than_it_says() -> None:
    fraction = find_fraction((2, 2, 2, 2), 2, seed=0)
    assert not is_balanced(list(cells((2, 2, 2, 2), fraction)), (2, 2, 2, 2), 4)


@pytest.mark.parametrize(
    ("sizes", "denominator"), [((2, 2), 2), ((2, 2, 2), 4), ((3, 3, 3), 2), ((2, 2, 2), 6), ((2, 3), 3)]
)
def test_a_fraction_that_mixes_up_single_factors_is_none(sizes: tuple[int, ...], denominator: int) -> None:
    assert find_fraction(sizes, denominator, seed=0) is None


@given(seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_one_seed_gives_one_fraction(seed: int) -> None:
    sizes = (2,) * 5
    assert find_fraction(sizes, 4, seed) == find_fraction(sizes, 4, seed)


def test_the_seed_decides_between_equally_good_fractions() -> None:
    assert len({find_fraction((2,) * 5, 4, seed) for seed in range(20)}) > 1


def test_cells_of_a_small_fraction_of_a_huge_design_come_at_once() -> None:
    sizes = (2,) * 24
    start = time.perf_counter()
    fraction = find_fraction(sizes, 2**15, seed=0)
    assert fraction is not None
    assert len(list(cells(sizes, fraction))) == 2**9
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("number", "found"), [(2, (2, 1)), (8, (2, 3)), (27, (3, 3)), (6, None), (1, None), (97, (97, 1))]
)
def test_powers_of_primes(number: int, found: tuple[int, int] | None) -> None:
    assert prime_power(number) == found
