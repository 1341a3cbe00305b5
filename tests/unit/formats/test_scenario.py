"""Scenario files: what a simulation supposes, with every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.scenario import Level, Spread
from headrace.domain.traffic import Traffic
from headrace.errors import DefinitionError
from headrace.formats.scenario import read_scenario, usual_scenario, with_first_metric
from headrace.formats.traffic import read_traffic

TRAFFIC = """\
name: demo
arms:
  - {name: old, weight: 0.5}
  - {name: new, weight: 0.5}
metrics:
  - {name: helpful, from: thumbs, window: 10m}
  - {name: rating, kind: mean, range: [1, 5], window: 1d}
  - {name: latency_ms, range: [0, 10000]}
"""


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    path = tmp_path / "traffic.yaml"
    path.write_text(TRAFFIC, encoding="utf-8")
    return read_traffic(path)


def write(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_scenario_says_what_arms_do_and_when(tmp_path: Path, traffic: Traffic) -> None:
    text = """\
days: 14
requests_per_day: 2000
requests_per_unit: 2
feedback: {share: 0.3, delay: 2h}
arms:
  old: {failures: 0.02, helpful: 0.7, latency_ms: {median: 800, p95: 2500}}
  new: {helpful: 0.75, rating: {mean: 4, deviation: 1}, changes: [{after: 2d, failures: 0.1}]}
"""
    scenario = read_scenario(write(tmp_path, text), traffic)
    assert (scenario.days, scenario.units_per_day, scenario.feedback_delay_s) == (14, 1000, 7200)
    before, after = scenario.levels("new", 3600), scenario.levels("new", 3 * 86_400)
    assert (before.failures, after.failures, scenario.last_change_s) == (0.02, 0.1, 172_800)
    assert before.metrics == after.metrics
    assert before.metrics["helpful"] == Level(mean=0.75)
    assert before.metrics["rating"] == Level(mean=4, deviation=1)
    assert before.spreads["latency_ms"] == Spread(median=800, p95=2500)
    assert scenario.levels("old", 3 * 86_400).metrics["helpful"] == Level(mean=0.7)


def test_arms_that_are_not_named_do_as_the_baseline_does(tmp_path: Path, traffic: Traffic) -> None:
    scenario = read_scenario(write(tmp_path, "arms: {old: {helpful: 0.9}}\n"), traffic)
    assert scenario.levels("new", 0) == scenario.levels("old", 0)


def test_every_mistake_is_found_with_its_place(tmp_path: Path, traffic: Traffic) -> None:
    text = """\
days: 0
dayz: 3
feedback: {share: 2}
arms:
  odd: {}
  old: {helpful: 1.5, clicks: 1}
  new: {latency_ms: {median: 5, p95: 3}, changes: [{failures: 0.1}]}
"""
    with pytest.raises(DefinitionError) as caught:
        read_scenario(write(tmp_path, text), traffic)
    found = [(problem.code, problem.span.line) for problem in caught.value.problems if problem.span]
    assert found == [
        ("F005", 1), ("F012", 2), ("F005", 3), ("V305", 5), ("F005", 6), ("F012", 6), ("F005", 7), ("F006", 7),
    ]  # fmt: skip


def test_an_effect_moves_all_arms_but_the_baseline(traffic: Traffic) -> None:
    scenario = with_first_metric(traffic, usual_scenario(traffic), base=0.7, effect=0.05)
    means = {arm: scenario.levels(arm, 0).metrics["helpful"].mean for arm in scenario.arms}
    assert means == pytest.approx({"old": 0.7, "new": 0.75})
    with pytest.raises(ValueError, match="out of 0 to 1"):
        with_first_metric(traffic, scenario, base=0.98, effect=0.05)


def test_a_spread_has_the_mean_of_a_lognormal() -> None:
    assert Spread(median=5, p95=5).mean == 5
    assert Spread(median=1000, p95=3000).mean == pytest.approx(1249.9, abs=0.1)
