"""Assignments agree with GrowthBook's SDKs: its published vectors, and ids that are not ASCII as its SDK hashes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.traffic import RESOLUTION, Namespace
from headrace.planning.assignment import coarse_share, hash_share, is_in_namespace
from headrace.planning.ranges import Buckets, first_ranges

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("growthbook_vectors.json").read_text("utf-8"))


def as_buckets(share: float) -> int:
    return round(share * RESOLUTION)


def test_all_published_vectors_are_here() -> None:
    counts = {
        name: len(VECTORS[name]) for name in ("hash", "getBucketRange", "chooseVariation", "inNamespace")
    }
    assert counts == {"hash": 15, "getBucketRange": 13, "chooseVariation": 13, "inNamespace": 16}


@pytest.mark.parametrize(
    ("seed", "value", "version", "expected"), [*VECTORS["hash"], *VECTORS["of_the_sdk"]["hash"]]
)
def test_hash(seed: str, value: str, version: int, expected: float | None) -> None:
    versions = {1: coarse_share, 2: hash_share}
    assert (versions[version](seed, value) if version in versions else None) == expected


@pytest.mark.parametrize(("title", "given", "expected"), VECTORS["getBucketRange"])
def test_get_bucket_range(title: str, given: list[Any], expected: list[list[float]]) -> None:
    n_arms, coverage, weights = given
    # The shape of our argument leaves no weight out, which the SDK answers with equal weights.
    shares = weights if weights and len(weights) == n_arms else [1 / n_arms] * n_arms
    ranges = first_ranges({str(number): share for number, share in enumerate(shares)}, coverage)
    wanted = [
        ((as_buckets(start), as_buckets(end)),) if as_buckets(start) < as_buckets(end) else ()
        for start, end in expected
    ]
    assert list(ranges.values()) == wanted, title


@pytest.mark.parametrize(("title", "place", "ranges", "expected"), VECTORS["chooseVariation"])
def test_choose_variation(title: str, place: float, ranges: list[list[float]], expected: int) -> None:
    buckets = Buckets(
        {str(number): ((as_buckets(start), as_buckets(end)),) for number, (start, end) in enumerate(ranges)}
    )
    found = buckets.arm(as_buckets(place))
    assert (int(found) if found else -1) == expected, title


@pytest.mark.parametrize(("title", "user", "namespace", "expected"), VECTORS["inNamespace"])
def test_in_namespace(title: str, user: str, namespace: list[Any], expected: bool) -> None:
    name, start, end = namespace
    assert is_in_namespace(Namespace(name=name, start=start, end=end), user) is expected, title
