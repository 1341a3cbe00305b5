from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.run import CANCELED
from headrace.domain.scores import MetricSpec
from headrace.errors import HeadraceError, UsageError
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_runs import compare_experiment_again, compare_runs
from headrace.operations.data_versions import list_data
from headrace.operations.init_flow import init_flow
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment, run_experiment
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- name: say
  type: prompt
  source: {type: code, path: say.jinja2}
  inputs: {text: "${inputs.text}"}
"""
MAPPING = {"prediction": "${run.outputs.answer}", "groundtruth": "${data.text}"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    flow.joinpath("say.jinja2").write_text("{{text}}", "utf-8")
    init_flow(tmp_path / "judge", "evaluation")
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def run_and_judge(workspace: Workspace, name: str, *, words: str = "abcdef") -> None:
    data = workspace.folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps({"text": word}) + "\n" for word in words), "utf-8")
    create_run(workspace, RunRequest(flow=workspace.folder / "flow", data=data, name=name))
    create_run(
        workspace,
        RunRequest(
            flow=workspace.folder / "judge",
            data=data,
            source_run=name,
            column_mapping=MAPPING,
            name=f"{name}_judged",
        ),
    )


def test_runs_over_different_data_are_not_paired_by_line_number(workspace: Workspace) -> None:
    run_and_judge(workspace, "one")
    run_and_judge(workspace, "two", words="ghijkl")
    with pytest.raises(UsageError) as raised:
        compare_runs(workspace, ["one", "two"])
    problem = raised.value.problems[0]
    assert problem.code == "G902"
    assert "'one'" in problem.what
    assert "'two'" in problem.what


def test_runs_over_equal_data_are_compared_wherever_the_file_is(workspace: Workspace) -> None:
    run_and_judge(workspace, "one")
    run_and_judge(workspace, "two")
    result = compare_runs(workspace, ["one", "two"])
    assert [score.mean.value for score in result.comparison.metrics[0].scores if score.mean] == [1.0, 1.0]
    assert list(result.context.metric_notes) == ["correct"]


def test_an_evaluation_flow_that_broke_since_does_not_keep_its_runs_from_being_compared(
    workspace: Workspace,
) -> None:
    run_and_judge(workspace, "one")
    run_and_judge(workspace, "two")
    workspace.folder.joinpath("judge", "flow.dag.yaml").write_text("outputs: [", "utf-8")
    assert compare_runs(workspace, ["one", "two"]).context.metric_notes == {}


def test_an_evaluation_that_was_interrupted_does_not_replace_a_whole_one(workspace: Workspace) -> None:
    run_and_judge(workspace, "one")
    run_and_judge(workspace, "two")
    attempt = replace(workspace.store.read_run("two_judged").spec, name="second_attempt")
    workspace.store.create_run(attempt, n_lines=6, created_at=workspace.now())
    workspace.store.finish_run("second_attempt", status=CANCELED, finished_at=workspace.now(), metrics={})
    result = compare_runs(workspace, ["one", "two"])
    assert [score.n_missing for score in result.comparison.metrics[0].scores] == [0, 0]
    second = result.comparison.metrics[0].scores[1].mean
    assert second is not None
    assert second.n == 6


def test_arms_that_nothing_judges_are_refused_before_they_are_run(workspace: Workspace) -> None:
    folder = workspace.folder
    (folder / "data.jsonl").write_text('{"text": "a"}\n', "utf-8")
    file = folder / "experiment.yaml"
    file.write_text(
        "flow: flow\ndata: data.jsonl\nmodels: [baseline, {name: b, connection: baseline}]\n", "utf-8"
    )
    with pytest.raises(UsageError) as caught:
        run_experiment(workspace, load_experiment(file))
    assert caught.value.problems[0].code == "G902"
    assert "evaluators" in (caught.value.problems[0].fix or "")
    assert workspace.store.list_runs() == ()


ASKING = """\
inputs: {text: {type: string}}
outputs: {answer: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: baseline
  api: chat
  inputs: {model: m, text: "${inputs.text}"}
"""
JUDGED = """\
flow: asking
data: data.jsonl
line_id: {line_id}
models: [baseline, {{name: b, connection: baseline}}]
evaluators:
- {{name: judge, flow: judge, column_mapping: {{prediction: "${{run.outputs.answer}}", groundtruth: "${{data.text}}"}}}}
metrics:
- {{name: correct, labels: {{b: {label}}}}}
cluster: {cluster}
slices: [{slices}]
"""
ROWS = [
    {"text": word, "id": f"id-{word}", "topic": "xy"[n % 2], "said": n % 2} for n, word in enumerate("abcdef")
]


@pytest.mark.parametrize(
    ("keys", "rows", "code", "file", "line"),
    [
        ({"cluster": "topik"}, ROWS, "D403", "experiment.yaml", 9),
        ({"slices": "topic, tpic"}, ROWS, "D403", "experiment.yaml", 10),
        ({"label": "sad"}, ROWS, "D403", "experiment.yaml", 8),
        ({"line_id": "ids"}, ROWS, "D403", "experiment.yaml", 3),
        ({}, [*ROWS, {**ROWS[2], "text": "g"}], "G902", "data.jsonl", 7),
        ({}, [*ROWS, {**ROWS[2], "id": "new", "said": "good"}], "G904", "data.jsonl", 7),
    ],
)
def test_columns_that_arms_are_judged_by_are_checked_before_anything_runs(
    workspace: Workspace, keys: dict[str, str], rows: list[dict[str, object]], code: str, file: str, line: int
) -> None:
    experiment = an_experiment(workspace, keys, rows)
    with pytest.raises(HeadraceError) as caught:
        run_experiment(workspace, load_experiment(experiment))
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert (problem.code, Path(problem.span.file).name, problem.span.line) == (code, file, line)
    assert problem.fix
    assert workspace.store.list_runs() == ()


def an_experiment(workspace: Workspace, keys: dict[str, str], rows: list[dict[str, object]]) -> Path:
    folder = workspace.folder
    (folder / "asking").mkdir()
    (folder / "asking/flow.dag.yaml").write_text(ASKING, "utf-8")
    (folder / "asking/ask.jinja2").write_text("# user:\n{{text}}", "utf-8")
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = {"cluster": "topic", "slices": "topic", "label": "said", "line_id": "id", **keys}
    (folder / "experiment.yaml").write_text(JUDGED.format(**words), "utf-8")
    return folder / "experiment.yaml"


def test_what_an_experiment_says_of_its_metrics_is_recorded_and_used_again(workspace: Workspace) -> None:
    file = an_experiment(workspace, {}, ROWS)
    first = run_experiment(workspace, load_experiment(file))
    assert first.experiment is not None
    again = compare_experiment_again(workspace, first.experiment)
    named = compare_runs(workspace, [run.spec.name for run in first.runs])
    assert first.comparison == again.comparison == named.comparison
    by_name = compare_experiment_again(workspace, workspace.store.list_experiments()[0].name)
    assert (by_name.comparison, by_name.experiment) == (again.comparison, first.experiment)
    (metric,) = named.comparison.metrics
    assert dict(metric.spec.labels) == {"b": "said"}
    assert (metric.n_clusters, [(part.value, part.n_lines) for part in metric.slices]) == (
        2,
        [("x", 3), ("y", 3)],
    )
    assert metric.effects[0].verdict.reason.endswith("come from 2 clusters and 5 are needed.")
    assert any("below 50 randomly drawn answers" in warning for warning in named.comparison.warnings)
    without = compare_runs(workspace, [run.spec.name for run in first.runs], family="none", alpha=0.1)
    assert (without.comparison.provenance.family, without.comparison.provenance.alpha) == ("none", 0.1)


def test_columns_are_read_from_what_the_store_keeps_of_data_that_are_gone(workspace: Workspace) -> None:
    file = an_experiment(workspace, {}, ROWS)
    first = run_experiment(workspace, load_experiment(file))
    assert first.experiment is not None
    data = file.parent / "data.jsonl"
    data.write_text('{"text": "other"}\n', "utf-8")
    assert compare_experiment_again(workspace, first.experiment).comparison == first.comparison
    data.unlink()
    resumed = resume_experiment(workspace, ResumeExperiment(name=first.experiment))
    assert resumed.comparison == first.comparison
    for view in list_data(workspace):
        workspace.store.forget_data(view.version.data, view.version.number)
    with pytest.raises(UsageError, match=r"so column 'id' cannot be read; .*") as caught:
        compare_experiment_again(workspace, first.experiment)
    (problem,) = caught.value.problems
    assert (problem.code, "as it was" in str(problem.fix), "line_id" in str(problem.fix)) == (
        "D403",
        True,
        False,
    )


def test_chosen_lines_are_chosen_from_what_the_store_keeps(workspace: Workspace) -> None:
    file = an_experiment(workspace, {}, ROWS)
    text = file.read_text("utf-8")
    assert "data: data.jsonl" in text
    choice = "data: {path: data.jsonl, sample: {n: 4, seed: 1}}"
    file.write_text(text.replace("data: data.jsonl", choice), "utf-8")
    first = run_experiment(workspace, load_experiment(file))
    assert first.experiment is not None
    (file.parent / "data.jsonl").unlink()
    again = compare_experiment_again(workspace, first.experiment)
    assert again.comparison == first.comparison


NODE = (
    "{type: llm, source: {type: code, path: ask.jinja2}, connection: baseline, api: chat, "
    "inputs: {model: m, text: '${inputs.text}'}}"
)
VARIED = f"""\
inputs: {{text: {{type: string}}}}
outputs: {{answer: {{type: string, reference: "${{ask.output}}"}}}}
nodes:
- {{name: ask, use_variants: true}}
node_variants:
  ask:
    default_variant_id: a
    variants:
      a: {{node: {NODE}}}
      b: {{node: {NODE}}}
"""


def test_arms_know_the_variant_and_the_model_that_they_are_made_of(workspace: Workspace) -> None:
    file = an_experiment(workspace, {}, ROWS)
    (workspace.folder / "asking/flow.dag.yaml").write_text(VARIED, "utf-8")
    text = file.read_text("utf-8").replace(", labels: {b: said}", "")
    file.write_text(text.replace("models:", "variants: [ask.a, ask.b]\nmodels:"), "utf-8")
    result = run_experiment(workspace, load_experiment(file))
    assert {arm.arm: (arm.variant, arm.model) for arm in result.arms} == {
        "a/baseline": ("a", "baseline"),
        "a/b": ("a", "b"),
        "b/baseline": ("b", "baseline"),
        "b/b": ("b", "b"),
    }
    (effect,) = result.comparison.metrics[0].interaction
    assert (effect.variant, effect.model, effect.baseline_variant, effect.baseline_model) == (
        "b",
        "b",
        "a",
        "baseline",
    )


def test_the_command_of_named_runs_repeats_what_was_asked(workspace: Workspace) -> None:
    experiment = an_experiment(workspace, {}, ROWS)
    runs = [run.spec.name for run in run_experiment(workspace, load_experiment(experiment)).runs]
    plain = compare_runs(workspace, runs).context.commands
    assert plain == (f"headrace compare {runs[0]} {runs[1]}",)
    asked = compare_runs(
        workspace,
        runs,
        baseline="b",
        metrics=[MetricSpec(name="correct", margin=0.1, direction="lower")],
        slices=["text"],
        family="none",
        alpha=0.1,
    )
    assert asked.context.commands == (
        f"{plain[0]} --baseline b --metric correct:lower --margin correct=0.1 --alpha 0.1 --slice text --family none",
    )


def test_a_column_that_an_option_names_is_looked_for_in_the_data(workspace: Workspace) -> None:
    file = an_experiment(workspace, {}, ROWS)
    text = file.read_text("utf-8")
    file.write_text(text[: text.index("cluster:")], "utf-8")
    with pytest.raises(HeadraceError) as caught:
        run_experiment(workspace, replace(load_experiment(file), slices=("tpic",)))
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert (problem.code, Path(problem.span.file).name, problem.span.line) == ("D403", "data.jsonl", 1)
    assert 'Did you mean "topic"?' in (problem.fix or "")
