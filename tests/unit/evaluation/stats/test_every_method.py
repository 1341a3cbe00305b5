"""What holds of all methods: finite numbers whatever goes in, more lines say more, p between 0 and 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.comparison import Interval
from headrace.evaluation.stats import (
    agreement,
    clustered,
    estimate,
    labelled,
    margins,
    paired,
    paired_rates,
    power,
    ranking,
    repeats,
)

VALUES = st.lists(
    st.one_of(st.floats(-1e100, 1e100), st.sampled_from([0.0, 1.0, 1e-12, -1e-9, 0.1 + 0.2])),
    min_size=2,
    max_size=12,
)


def numbers(found: object) -> Iterator[float]:
    if isinstance(found, float):
        yield found
    elif isinstance(found, list | tuple):
        for item in found:
            yield from numbers(item)
    elif is_dataclass(found):
        for field in fields(found):
            yield from numbers(getattr(found, field.name))


@settings(deadline=None)
@given(VALUES)
def test_numbers_are_finite(values: list[float]) -> None:
    other = values[::-1]
    clusters = [index // 2 for index in range(len(values))]
    found = [
        estimate.t_interval(values),
        estimate.difference_interval(values, value_range=1.0),
        clustered.clustered_mean_interval(values, range(len(values))),
        clustered.clustered_difference_interval(values, clusters, value_range=1.0),
        clustered.clustered_p(values, clusters),
        clustered.cluster_sign_flip_p(values, clusters),
        clustered.intraclass_correlation(values, clusters),
        clustered.design_effect(values, clusters),
        paired.sign_flip_p(values),
        paired.paired_t_p(values),
        paired.probability_mean_positive(values),
        margins.tost_p(values, 0.1, is_binary=False),
        margins.superiority_p(values, 0.1, is_binary=False, clusters=clusters),
        ranking.best_set_p([values, other], is_binary=False),
        ranking.shrink([values, other, values], draws=20),
        repeats.spread([([a, b], [b, b]) for a, b in zip(values, other, strict=True)]),
        agreement.krippendorff_alpha([values, other], level="interval"),
        agreement.krippendorff_alpha([values, other], level="ratio"),
        agreement.kappa_of_ratings(values, other, weights="quadratic"),
        labelled.labelled_mean(values * 30, other * 30, values),
    ]
    assert all(isfinite(number) for number in numbers(found))


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12))
def test_twice_the_lines_narrow_every_interval(wins: int, losses: int, ties: int) -> None:
    def intervals(times: int) -> Mapping[str, Interval | None]:
        ups, downs, same = times * wins, times * losses, times * ties
        n = ups + downs + same
        differences = [1.0] * ups + [-1.0] * downs + [0.0] * same
        return {
            "Wilson": estimate.wilson_interval(ups, n),
            "Clopper-Pearson": estimate.clopper_pearson_interval(ups, n),
            "Beta": estimate.beta_interval(ups, n),
            "Tango": paired.tango_interval(ups, downs, n),
            "Bonett-Price": paired_rates.bonett_price_interval(ups, downs, n),
            "Newcombe": paired_rates.newcombe_interval(same, ups, downs, 0),
            "guarded t": estimate.difference_interval(differences, value_range=1.0) if ups != downs else None,
            "clusters": clustered.clustered_tango_interval(differences, range(n)),
        }

    for (name, once), twice in zip(intervals(1).items(), intervals(2).values(), strict=True):
        if once is not None and twice is not None:
            assert twice.high - twice.low < once.high - once.low + 1e-9, name


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_more_lines_detect_less(n: int) -> None:
    assert power.detectable_mean_difference(2 * n, 0.2) < power.detectable_mean_difference(n, 0.2)
    fewer, more = (power.detectable_binary_difference(lines, 0.2) for lines in (n, 2 * n))
    assert fewer is not None
    assert more is not None
    assert more < fewer
