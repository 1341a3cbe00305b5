"""Ranges of buckets: which ones an arm has at first, and which ones move when weights change."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor
from typing import Final

from headrace.domain.traffic import RESOLUTION, BucketRange

OUTSIDE: Final = ""
"""Owner of the buckets whose units are not in the test."""

_FEWEST, _MOST = 0.99, 1.01
_DIGITS = 6
"""Of a number of buckets; further ones are what floating point adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Units that change arms and so cannot stay sticky.

    Attributes:
        source: The arm that they had; empty for units that were not in the test.
        target: The arm that they get; empty for units that leave the test.
        share: How many, as a share of all units.
    """

    source: str
    target: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeChange:
    """New ranges and what they move.

    Attributes:
        ranges: Arm to its ranges, in order; an arm without any has an empty tuple.
        moves: Sorted by source and target; empty where nobody moves.
    """

    ranges: Mapping[str, tuple[BucketRange, ...]]
    moves: tuple[Move, ...]


class Buckets:
    """Finds the arm of a bucket; ranges do not overlap, and empty ones have none."""

    __slots__ = ("_ends", "_names", "_starts")

    def __init__(self, ranges: Mapping[str, Iterable[BucketRange]]) -> None:
        ordered = sorted(
            (start, end, name) for name, own in ranges.items() for start, end in own if start < end
        )
        self._starts = [start for start, _, _ in ordered]
        self._ends = [end for _, end, _ in ordered]
        self._names = [name for _, _, name in ordered]

    def arm(self, bucket: int) -> str:
        """Name of the arm, empty where no arm has the bucket."""
        place = bisect_right(self._starts, bucket) - 1
        return self._names[place] if place >= 0 and bucket < self._ends[place] else OUTSIDE


def first_ranges(weights: Mapping[str, float], coverage: float) -> dict[str, tuple[BucketRange, ...]]:
    """The ranges of a test that begins: arms stand at their places at full coverage, with the rest of each left free.

    Args:
        weights: Arm to its share of the units in the test. Where they do not add up to 1 within .01, all are taken for
            equal; a traffic file that says so is refused before.
        coverage: Share of all units that are in the test; what is beyond 0 and 1 is taken for these.

    Source: GrowthBook's ``getBucketRanges``; a boundary between two buckets belongs to the upper one.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    shares = list(weights.values())
    if not _FEWEST <= sum(shares) <= _MOST:
        shares = [1 / len(shares)] * len(shares)
    ranges: dict[str, tuple[BucketRange, ...]] = {}
    at = 0.0
    for name, share in zip(weights, shares, strict=True):
        start, end = _boundary(at), _boundary(at + coverage * share)
        ranges[name] = ((start, end),) if start < end else ()
        at += share
    return ranges


def moved_ranges(
    before: Mapping[str, Iterable[BucketRange]], weights: Mapping[str, float], coverage: float
) -> RangeChange:
    """The ranges after a change of weights, arms or coverage, with as few buckets moved as it needs.

    Half the sum of the absolute changes of shares is what has to move, and no more does: an arm that shrinks only
    gives, one that grows only takes. It takes next to its own buckets first. Growing coverage moves nobody
    between arms.

    Args:
        before: Arm to its ranges.
        weights: Arm to its share of the units in the test; together at most 1.
        coverage: Share of all units that are in the test, from 0 to 1.
    """
    owners = _owners(before)
    old = list(owners)
    have = Counter(owners)
    want = _counts(have, weights, coverage)
    spare = {name: n - want.get(name, 0) for name, n in have.items()}
    lacks = {name: n - have[name] for name, n in want.items()}
    for name in weights:
        _grow(owners, name, spare, lacks)
    for name in (*weights, OUTSIDE):
        _take_ends(owners, name, spare, lacks)
    moved = Counter((source, target) for source, target in zip(old, owners, strict=True) if source != target)
    ranges = _ranges(owners)
    return RangeChange(
        ranges={name: ranges.get(name, ()) for name in weights},
        moves=tuple(
            Move(source=source, target=target, share=n / RESOLUTION)
            for (source, target), n in sorted(moved.items())
        ),
    )


