from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from headrace.domain.comparison import Interval
from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare

ARMS = [
    ArmLines(arm=name, lines={str(i): (LineObservation(scores={"accuracy": score}),) for i in range(6)})
    for name, score in (("base", 0.0), ("new", 1.0))
]


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (-0.1, 0.0, False)],
)
def test_an_interval_that_touches_zero_does_not_exclude_it(low: float, high: float, excludes: bool) -> None:
    assert Interval(low=low, high=high, level=0.95, method="t").excludes_zero is excludes


def test_arms_are_looked_up_by_name() -> None:
    comparison = compare(ARMS, baseline="base", metrics=[MetricSpec(name="accuracy")])
    assert comparison.primary is comparison.metrics[0]
    assert comparison.summary_of("new").arm == "new"
    assert comparison.metrics[0].score_of("new").arm == "new"
    effect = comparison.metrics[0].effect_of("new")
    assert effect is not None
    assert effect.against == "base"
    assert comparison.metrics[0].effect_of("base") is None
    for look_up in (comparison.summary_of, comparison.metrics[0].score_of):
        with pytest.raises(KeyError, match="nobody"):
            look_up("nobody")


def test_results_cannot_be_changed() -> None:
    comparison = compare(ARMS, baseline="base", metrics=[])
    assert comparison.primary is None
    with pytest.raises(FrozenInstanceError):
        comparison.baseline = "new"
