"""Judgements and labels as they were recorded, whatever an evaluation flow calls its outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import a_line, a_spec, a_time

from headrace.config import load_settings
from headrace.domain.label import Label
from headrace.domain.scores import MetricSpec
from headrace.operations.collect_scores import Collected, collect_run, judged_run
from headrace.operations.measure_judges import measure_judges, stored_labels
from headrace.operations.workspace import Workspace, open_workspace

LABEL = Label(line_number=0, metric="q", value=1.0, labeller="Ada", is_random=True, at=a_time())


def record(
    workspace: Workspace, outputs: dict[str, Any], *, run: str = "first", repeat: int = 0
) -> Collected:
    """A run of one line and its evaluation with these outputs."""
    store = workspace.store
    for spec in (a_spec(run, arm="arm", repeat=repeat), a_spec(f"{run}_q", source_run=run, flow_name="q")):
        store.create_run(spec, n_lines=1, created_at=a_time())
        given = {"outputs": outputs} if spec.source_run else {}
        store.append_lines(spec.name, [a_line(0, **given)])
        store.finish_run(spec.name, status="Completed", finished_at=a_time(), metrics={})
    return collect_run(workspace, judged_run(workspace, store.read_run(run)), None)


@pytest.mark.parametrize(
    "said",
    [
        None, "text", 3, {}, ["a", None, 3], [{"judge": "m"}], [{"judge": "", "score": 1.0}],
        [{"judge": "m", "score": "high"}], [{"judge": "m", "score": 7}], [{"judge": "m", "score": float("nan")}],
        [{"judge": "m", "score": 1.0, "repeat": "x"}], [{"judge": "m", "score": 1.0, "position": "left"}],
    ],
)  # fmt: skip
def test_outputs_that_only_look_like_judgements_measure_nothing(tmp_path: Path, said: Any) -> None:
    with open_workspace(load_settings({"HEADRACE_STORE": "memory:"}), tmp_path) as workspace:
        collected = record(workspace, {"q": 0.5, "q_judgements": said})
        workspace.store.append_labels("first", [LABEL])
        labels = stored_labels(workspace, [collected], [MetricSpec(name="q")])
        found = measure_judges([collected], [MetricSpec(name="q")], labels)["q"]
    assert [item.between for item in found.agreements] == ["judge and people"]


def test_labels_of_repeats_are_averaged_and_those_of_other_lines_left_out(tmp_path: Path) -> None:
    with open_workspace(load_settings({"HEADRACE_STORE": "memory:"}), tmp_path) as workspace:
        collected = [record(workspace, {"q": 0.5}), record(workspace, {"q": 1.0}, run="second", repeat=1)]
        workspace.store.append_labels("first", [replace(LABEL, value=0.0), replace(LABEL, line_number=9)])
        workspace.store.append_labels("second", [LABEL, replace(LABEL, metric="other")])
        (label,) = stored_labels(workspace, collected, [MetricSpec(name="q")])
    assert (label.arm, label.line_id, label.value, label.is_random) == ("arm", "0", 0.5, True)


def test_a_metric_without_judge_and_labels_has_no_quality(tmp_path: Path) -> None:
    with open_workspace(load_settings({"HEADRACE_STORE": "memory:"}), tmp_path) as workspace:
        collected = record(workspace, {"q": 0.5})
    assert measure_judges([collected], [MetricSpec(name="q")], ()) == {}
