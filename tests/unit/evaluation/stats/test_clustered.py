from __future__ import annotations

from math import sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import clustered, estimate, paired

SCORES = [0.2, 0.9, 0.4, 0.7, 0.1, 0.8, 0.5, 0.6]
CLUSTERED = st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 9)), min_size=1, max_size=30)


def random_pairs(count: int, size: int, seed: int) -> tuple[list[float], list[int]]:
    random = Random(seed)
    clusters = [cluster for cluster in range(count) for _ in range(size)]
    return [float(random.randint(-1, 1)) for _ in clusters], clusters


def test_clusters_of_one_line_give_the_usual_numbers() -> None:
    alone = range(len(SCORES))
    error = sqrt(estimate.variance(SCORES) / len(SCORES))
    assert clustered.cluster_standard_error(SCORES, alone) == pytest.approx(error, rel=1e-12)
    interval, plain = clustered.clustered_mean_interval(SCORES, alone), estimate.t_interval(SCORES)
    assert interval is not None
    assert plain is not None
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), rel=1e-12)
    assert clustered.clustered_p(SCORES, alone) == pytest.approx(paired.paired_t_p(SCORES), rel=1e-9)
    assert clustered.design_effect(SCORES, alone) == pytest.approx(1.0)
    assert clustered.intraclass_correlation(SCORES, alone) is None


def test_copies_of_lines_count_once() -> None:
    # Each line four times over: the design effect is the size of a cluster, its correlation 1.
    values = [score for score in SCORES for _ in range(4)]
    clusters = [line for line in range(len(SCORES)) for _ in range(4)]
    once = clustered.cluster_standard_error(SCORES, range(len(SCORES)))
    assert clustered.cluster_standard_error(values, clusters) == pytest.approx(once, rel=1e-12)
    assert clustered.intraclass_correlation(values, clusters) == pytest.approx(1.0)
    assert clustered.design_effect(values, clusters) == pytest.approx(4 * 31 / 28, rel=1e-9)


def test_copies_of_passed_lines_leave_the_interval_of_the_clusters() -> None:
    wins = [1.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0]
    copies = [win for win in wins for _ in range(5)]
    names = [line for line in range(8) for _ in range(5)]
    once = clustered.clustered_tango_interval(wins, range(8))
    often = clustered.clustered_tango_interval(copies, names)
    assert once is not None
    assert often is not None
    # Up to the correction of CR1, which counts clusters: 8/7 of the variance.
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.01)


@settings(deadline=None)
@given(CLUSTERED)
def test_intervals_have_width_hold_the_estimate_and_mirror(lines: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in lines], [cluster for _, cluster in lines]
    tango = clustered.clustered_tango_interval(values, clusters)
    guarded = clustered.clustered_difference_interval(values, clusters, value_range=1.0)
    if len(set(clusters)) < clustered.MIN_CLUSTERS:
        assert tango is guarded is None
        return
    assert tango is not None
    assert guarded is not None
    mirrored = clustered.clustered_tango_interval([-value for value in values], clusters)
    assert mirrored is not None
    assert tango.low <= estimate.mean(values) <= tango.high
    assert min(tango.high - tango.low, guarded.high - guarded.low) > 0.01
    assert (mirrored.low, mirrored.high) == pytest.approx((-tango.high, -tango.low), abs=1e-9)


@settings(deadline=None)
@given(CLUSTERED, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(lines: list[tuple[float, int]], random: Random) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)
    for function in (
        clustered.clustered_p,
        clustered.clustered_tango_p,
        clustered.cluster_sign_flip_p,
        clustered.intraclass_correlation,
        clustered.design_effect,
    ):
        found = [
            function([value for value, _ in pairs], [name for _, name in pairs])
            for pairs in (lines, shuffled)
        ]
        assert found[0] == (None if found[1] is None else pytest.approx(found[1], abs=1e-9))


@settings(deadline=None)
@given(CLUSTERED)
def test_p_and_interval_say_the_same(lines: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in lines], [cluster for _, cluster in lines]
    p, interval = (
        clustered.clustered_tango_p(values, clusters),
        clustered.clustered_tango_interval(values, clusters),
    )
    assert (p is None) == (interval is None)
    if p is not None and interval is not None:
        assert 0.0 <= p <= 1.0
        if abs(p - 0.05) > 1e-9:
            assert (p < 0.05) == interval.excludes_zero
    p = clustered.clustered_p(values, clusters, value_range=1.0)
    interval = clustered.clustered_difference_interval(values, clusters, value_range=1.0)
    if p is not None and interval is not None and abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == interval.excludes_zero


