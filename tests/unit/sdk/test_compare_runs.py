"""``headrace.compare`` over flows that run here; given scores have a module of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

import headrace
from headrace.errors import HeadraceError, UsageError
from headrace.operations.init_flow import init_flow
from headrace.sdk.client import PFClient

FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- name: say
  type: prompt
  inputs: {text: "${inputs.text}"}
  use_variants: true
node_variants:
  say:
    default_variant_id: plain
    variants:
      plain: {node: {type: prompt, source: {type: code, path: plain.jinja2}, inputs: {text: "${inputs.text}"}}}
      loud: {node: {type: prompt, source: {type: code, path: loud.jinja2}, inputs: {text: "${inputs.text}"}}}
"""
EXPERIMENT = """\
name: words
flow: flow
data: data.jsonl
variants: [say.loud, say.plain]
evaluators:
- {flow: judge, column_mapping: {prediction: "${run.outputs.answer}", groundtruth: "${data.text}"}}
metrics: [{name: correct, margin: 0.25}]
"""
MAPPING = {"prediction": "${run.outputs.answer}", "groundtruth": "${data.text}"}
JUDGE = {"flow": "judge", "column_mapping": MAPPING}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    flow.joinpath("plain.jinja2").write_text("{{text}}", "utf-8")
    flow.joinpath("loud.jinja2").write_text("{{text|upper}}{% if text != 'b' %}!{% endif %}", "utf-8")
    init_flow(tmp_path / "judge", "evaluation")
    words = "abcdefghijklmnop"
    (tmp_path / "data.jsonl").write_text(
        "".join(json.dumps({"text": word}) + "\n" for word in words), "utf-8"
    )
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT, "utf-8")
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


def test_an_experiment_file_is_run_and_compared_again(folder: Path) -> None:
    arms = headrace.compare("experiment.yaml")
    assert (arms.baseline, arms.recommendation.arm) == ("loud", "plain")
    arms.assert_better("correct", arm="plain")
    scores = {(item.arm, item.line): item for item in arms.scores}
    assert len(scores) == 32
    found = scores["plain", "3"]
    assert (found.value, found.metric, found.evaluator, found.failed) == (1.0, "correct", "judge", False)
    assert scores["loud", "3"].value == 0.0
    runs = {run.spec.name for run in arms.result.runs}
    assert found.run in runs
    assert found.evaluation_run not in runs | {""}
    again = headrace.compare(again=arms.result.experiment)
    assert again.comparison == arms.comparison


def test_scores_say_why_and_what_an_evaluation_that_failed_said(folder: Path) -> None:
    (folder / "judge.py").write_text(
        "def judge(answer: str) -> dict:\n"
        "    if answer == 'C!':\n"
        "        raise ValueError('cannot be judged')\n"
        "    return {'loudness': float(answer.isupper()), 'loudness_label': 'loud', 'loudness_reason': answer}\n",
        "utf-8",
    )
    (folder / "flow.flex.yaml").write_text("entry: judge:judge\n", "utf-8")
    mapping = {"answer": "${run.outputs.answer}"}
    arms = headrace.compare(
        flow="flow",
        data="data.jsonl",
        evaluators=[{"name": "j", "flow": "flow.flex.yaml", "column_mapping": mapping}],
    )
    scores = {(item.arm, item.line): item for item in arms.scores}
    assert {item.metric for item in arms.scores} == {"loudness"}
    good, failed = scores["loud", "0"], scores["loud", "2"]
    assert (good.value, good.label, good.reason, good.error, good.cost_usd) == (1.0, "loud", "A!", None, 0.0)
    assert (failed.value, failed.failed, failed.evaluator) == (None, False, "j")
    assert "cannot be judged" in (failed.error or "") or "ValueError" in (failed.error or "")


def test_arguments_win_over_the_file(folder: Path) -> None:
    arms = headrace.compare(folder, baseline="plain", margin=0.5, alpha=0.1, seed=3)
    assert arms.baseline == "plain"
    assert (arms.metric().spec.margin, arms.provenance.alpha, arms.provenance.seed) == (0.5, 0.1, 3)
    with pytest.raises(UsageError, match="C507"):
        headrace.compare("experiment.yaml", models=["baseline"])


@pytest.mark.parametrize(
    "variants", [(), ["loud", "plain"], [{"name": "loud", "choices": {"say": "loud"}}, "plain"]]
)
def test_arguments_alone_say_what_a_file_says(folder: Path, variants: list[object]) -> None:
    arms = headrace.compare(
        flow="flow", data="data.jsonl", variants=variants, evaluators=[JUDGE], metrics="correct", margin=0.25
    )
    assert {summary.arm for summary in arms.arms} == {"plain", "loud"}
    assert abs(arms.metrics[0].effects[0].difference.value) == 15 / 16  # type: ignore[union-attr]
    assert arms.metric().spec.margin == 0.25


def test_what_is_not_said_of_a_metric_is_for_its_evaluator_to_say(folder: Path) -> None:
    arms = headrace.compare(
        flow="flow", data="data.jsonl", evaluators=["latency"], metrics={"name": "latency", "margin": 5.0}
    )
    assert (arms.metric().spec.direction, arms.metric().spec.margin) == ("lower", 5.0)


def test_runs_of_a_script_are_compared(folder: Path) -> None:
    client = PFClient()
    runs = [
        client.run("flow", data="data.jsonl", variant=f"${{say.{name}}}", name=name)
        for name in ("loud", "plain")
    ]
    for run in runs:
        client.run("judge", data="data.jsonl", run=run, column_mapping=MAPPING)
    arms = headrace.compare(*runs)
    assert [summary.n_lines for summary in arms.arms] == [16, 16]
    by_name = headrace.compare("loud", "plain", metrics="correct")
    assert by_name.verdict(by_name.arms[1].arm).word == "better"


def test_a_notebook_whose_loop_runs_can_compare(folder: Path) -> None:
    async def cell() -> str | None:
        return headrace.compare("experiment.yaml").recommendation.arm

    assert asyncio.run(cell()) == "plain"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("G902", {"evaluators": []}),
        ("F001", {"evaluators": [{"flow": "nowhere"}]}),
        ("V301", {"variants": ["quiet"]}),
        ("C507", {"evaluators": [lambda answer: 1]}),
        ("F001", {"data": "nothing.jsonl"}),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(
    folder: Path, code: str, options: dict[str, object]
) -> None:
    given = {"flow": "flow", "data": "data.jsonl", "evaluators": [JUDGE], "metrics": "correct", **options}
    with pytest.raises(HeadraceError, match=code) as caught:
        headrace.compare(**given)  # type: ignore[arg-type]
    assert caught.value.problems[0].span is None
    assert PFClient().runs.list() == []