def moves_anew(
    before: Mapping[str, Iterable[BucketRange]], after: Mapping[str, Iterable[BucketRange]]
) -> tuple[Move, ...]:
    """What moves where all units get other buckets, as by another seed: the units of each arm go to all, on average.

    Args:
        before: Arm to its ranges.
        after: Arm to its ranges then.
    """
    have, get = (Counter(_owners(ranges)) for ranges in (before, after))
    return tuple(
        Move(source=source, target=target, share=round(n / RESOLUTION * get[target] / RESOLUTION, _DIGITS))
        for source, n in sorted(have.items())
        for target in sorted(get)
        if source != target
    )


def _boundary(share: float) -> int:
    return min(ceil(round(share * RESOLUTION, _DIGITS)), RESOLUTION)


def _owners(ranges: Mapping[str, Iterable[BucketRange]]) -> list[str]:
    owners = [OUTSIDE] * RESOLUTION
    for name, own in ranges.items():
        for start, end in own:
            owners[start:end] = [name] * (end - start)
    return owners


def _ranges(owners: list[str]) -> dict[str, tuple[BucketRange, ...]]:
    found: dict[str, list[BucketRange]] = {}
    at = 0
    for name, run in groupby(owners):
        end = at + sum(1 for _ in run)
        found.setdefault(name, []).append((at, end))
        at = end
    return {name: tuple(own) for name, own in found.items()}


def _counts(have: Mapping[str, int], weights: Mapping[str, float], coverage: float) -> dict[str, int]:
    """How many buckets each owner shall have: of the two numbers next to its share, the one nearer to what it has."""
    exact = {name: round(share * coverage * RESOLUTION, _DIGITS) for name, share in weights.items()}
    counts = {name: min(max(have.get(name, 0), floor(share)), ceil(share)) for name, share in exact.items()}
    total = round(sum(exact.values()), _DIGITS - 1)
    most = RESOLUTION
    fewest = most if total >= most else 0
    for name in _furthest_below_first(counts, exact):
        if sum(counts.values()) < fewest and counts[name] < ceil(exact[name]):
            counts[name] += 1
    # An arm that would grow waits rather than that another one gives a bucket away.
    by_growth = sorted(counts, key=lambda name: counts[name] <= have.get(name, 0))
    for name in by_growth:
        if sum(counts.values()) > most and counts[name] > min(have.get(name, 0), floor(exact[name])):
            counts[name] -= 1
    return {**counts, OUTSIDE: RESOLUTION - sum(counts.values())}


def _furthest_below_first(counts: Mapping[str, int], exact: Mapping[str, float]) -> list[str]:
    return sorted(counts, key=lambda name: counts[name] - exact[name])


def _grow(owners: list[str], name: str, spare: dict[str, int], lacks: dict[str, int]) -> None:
    """Let an arm take what is to spare right after its ranges, then right before them."""
    for end in [end for _, end in _ranges(owners).get(name, ())]:
        _take(owners, range(end, RESOLUTION), name, spare, lacks)
    for start in [start for start, _ in _ranges(owners).get(name, ())]:
        _take(owners, range(start - 1, -1, -1), name, spare, lacks)


def _take(
    owners: list[str], places: Iterable[int], name: str, spare: dict[str, int], lacks: dict[str, int]
) -> None:
    for place in places:
        giver = owners[place]
        if lacks.get(name, 0) <= 0 or spare.get(giver, 0) <= 0:
            return
        _hand_over(owners, place, name, spare, lacks)


def _take_ends(owners: list[str], name: str, spare: dict[str, int], lacks: dict[str, int]) -> None:
    """Let an owner take what is to spare from the ends of others."""
    for place in _from_the_end(spare, owners):
        if lacks.get(name, 0) <= 0:
            return
        _hand_over(owners, place, name, spare, lacks)


def _from_the_end(spare: Mapping[str, int], owners: list[str]) -> Iterator[int]:
    return (place for place in range(RESOLUTION - 1, -1, -1) if spare.get(owners[place], 0) > 0)


def _hand_over(
    owners: list[str], place: int, name: str, spare: dict[str, int], lacks: dict[str, int]
) -> None:
    spare[owners[place]] -= 1
    lacks[name] -= 1
    owners[place] = name
