"""Shares of an online test as whole percents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.evidence import a_traffic
from tests.support.runs import a_time

from headrace.domain.traffic import RampStep
from headrace.domain.whole_shares import revision_percents, starting_percents, whole_percents
from headrace.operations.ab_revisions import promote, roll_back, settle_revision
from headrace.store.opening import open_store


@pytest.mark.parametrize(
    ("shares", "percents"),
    [
        ({"a": 1.0}, {"a": 100}),
        ({"a": 0.5, "b": 0.5}, {"a": 50, "b": 50}),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 34, "b": 33, "c": 33}),
        ({"a": 0.996, "b": 0.004}, {"a": 100}),
        ({"a": 0.29, "b": 0.71, "c": 0.0}, {"a": 29, "b": 71}),
    ],
)
def test_the_largest_remainder_is_rounded_up(shares: dict[str, float], percents: dict[str, int]) -> None:
    assert whole_percents(shares) == percents


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any))
def test_percents_add_to_100_and_are_never_far_off(parts: list[int]) -> None:
    shares = {f"arm{place:02}": part / sum(parts) for place, part in enumerate(parts)}
    percents = whole_percents(shares)
    assert sum(percents.values()) == 100
    for name, share in shares.items():
        assert abs(percents.get(name, 0) - 100 * share) < 1
        assert share or name not in percents


def test_who_is_not_in_the_test_counts_with_the_baseline(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store("memory:", tmp_path_factory.mktemp("store"))
    traffic = a_traffic(coverage=0.2)
    begun = settle_revision(store, traffic, a_time())
    assert revision_percents(begun) == {"a": 90, "b": 10}
    rolled = roll_back(store, traffic, "b", {}, "guardrail failures", a_time())
    assert rolled is not None
    assert revision_percents(rolled) == {"a": 100}
    store.close()


@pytest.mark.parametrize(
    ("said", "percents"),
    [
        ({}, {"a": 50, "b": 50}),
        ({"coverage": 0.2}, {"a": 90, "b": 10}),
        ({"coverage": 0.0}, {"a": 100}),
        ({"ramp": (RampStep(after_s=0, coverage=0.1), RampStep(after_s=60, coverage=1))}, {"a": 95, "b": 5}),
        ({"ramp": (RampStep(after_s=60, coverage=1),)}, {"a": 100}),
    ],
)
def test_a_test_begins_with_what_its_first_revision_says(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, Any], percents: dict[str, int]
) -> None:
    store = open_store("memory:", tmp_path_factory.mktemp("store"))
    traffic = a_traffic(**said)
    assert starting_percents(traffic) == percents
    assert revision_percents(settle_revision(store, traffic, a_time())) == percents
    store.close()


def test_a_promoted_arm_gets_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store("memory:", tmp_path_factory.mktemp("store"))
    settle_revision(store, a_traffic(), a_time())
    assert revision_percents(promote(store, "checkout", "b", a_time(), by="ann")) == {"b": 100}
    store.close()
