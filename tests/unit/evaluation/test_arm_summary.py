from __future__ import annotations

from math import inf, nan

import pytest
from tests.unit.evaluation.builders import an_observation

from headrace.domain.scores import ArmLines, LineObservation
from headrace.evaluation.arm_summary import has_only_failures, summarise_arm


def an_arm_of(name: str, *observations: LineObservation) -> ArmLines:
    return ArmLines(arm=name, lines={str(i): (o,) for i, o in enumerate(observations)})


def test_totals_count_every_execution() -> None:
    arm = ArmLines(
        arm="a",
        lines={
            "x": (
                an_observation(tokens=(10, 1), cost_usd=0.5),
                an_observation(tokens=(20, 2), cost_usd=0.25),
            ),
            "y": (an_observation(tokens=(30, 3), cost_usd=0.25, is_failed=True),),
            "z": (),
        },
    )
    summary = summarise_arm(arm, arm)
    assert (summary.n_lines, summary.n_observations, summary.n_failed, summary.repeats) == (2, 3, 1, 2)
    assert (summary.prompt_tokens, summary.completion_tokens, summary.total_tokens) == (60, 6, 66)
    assert summary.cost_usd == 1.0


@pytest.mark.parametrize("unknown", [None, nan, inf])
def test_one_unknown_price_makes_the_total_unknown(unknown: float | None) -> None:
    arm = an_arm_of("a", an_observation(cost_usd=0.5), an_observation(cost_usd=unknown))
    assert summarise_arm(arm, arm).cost_usd is None


def test_latency_is_that_of_executions_that_did_not_fail() -> None:
    observations = [an_observation(duration_ms=float(ms)) for ms in range(1, 101)]
    slow = an_observation(duration_ms=60_000.0, is_failed=True)
    unmeasured = an_observation(duration_ms=0.0)
    summary = summarise_arm(arm := an_arm_of("a", *observations, slow, unmeasured), arm)
    assert summary.latency_p50_ms is not None
    assert summary.latency_p95_ms is not None
    assert summary.latency_p50_ms.value == pytest.approx(50.5)
    assert summary.latency_p95_ms.value == pytest.approx(95.05)
    assert summary.latency_p95_ms.n == 100
    assert summary.latency_p95_ms.interval is not None
    assert summary.latency_p95_ms.interval.low < 95.0 < summary.latency_p95_ms.interval.high


def test_ratios_pair_by_line_id() -> None:
    baseline = ArmLines(
        arm="base",
        lines={
            "x": (an_observation(duration_ms=100.0, cost_usd=0.01),),
            "y": (an_observation(duration_ms=1000.0, cost_usd=0.02),),
            "only-base": (an_observation(duration_ms=9.0, cost_usd=9.0),),
        },
    )
    arm = ArmLines(
        arm="a",
        lines={
            "y": (an_observation(duration_ms=2000.0, cost_usd=0.01, tokens=(110, 10)),),
            "x": (an_observation(duration_ms=200.0, cost_usd=0.005, tokens=(110, 10)),),
            "only-a": (an_observation(duration_ms=1.0, cost_usd=1.0),),
        },
    )
    summary = summarise_arm(arm, baseline)
    assert summary.latency_ratio is not None
    assert summary.cost_ratio is not None
    assert summary.token_ratio is not None
    assert summary.latency_ratio.value == pytest.approx(2.0)
    assert summary.latency_ratio.n == 2
    assert summary.cost_ratio.value == pytest.approx(0.5)
    assert summary.token_ratio.value == pytest.approx(2.0)


def test_the_baseline_has_no_ratio_to_itself() -> None:
    arm = an_arm_of("a", an_observation(cost_usd=1.0))
    summary = summarise_arm(arm, arm)
    assert summary.latency_ratio is None
    assert summary.cost_ratio is None


def test_nothing_recorded_is_nothing_known() -> None:
    empty = ArmLines(arm="a", lines={})
    summary = summarise_arm(empty, an_arm_of("b", an_observation()))
    assert summary.n_lines == summary.repeats == summary.total_tokens == 0
    assert summary.cost_usd is None
    assert summary.latency_p50_ms is None
    assert summary.latency_ratio is None
    assert not has_only_failures(empty)


def test_an_arm_that_only_fails_is_known_as_such() -> None:
    failed = an_observation(is_failed=True)
    assert has_only_failures(an_arm_of("a", failed, failed))
    assert not has_only_failures(an_arm_of("a", failed, an_observation()))
