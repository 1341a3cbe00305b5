"""Published and independently computed values that the statistics reproduce."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.comparison import Interval
from headrace.evaluation.stats import estimate, multiple, paired, power

CASES = json.loads((Path(__file__).parent / "reference_values.json").read_text("utf-8"))


def wilson_coverage(n: int, rate: float) -> float:
    covered = 0.0
    for successes in range(n + 1):
        interval = estimate.wilson_interval(successes, n)
        if interval.low <= rate <= interval.high:
            covered += comb(n, successes) * rate**successes * (1 - rate) ** (n - successes)
    return covered


def paired_t(differences: list[float]) -> list[float]:
    interval = estimate.t_interval(differences)
    p = paired.paired_t_p(differences)
    assert interval is not None
    assert p is not None
    return [interval.low, interval.high, p]


FUNCTIONS: dict[str, Any] = {
    "benjamini_hochberg": multiple.benjamini_hochberg,
    "bounded_difference_interval": estimate.bounded_difference_interval,
    "clopper_pearson_interval": estimate.clopper_pearson_interval,
    "detectable_mean_difference": power.detectable_mean_difference,
    "holm": multiple.holm,
    "lines_for_binary_difference": power.lines_for_binary_difference,
    "lines_for_mean_difference": power.lines_for_mean_difference,
    "mcnemar_mid_p": paired.mcnemar_mid_p,
    "paired_t": paired_t,
    "probability_better": paired.probability_better,
    "sign_flip_p": paired.sign_flip_p,
    "tango_interval": paired.tango_interval,
    "wilson_coverage": wilson_coverage,
    "wilson_interval": estimate.wilson_interval,
}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_reference_value(case: dict[str, Any]) -> None:
    found = FUNCTIONS[case["function"]](**case["arguments"])
    if isinstance(found, Interval):
        found = [found.low, found.high]
    tolerance = {"rel": 0.0, "abs": 0.0, **case["tolerance"]}
    assert found == pytest.approx(case["expected"], **tolerance)


def test_every_function_has_a_case() -> None:
    assert {case["function"] for case in CASES} == set(FUNCTIONS)
