from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import estimate, margins, paired

GAINS = st.builds(
    lambda wins, losses, ties: [1.0] * wins + [0.0] * ties + [-1.0] * losses,
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(5, 40),
)
TESTS = [margins.superiority_p, margins.non_inferiority_p, margins.tost_p]


@settings(deadline=None)
@given(GAINS, st.booleans(), st.booleans(), st.sampled_from([0.05, 0.1, 0.3]))
def test_p_and_bound_agree(gains: list[float], is_binary: bool, is_clustered: bool, margin: float) -> None:
    clusters = [line // 2 for line in range(len(gains))] if is_clustered else None
    for test, limit in ((margins.superiority_p, margin), (margins.non_inferiority_p, -margin)):
        found = test(gains, margin, is_binary=is_binary, clusters=clusters)
        if found is None:
            assert is_clustered
            continue
        assert 0.0 <= found.p <= 1.0
        if abs(found.p - 0.05) > 1e-9:
            assert (found.p < 0.05) == (found.bound > limit), (test, found)
    found = margins.tost_p(gains, margin, is_binary=is_binary, clusters=clusters)
    if found is not None and abs(found.p - 0.05) > 1e-9:
        assert (found.p < 0.05) == (abs(found.bound) < margin)


@settings(deadline=None)
@given(GAINS, st.booleans())
def test_equivalence_is_the_same_from_both_sides(gains: list[float], is_binary: bool) -> None:
    ours = margins.tost_p(gains, 0.2, is_binary=is_binary)
    theirs = margins.tost_p([-gain for gain in gains], 0.2, is_binary=is_binary)
    assert ours is not None
    assert theirs is not None
    assert ours.p == pytest.approx(theirs.p, abs=1e-12)
    assert abs(ours.bound) == pytest.approx(abs(theirs.bound), abs=1e-9)


@settings(deadline=None)
@given(GAINS, st.booleans())
def test_the_wider_the_margin_the_easier(gains: list[float], is_binary: bool) -> None:
    narrow, wide = (margins.non_inferiority_p(gains, m, is_binary=is_binary) for m in (0.05, 0.2))
    assert narrow is not None
    assert wide is not None
    assert wide.p <= narrow.p + 1e-12


def test_the_bound_is_the_end_of_the_interval() -> None:
    gains = [1.0] * 6 + [-1.0] * 16 + [0.0] * 139
    found = margins.non_inferiority_p(gains, 0.15, is_binary=True, alpha=0.025)
    assert found is not None
    assert found.bound == pytest.approx(paired.tango_interval(6, 16, 161).low, abs=1e-9)
    assert found.p < 0.025
    graded = margins.superiority_p(gains, 0.0, is_binary=False, alpha=0.025)
    interval = estimate.difference_interval(gains, value_range=1.0)
    assert graded is not None
    assert interval is not None
    assert graded.bound == pytest.approx(interval.low, rel=1e-12)


def test_a_margin_of_zero_halves_the_score_test() -> None:
    found = margins.superiority_p([1.0] * 13 + [-1.0] * 3 + [0.0] * 20, 0.0, is_binary=True)
    assert found is not None
    # (13 - 3) / sqrt(16) = 2.5
    assert found.p == pytest.approx(0.006209665, rel=1e-6)


def test_thirty_ties_are_equivalent_only_within_a_wide_margin() -> None:
    ties = [0.0] * 30
    narrow, wide = margins.tost_p(ties, 0.05, is_binary=True), margins.tost_p(ties, 0.2, is_binary=True)
    assert narrow is not None
    assert wide is not None
    assert narrow.p > 0.05 > wide.p


@pytest.mark.parametrize("test", TESTS)
def test_nothing_to_test(test: object) -> None:
    assert callable(test)
    assert test([], 0.1, is_binary=True) is None
    assert test([0.1] * 8, 0.1, is_binary=False, clusters=[0, 1, 2, 3] * 2) is None
    with pytest.raises(ValueError, match="not negative"):
        test([0.1], -0.1, is_binary=False)


def test_no_rate_differs_by_more_than_one() -> None:
    found = margins.non_inferiority_p([1.0, -1.0, 0.0], 1.5, is_binary=True)
    assert found is not None
    assert found.p == 0.0
