"""Published and independently computed values that the statistics reproduce."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import enumeration

from headrace.domain.comparison import Interval
from headrace.evaluation.stats import (
    agreement,
    clustered,
    estimate,
    group_sequential,
    labelled,
    multiple,
    paired,
    paired_rates,
    power,
    racing,
    ranking,
    repeats,
    sequential,
)
from headrace.evaluation.stats.rare_events import RareEvents
from headrace.evaluation.stats.sample_ratio import SampleRatioTest

CASES = json.loads((Path(__file__).parent / "reference_values.json").read_text("utf-8"))

RATE_INTERVALS: Mapping[str, Callable[[int, int], Interval]] = {
    "wilson": estimate.wilson_interval,
    "clopper_pearson": estimate.clopper_pearson_interval,
    "beta": estimate.beta_interval,
}
PAIRED_TESTS: Mapping[str, Callable[[int, int], float]] = {
    "midp": paired.mcnemar_mid_p,
    "exact": paired_rates.mcnemar_exact_p,
    "asymptotic": paired_rates.mcnemar_asymptotic_p,
}


def ends(interval: Interval | None) -> list[float]:
    assert interval is not None
    return [interval.low, interval.high]


def coverage_one_proportion(method: str, n: int, p: float) -> float:
    interval = RATE_INTERVALS[method]
    return enumeration.rate_coverage(lambda k, of: (interval(k, of).low, interval(k, of).high), n, p)


def rejection_paired(which: str, n: int, discordance: float, delta: float) -> float:
    return enumeration.rejection(PAIRED_TESTS[which], n, discordance, delta)


def mcnemar(b: int, c: int) -> dict[str, float]:
    return {which: test(b, c) for which, test in PAIRED_TESTS.items()}


def paired_t(d: list[float]) -> dict[str, float | None]:
    low, high = ends(estimate.t_interval(d))
    return {"diff": estimate.mean(d), "lo": low, "hi": high, "p": paired.paired_t_p(d)}


def bounded_diff_interval(d: list[float]) -> dict[str, object]:
    interval = estimate.bounded_difference_interval(d)
    assert interval is not None
    method = "t+pseudo" if "guard" in interval.method else "t"
    return {"diff": estimate.mean(d), "method": method, "lo": interval.low, "hi": interval.high}


def ppi_mean(y: list[float], f: list[float], fu: list[float], lam: float | None) -> dict[str, float]:
    found = labelled.plain_labelled_mean(y, f, fu, weight=lam)
    return {"estimate": found.value, "lo": found.interval.low, "hi": found.interval.high}


def n_for_mde(
    delta: float, omega2: float, s2a: float = 0.0, s2b: float = 0.0, ka: float = 1.0, kb: float = 1.0
) -> float:
    variance = power.repeated_variance(omega2, s2a, s2b, ours=ka, theirs=kb)
    return power.lines_for_mean_difference(delta, variance)


def mde(n: int, omega2: float, s2a: float = 0.0, s2b: float = 0.0, ka: float = 1.0, kb: float = 1.0) -> float:
    variance = power.repeated_variance(omega2, s2a, s2b, ours=ka, theirs=kb)
    return power.detectable_mean_difference(n, variance)


def race(matrix: list[str], batch: int, start: int, alpha: float) -> dict[str, object]:
    replay = racing.race(
        [[float(bit) for bit in row] for row in matrix], batch=batch, start=start, alpha=alpha
    )
    names = ("winner", "calls", "full_grid_calls")
    return {**{name: getattr(replay, name) for name in names}, "n_dropped": len(replay.dropped_at)}


def two_arm_log_e(arms: str, scores: str, share: float) -> float:
    contrast = sequential.Contrast()
    for arm, score in zip(arms, scores, strict=True):
        contrast.add(float(score), share, is_arm=arm == "1")
    return contrast.bets.log_e


def rare_events_log_e(bad_t: int, bad_c: int, share: float, max_ratio: float) -> float:
    events = RareEvents(max_ratio)
    for is_arm in [*[True] * bad_t, *[False] * bad_c]:
        events.add(share, is_arm=is_arm)
    return events.log_e


def sample_ratio_log_e(counts: list[int], weights: list[float]) -> float:
    test = SampleRatioTest()
    for arm, count in enumerate(counts):
        for _ in range(count):
            test.add(str(arm), {str(place): weight for place, weight in enumerate(weights)})
    return test.log_e


def relative_sequence(
    ma: float, va: float, na: int, mb: float, vb: float, nb: int, n_star: int
) -> dict[str, float]:
    lift = (mb - ma) / ma
    se = (vb / (nb * ma**2) + va * mb**2 / (na * ma**4)) ** 0.5
    half = sequential.sequence_half_width(se, na + nb, 0.05, n_star)
    return {"diff": lift, "lo": lift - half, "hi": lift + half}


QUANTITIES: Mapping[str, Callable[..., Any]] = {
    "benjamini_hochberg": multiple.benjamini_hochberg,
    "best_set": lambda matrix: ranking.best_set_p(
        [[float(bit) for bit in row] for row in matrix], is_binary=True
    ),
    "ballot_p": racing.ballot_p,
    "beta_credible": lambda k, n: ends(estimate.beta_interval(k, n)),
    "bonett_price": lambda b, c, n: ends(paired_rates.bonett_price_interval(b, c, n)),
    "bounded_diff_interval": bounded_diff_interval,
    "clopper_pearson": lambda k, n: ends(estimate.clopper_pearson_interval(k, n)),
    "cohen_kappa": agreement.cohen_kappa,
    "coverage_one_proportion": coverage_one_proportion,
    "fleiss_kappa": agreement.fleiss_kappa,
    "holm": multiple.holm,
    "krippendorff_alpha": agreement.krippendorff_alpha,
    "mcnemar": mcnemar,
    "mde": mde,
    "mean_ci_clustered": lambda xs, groups: ends(clustered.clustered_mean_interval(xs, groups)),
    "n_for_mde": n_for_mde,
    "n_paired_binary": power.lines_for_binary_difference,
    "newcombe_paired": lambda a, b, c, d: ends(paired_rates.newcombe_interval(a, b, c, d)),
    "paired_t": paired_t,
    "ppi_mean": ppi_mean,
    "prob_better": paired.probability_better,
    "rejection_paired": rejection_paired,
    "race": race,
    # A line's rate of success is uniform: the variance is 1/12 between lines and 1/6 within.
    "resampling_variance_factor": lambda k: repeats.repeat_variance_factor(k, 1 / 12, 1 / 6),
    "se_clt": estimate.standard_error,
    "se_clustered": lambda xs, groups, correction: clustered.cluster_standard_error(
        xs, groups, is_corrected=correction
    ),
    "se_paired_from_summaries": paired.paired_standard_error,
    "sequential_mcnemar_log_e": racing.sequential_mcnemar_log_e,
    "sign_flip_exact": paired.sign_flip_p,
    "tango": lambda b, c, n: ends(paired.tango_interval(b, c, n)),
    "obrien_fleming": lambda n_looks, alpha: list(group_sequential.obrien_fleming_boundaries(n_looks, alpha)),
    "rare_events_log_e": rare_events_log_e,
    "relative_sequence": relative_sequence,
    "sample_ratio_log_e": sample_ratio_log_e,
    "sequence_tuning": sequential.sequence_tuning,
    "two_arm_log_e": two_arm_log_e,
    "wald_paired": lambda b, c, n: ends(paired_rates.wald_interval(b, c, n)),
    "wilson": lambda k, n: ends(estimate.wilson_interval(k, n)),
}
#: Called with the inputs in the order of the case, whose names are not ours.
POSITIONAL = {
    "benjamini_hochberg",
    "holm",
    "n_paired_binary",
    "prob_better",
    "se_clt",
    "se_paired_from_summaries",
    "sign_flip_exact",
}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_reference_value(case: dict[str, Any]) -> None:
    function, inputs = QUANTITIES[case["quantity"]], case["inputs"]
    found = function(*inputs.values()) if case["quantity"] in POSITIONAL else function(**inputs)
    tolerance = {"rel": 0.0, "abs": 0.0, **case["tolerance"]}
    expected = case["expected"]
    if isinstance(expected, dict):
        words = {key: value for key, value in expected.items() if isinstance(value, str)}
        assert {key: found[key] for key in words} == words
        expected = {key: value for key, value in expected.items() if key not in words}
        found = {key: found[key] for key in expected}
    assert found == pytest.approx(expected, **tolerance)


def test_every_quantity_has_a_case() -> None:
    assert {case["quantity"] for case in CASES} == set(QUANTITIES)
