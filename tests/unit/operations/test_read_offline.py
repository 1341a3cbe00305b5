"""Offline results beside a look at an online test, from the experiment that the traffic file names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.ab_reports import a_comparison, a_report, a_view, an_arm
from tests.support.evidence import a_traffic
from tests.support.racing import make_racers

from headrace.config import load_settings
from headrace.domain.traffic import OnlineMetric
from headrace.evaluation.report.online_view import AbView
from headrace.formats.experiment import load_experiment
from headrace.operations.read_offline import OfflineReader
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    make_racers(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


def look(baseline: str = "worst", experiment: str = "race", version: str = "flow@000000000000") -> AbView:
    metric = OnlineMetric(name="helpful", source="thumbs", offline="passed")
    weights = {"worst": 0.5, "best": 0.5}
    traffic = a_traffic(weights, baseline=baseline, metrics=(metric,), experiment=experiment)
    comparison = a_comparison("best", metric="helpful", against=baseline)
    arms = (an_arm("worst", is_baseline=True), an_arm("best", versions=(version,)))
    return a_view(a_report(baseline=baseline, arms=arms, comparisons=(comparison,)), traffic=traffic)


def test_the_effect_of_an_experiment_stands_beside_that_of_live_requests(workspace: Workspace) -> None:
    result = run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    offline = OfflineReader(workspace).beside(look()).offline

    assert offline is not None
    assert offline.experiment == result.experiment
    (effect,) = offline.effects
    # The experiment had another baseline; the arms are compared with that of the online test.
    assert result.comparison.baseline == "fair"
    assert effect.offline is not None
    assert effect.offline.n == 20
    assert effect.offline.value > 0.3
    assert (effect.agreement, effect.reason) == ("agree", "better offline and online")
    digest = result.runs[0].spec.flow_digest[:12]
    assert offline.notes == (
        f"best is another version online than offline: flow@000000000000, not {digest}.",
    )
    same = OfflineReader(workspace).beside(look(version=f"flow@{digest}")).offline
    assert same is not None
    assert same.notes == ()


@pytest.mark.parametrize(
    ("experiment", "baseline", "note"),
    [("tirage", "worst", "no finished experiment tirage"), ("race", "nobody", 'has no arm "nobody"')],
)
def test_what_keeps_offline_results_away_is_said(
    workspace: Workspace, experiment: str, baseline: str, note: str
) -> None:
    run_experiment(workspace, load_experiment(Path("experiment.yaml")))
    offline = OfflineReader(workspace).beside(look(baseline, experiment)).offline
    assert offline is not None
    assert offline.effects == ()
    assert note in offline.notes[0]


def test_a_test_that_names_no_experiment_is_shown_as_it_is(workspace: Workspace) -> None:
    view = look(experiment="")
    assert OfflineReader(workspace).beside(view) is view