def test_more_alike_lines_widen_the_interval() -> None:
    apart = [1.0, 0.0] * 20
    alike = [1.0] * 20 + [0.0] * 20
    clusters = [line // 4 for line in range(40)]
    widths = []
    for values in (apart, alike):
        interval = clustered.clustered_wilson_interval(values, clusters)
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] > 1.5 * widths[0]


def test_all_passed_counts_clusters() -> None:
    interval = clustered.clustered_wilson_interval([1.0] * 60, [line // 10 for line in range(60)])
    assert interval is not None
    assert interval.high == 1.0
    assert interval.low < 0.6


def test_sign_flips_of_five_clusters_cannot_be_significant() -> None:
    p = clustered.cluster_sign_flip_p([1.0] * 25, [line // 5 for line in range(25)])
    assert p == pytest.approx(2 / 2**5)


def test_few_clusters_give_nothing() -> None:
    values, clusters = random_pairs(4, 10, seed=1)
    assert clustered.clustered_mean_interval(values, clusters) is None
    assert clustered.clustered_p(values, clusters) is None
    assert clustered.cluster_sign_flip_p(values, clusters) is None
    assert clustered.clustered_tango_p(values, clusters) is None


def test_programmer_errors() -> None:
    with pytest.raises(ValueError, match="each value has a cluster"):
        clustered.clustered_p([1.0], [1, 2])
    with pytest.raises(ValueError, match="needs two of them"):
        clustered.cluster_standard_error([1.0, 0.0], ["a", "a"])
    with pytest.raises(ValueError, match="1, 0 or -1"):
        clustered.clustered_tango_p([0.5] * 6, range(6))
    with pytest.raises(ValueError, match=r"scores in \[0, 1\]"):
        clustered.clustered_wilson_interval([2.0] * 6, range(6))


SIZES = (1, 2, 3, 4, 10, 2)
UNEQUAL = [cluster for cluster, size in enumerate(SIZES) for _ in range(size)]


def test_unequal_clusters_have_the_error_and_freedom_of_bell_and_mccaffrey() -> None:
    # Computed with the matrices of the general method: residual makers, their roots, and the traces of G'G.
    gains = [1, 0, 1, -1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, -1, 1, 0, 1]
    error, df = clustered.cluster_error(gains, UNEQUAL)
    assert error == pytest.approx(0.07743528485594245, rel=1e-12)
    assert df == pytest.approx(2.9095299055273767, rel=1e-12)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000))
def test_equal_clusters_have_those_of_cr1(count: int, size: int, seed: int) -> None:
    values, clusters = random_pairs(count, size, seed)
    error, df = clustered.cluster_error(values, clusters)
    assert error == pytest.approx(clustered.cluster_standard_error(values, clusters), rel=1e-12)
    assert df == pytest.approx(count - 1, rel=1e-12)
    with pytest.raises(ValueError, match="needs two of them"):
        clustered.cluster_error([1.0, 0.0], ["a", "a"])


def test_unequal_clusters_seldom_tell_equal_arms_apart() -> None:
    # CR1 with C - 1 degrees of freedom errs in about 10 % here; 5 % and three standard errors are .064.
    random = Random(6)
    sizes, runs = (1, 1, 2, 2, 3, 3, 5, 8, 10, 15), 2000
    clusters = [cluster for cluster, size in enumerate(sizes) for _ in range(size)]
    errors = {"as used": 0, "CR1": 0}
    for _ in range(runs):
        lean = [random.gauss(0.0, 0.6) for _ in sizes]
        gains = [lean[cluster] + random.gauss(0.0, 0.8) for cluster in clusters]
        errors["as used"] += (clustered.clustered_p(gains, clusters) or 1.0) <= 0.05
        plain = clustered.clustered_mean_interval(gains, clusters)
        errors["CR1"] += plain is not None and plain.excludes_zero
    assert errors["as used"] / runs <= 0.064
    assert errors["CR1"] / runs > 0.08


def test_an_interval_fitted_to_sizes_is_wider_where_they_differ() -> None:
    passed = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, *[1.0, 0.0] * 5, 0.0, 1.0]
    plain = clustered.clustered_wilson_interval(passed, UNEQUAL)
    fitted = clustered.clustered_wilson_interval(passed, UNEQUAL, is_fitted_to_sizes=True)
    assert plain is not None
    assert fitted is not None
    assert fitted.low < plain.low < 0.6 < plain.high < fitted.high
