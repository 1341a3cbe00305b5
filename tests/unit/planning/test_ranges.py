"""Ranges of buckets: where arms stand at first, and what moves when weights change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.traffic import RESOLUTION, BucketRange
from headrace.planning.ranges import Buckets, Move, RangeChange, first_ranges, moved_ranges

Ranges = Mapping[str, Iterable[BucketRange]]

NAMES = ("base", "canary", "third", "fourth")


@st.composite
def weight_tables(draw: st.DrawFn) -> dict[str, float]:
    """Weights of some of the arms, in some order, that add up to 1."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    parts = draw(st.lists(st.integers(0, 100), min_size=len(names), max_size=len(names)))
    total = sum(parts)
    return {name: part / total if total else 1 / len(names) for name, part in zip(names, parts, strict=True)}


COVERAGES = st.floats(0, 1).map(lambda share: round(share, 4))


def size(ranges: Ranges, name: str) -> int:
    return sum(end - start for start, end in ranges.get(name, ()))


def owners(ranges: Ranges) -> list[str]:
    """Who has each bucket; fails where two arms have one."""
    found = [""] * RESOLUTION
    for name, own in ranges.items():
        for start, end in own:
            assert 0 <= start < end <= RESOLUTION
            assert set(found[start:end]) == {""}
            found[start:end] = [name] * (end - start)
    return found


def moved(change: RangeChange) -> int:
    return round(sum(move.share for move in change.moves) * RESOLUTION)


@given(weight_tables(), COVERAGES)
def test_first_ranges_are_disjoint_and_have_their_shares(weights: dict[str, float], coverage: float) -> None:
    ranges = first_ranges(weights, coverage)
    owners(ranges)
    for name, share in weights.items():
        assert abs(size(ranges, name) - share * coverage * RESOLUTION) < 1 + 1e-5


@settings(max_examples=60, deadline=None)
@given(weight_tables(), COVERAGES, weight_tables(), COVERAGES)
def test_a_change_moves_as_few_buckets_as_it_needs(
    old: dict[str, float], old_coverage: float, new: dict[str, float], coverage: float
) -> None:
    before = first_ranges(old, old_coverage)
    change = moved_ranges(before, new, coverage)
    was, now = owners(before), owners(change.ranges)
    assert moved(change) == sum(a != b for a, b in zip(was, now, strict=True))
    names = ("", *NAMES)
    assert moved(change) == sum(abs(was.count(name) - now.count(name)) for name in names) / 2
    for name in names[1:]:
        assert abs(now.count(name) - new.get(name, 0) * coverage * RESOLUTION) < 1 + 1e-5
    if coverage == 1:
        assert now.count("") == 0


@settings(max_examples=40, deadline=None)
@given(weight_tables(), st.lists(COVERAGES, min_size=2, max_size=5).map(sorted))
def test_growing_coverage_moves_nobody_between_arms(weights: dict[str, float], steps: list[float]) -> None:
    ranges: Ranges = first_ranges(weights, steps[0])
    for coverage in steps[1:]:
        change = moved_ranges(ranges, weights, coverage)
        assert all(move.source == "" for move in change.moves)
        assert all(
            abs(size(change.ranges, name) - share * coverage * RESOLUTION) <= 2
            for name, share in weights.items()
        )
        ranges = change.ranges


def test_a_ramp_ends_where_full_coverage_begins() -> None:
    weights = {"base": 0.2, "canary": 0.3, "third": 0.5}
    ranges: Ranges = first_ranges(weights, 0.01)
    for coverage in (0.1, 0.37, 1.0):
        ranges = moved_ranges(ranges, weights, coverage).ranges
        assert ranges == first_ranges(weights, coverage)


def test_no_change_moves_nobody() -> None:
    weights = {"base": 1 / 3, "canary": 1 / 3, "third": 1 / 3}
    for coverage in (1.0, 0.77, 0.0):
        ranges = first_ranges(weights, coverage)
        assert moved_ranges(ranges, weights, coverage) == RangeChange(ranges=ranges, moves=())


def test_an_arm_grows_next_to_its_own_buckets() -> None:
    before = {"base": ((0, 9000),), "canary": ((9000, 10_000),)}
    change = moved_ranges(before, {"base": 0.5, "canary": 0.5}, 1.0)
    assert change.ranges == {"base": ((0, 5000),), "canary": ((5000, 10_000),)}
    assert change.moves == (Move(source="base", target="canary", share=0.4),)


def test_an_arm_that_goes_gives_all_it_had_and_the_others_keep_theirs() -> None:
    before = first_ranges({"base": 0.5, "canary": 0.3, "third": 0.2}, 1.0)
    change = moved_ranges(before, {"base": 0.8, "third": 0.2}, 1.0)
    assert change.ranges == {"base": ((0, 8000),), "third": ((8000, 10_000),)}
    assert change.moves == (Move(source="canary", target="base", share=0.3),)


def test_a_new_arm_takes_from_each_what_it_has_to_give() -> None:
    before = first_ranges({"base": 0.5, "canary": 0.5}, 1.0)
    change = moved_ranges(before, {"base": 0.4, "canary": 0.4, "third": 0.2}, 1.0)
    assert change.ranges["third"] == ((4000, 5000), (9000, 10_000))
    assert change.moves == (
        Move(source="base", target="third", share=0.1),
        Move(source="canary", target="third", share=0.1),
    )


def test_smaller_coverage_takes_units_out_of_the_test_and_moves_none_between_arms() -> None:
    weights = {"base": 0.5, "canary": 0.5}
    change = moved_ranges(first_ranges(weights, 1.0), weights, 0.5)
    assert change.ranges == {"base": ((0, 2500),), "canary": ((5000, 7500),)}
    assert {(move.source, move.target) for move in change.moves} == {("base", ""), ("canary", "")}


@pytest.mark.parametrize("bucket", [0, 2499, 2500, 4999, 5000, 9999])
def test_a_range_has_its_start_and_not_its_end(bucket: int) -> None:
    buckets = Buckets({"base": ((0, 2500),), "canary": ((2500, 4999), (5000, 9999))})
    expected = {0: "base", 2499: "base", 2500: "canary", 4999: "", 5000: "canary", 9999: ""}
    assert buckets.arm(bucket) == expected[bucket]
