"""What a report says beside the numbers, read from recorded runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.operations import collect_report
from headrace.operations.compare_runs import ComparisonResult, compare_runs
from headrace.operations.init_flow import init_flow
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- name: think
  type: python
  source: {type: code, path: think.py}
  inputs: {text: "${inputs.text}"}
- name: say
  use_variants: true
node_variants:
  say:
    default_variant_id: plain
    variants:
      plain:
        node: {type: prompt, source: {type: code, path: say.jinja2}, inputs: {text: "${think.output}"}}
      direct:
        node: {type: prompt, source: {type: code, path: say.jinja2}, inputs: {text: "${inputs.text}"}}
"""
THINK = """\
from promptflow.core import tool


@tool
def think(text: str) -> str:
    if text == "boom":
        raise ValueError(text)
    return text[:1]
"""
JUDGE = """\
inputs:
  prediction: {type: string}
  groundtruth: {type: string}
outputs:
  grade: {type: double, reference: "${grade.output.grade}"}
  grade_label: {type: string, reference: "${grade.output.label}"}
  grade_reason: {type: string, reference: "${grade.output.reason}"}
  grade_judgements: {type: list, reference: "${grade.output.judgements}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {prediction: "${inputs.prediction}", groundtruth: "${inputs.groundtruth}"}
"""
GRADE = """\
from promptflow.core import tool


@tool
def grade(prediction: str, groundtruth: str) -> dict:
    if prediction == "odd":
        raise ValueError(prediction)
    scores = [1.0, 0.0] if groundtruth == "split" else [1.0, 1.0]
    judgements = [{"judge": f"judge{n}", "repeat": 0, "score": score} for n, score in enumerate(scores)]
    return {"grade": sum(scores) / 2, "label": "good", "reason": "It fits.", "judgements": judgements}
"""
MAPPING = {"prediction": "${run.outputs.answer}", "groundtruth": "${data.text}"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    flow.joinpath("think.py").write_text(THINK, "utf-8")
    flow.joinpath("say.jinja2").write_text("{{text}}", "utf-8")
    init_flow(tmp_path / "judge", "evaluation")
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def race(workspace: Workspace, words: tuple[str, ...]) -> ComparisonResult:
    data = workspace.folder / "data.jsonl"
    data.write_text("".join(json.dumps({"text": word}) + "\n" for word in words), "utf-8")
    for name in ("plain", "direct"):
        flow = workspace.folder / "flow"
        create_run(workspace, RunRequest(flow=flow, data=data, name=name, variant=f"${{say.{name}}}"))
        judge = workspace.folder / "judge"
        create_run(
            workspace,
            RunRequest(flow=judge, data=data, source_run=name, column_mapping=MAPPING, name=f"{name}_judged"),
        )
    return compare_runs(workspace, ["plain", "direct"])


def test_the_matrix_aligns_every_line_of_every_arm(workspace: Workspace) -> None:
    matrix = race(workspace, ("a", "bb", "boom")).context.matrix
    assert matrix is not None
    assert matrix.line_ids == ("0", "1", "2")
    assert matrix.scores["correct"] == {"plain": (1.0, 0.0, None), "direct": (1.0, 1.0, None)}
    assert matrix.failed == {"plain": (2,), "direct": (2,)}


def test_largest_losses_come_first_among_the_lines_that_are_shown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect_report, "MAX_SAMPLES", 2)
    context = race(workspace, ("a", "b", "c", "dd")).context
    assert [line.line_id for line in context.sample_lines] == ["3", "0"]
    shown = {output.arm: output for output in context.sample_lines[0].outputs}
    assert (shown["plain"].text, shown["direct"].text) == ("d", "dd")
    assert shown["direct"].scores["correct"].value == 1.0
    assert shown["direct"].run == "direct"
    assert context.sample_lines[0].reference == "dd"


def test_the_graph_holds_the_edges_of_all_variants_and_what_nodes_took(workspace: Workspace) -> None:
    graph = race(workspace, ("a", "boom")).context.graph
    assert graph is not None
    assert [(node.name, node.kind, node.after) for node in graph.nodes] == [
        ("think", "python", ()),
        ("say", "prompt", ("think",)),
    ]
    uses = {(use.arm, use.node): use for use in graph.uses}
    think = uses["plain", "think"]
    assert (think.n, think.n_failed, think.n_bypassed, think.tokens) == (2, 1, 0, 0)
    assert think.mean_ms is not None
    assert think.mean_ms > 0


def test_a_flow_that_broke_since_leaves_the_recorded_nodes(workspace: Workspace) -> None:
    race(workspace, ("a", "bb"))
    workspace.folder.joinpath("flow", "flow.dag.yaml").write_text("nodes: [", "utf-8")
    graph = compare_runs(workspace, ["plain", "direct"]).context.graph
    assert graph is not None
    assert {node.name: node.after for node in graph.nodes} == {"think": (), "say": ()}


def test_the_runs_behind_the_numbers_are_named_with_their_digests(workspace: Workspace) -> None:
    runs = race(workspace, ("a", "bb")).context.runs
    assert [(run.run, run.arm, run.evaluator) for run in runs] == [
        ("plain", "plain", None),
        ("direct", "direct", None),
        ("plain_judged", "plain", "judge"),
        ("direct_judged", "direct", "judge"),
    ]
    assert {len(run.flow_digest) for run in runs} == {64}
    assert runs[0].data_digest == runs[1].data_digest
    assert len(runs[0].data_digest or "") == 64


def test_labels_reasons_disputes_and_failed_evaluations_reach_the_report(workspace: Workspace) -> None:
    judge = workspace.folder / "judge"
    for file in judge.iterdir():
        if file.is_file():
            file.unlink()
    judge.joinpath("flow.dag.yaml").write_text(JUDGE, "utf-8")
    judge.joinpath("grade.py").write_text(GRADE, "utf-8")
    context = race(workspace, ("a", "split", "odd")).context
    assert context.matrix is not None
    assert context.matrix.disputed == {"grade": (1,)}
    assert context.matrix.unscored == {"plain": (), "direct": (2,)}
    shown = {line.line_id: {out.arm: out for out in line.outputs} for line in context.sample_lines}
    first = shown["0"]["direct"].scores["grade"]
    assert (first.value, first.label, first.reason, first.error) == (1.0, "good", "It fits.", None)
    failed = shown["2"]["direct"].scores["grade"]
    assert failed.value is None
    assert failed.error is not None
    assert failed.error.startswith("E6")
