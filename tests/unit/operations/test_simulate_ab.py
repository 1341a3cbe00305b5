"""Simulations of online tests: the same code as live tests, seen from far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.scenario import Levels, Scenario
from headrace.domain.traffic import Traffic
from headrace.errors import UsageError
from headrace.formats.scenario import usual_scenario, with_first_metric
from headrace.formats.traffic import read_traffic
from headrace.operations.simulate_ab import needed_units, simulate_ab, true_difference

TRAFFIC = """\
name: demo
unit: {header: x-user}
arms:
  - {name: old, weight: 0.9}
  - {name: new, weight: 0.1}
metrics:
  - {name: helpful, window: 10m, missing: 0}
guardrails: [{metric: failures, max_ratio: 1.5}]
"""


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    return a_traffic(tmp_path, TRAFFIC)


@pytest.fixture
def even(tmp_path: Path) -> Traffic:
    return a_traffic(tmp_path, TRAFFIC.replace("0.9", "0.5").replace("0.1}", "0.5}"))


def a_traffic(folder: Path, text: str) -> Traffic:
    path = folder / "traffic.yaml"
    path.write_text(text, encoding="utf-8")
    return read_traffic(path)


def a_scenario(traffic: Traffic, *, days: float, effect: float = 0.0) -> Scenario:
    usual = replace(usual_scenario(traffic), days=days, requests_per_day=1000.0)
    return with_first_metric(traffic, usual, base=0.5, effect=effect)


def test_every_run_that_is_over_is_told(even: Traffic) -> None:
    told: list[int] = []
    simulate_ab(even, a_scenario(even, days=0.1), runs=3, workers=1, on_played=lambda: told.append(1))
    assert len(told) == 3


def test_a_large_effect_is_found_and_a_small_test_says_nothing(even: Traffic) -> None:
    large = simulate_ab(even, a_scenario(even, days=2, effect=0.3), runs=4, workers=1)
    (arm,) = large.arms
    assert arm.called.words == {"better": 4, "worse": 0, "equivalent": 0, "inconclusive": 0}
    assert (arm.called.n_false, arm.difference) == (0, pytest.approx(0.3))
    assert arm.called.units.half is not None
    assert 50 <= arm.called.units.half <= 1000
    (arm,) = simulate_ab(even, a_scenario(even, days=0.1, effect=0.3), runs=2, workers=1).arms
    assert (arm.called.words["inconclusive"], arm.called.days.half) == (2, None)


def test_a_harm_is_called_worse(even: Traffic) -> None:
    (arm,) = simulate_ab(even, a_scenario(even, days=2, effect=-0.3), runs=2, workers=1).arms
    assert (arm.called.words["worse"], arm.called.n_false) == (2, 0)


def test_the_same_seed_plays_the_same_and_another_one_does_not(even: Traffic) -> None:
    scenario = a_scenario(even, days=1, effect=0.2)
    first = simulate_ab(even, scenario, runs=2, workers=1)
    assert simulate_ab(even, scenario, runs=2, workers=1) == first
    assert simulate_ab(even, scenario, runs=2, seed=1, workers=1) != first


def test_processes_play_what_one_plays(even: Traffic) -> None:
    scenario = a_scenario(even, days=0.2, effect=0.2)
    assert simulate_ab(even, scenario, runs=8, workers=2) == simulate_ab(even, scenario, runs=8, workers=1)


def test_an_arm_that_breaks_is_rolled_back_and_its_requests_are_counted_since(traffic: Traffic) -> None:
    scenario = a_scenario(traffic, days=3)
    levels = scenario.levels("new", 0.0)
    broken: tuple[tuple[float, Levels], ...] = ((0.0, levels), (43_200.0, replace(levels, failures=0.5)))
    simulation = simulate_ab(
        traffic, replace(scenario, arms={**scenario.arms, "new": broken}), runs=3, workers=1, look_s=900
    )
    (arm,) = simulation.arms
    assert arm.rollbacks.n == 3
    assert arm.rollbacks.by == {"guardrail failures": 3}
    assert arm.rollbacks.hours.nine_of_ten is not None
    assert arm.rollbacks.requests.nine_of_ten is not None
    assert 0 < arm.rollbacks.hours.nine_of_ten < 24
    assert 5 < arm.rollbacks.requests.nine_of_ten < 100


def test_what_changes_on_the_way_has_no_true_difference(even: Traffic) -> None:
    scenario = a_scenario(even, days=1, effect=0.2)
    levels = scenario.levels("new", 0.0)
    other = replace(levels, metrics={"helpful": replace(levels.metrics["helpful"], mean=0.1)})
    changing = replace(scenario, arms={**scenario.arms, "new": ((0.0, levels), (60.0, other))})
    assert true_difference(even, changing, "new") is None
    assert true_difference(even, scenario, "new") == pytest.approx(0.2)


def test_planned_looks_get_the_units_that_a_difference_needs(even: Traffic) -> None:
    scenario = with_first_metric(even, usual_scenario(even), base=0.7, effect=0.05)
    whole = needed_units(even, scenario)
    # 1.03 (1.96 + 1.2816)^2 2 (0.21 + 0.1875) / 0.05^2
    assert whole == pytest.approx(3442, abs=2)
    assert needed_units(even, replace(scenario, feedback_share=0.5)) > 2 * whole
    assert needed_units(even, with_first_metric(even, scenario, base=0.7, effect=0.0)) == 28_000
    short = replace(even, metrics=(replace(even.metrics[0], missing=None, window_s=60.0),))
    # 1 - 1 / e of what is said, on average a minute after the answer, is said within a minute
    assert needed_units(short, scenario) == pytest.approx(whole / 0.632, rel=0.01)


def test_there_has_to_be_something_to_decide(even: Traffic) -> None:
    scenario = a_scenario(even, days=1)
    for changed in (replace(even, metrics=()), replace(even, arms=even.arms[:1])):
        with pytest.raises(UsageError) as caught:
            simulate_ab(changed, scenario, runs=1)
        assert caught.value.problems[0].code == "G991"
    with pytest.raises(UsageError) as caught:
        simulate_ab(even, replace(scenario, requests_per_day=1e6), runs=1)
    assert caught.value.problems[0].code == "G992"
