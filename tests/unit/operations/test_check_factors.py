"""Factors against the flows that they vary: everything that does not fit is found before the first call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.evaluation import Experiment
from headrace.domain.run import CANCELED, Cap
from headrace.errors import DefinitionError, ExecutionError, HeadraceError, Problem, UsageError
from headrace.formats.experiment import load_experiment
from headrace.operations.begin_experiment import begin_experiment
from headrace.operations.check_experiment import check_experiment
from headrace.operations.compare_arguments import CompareArguments, change_experiment, make_experiment
from headrace.operations.compare_runs import compare_experiment_again, compare_runs
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.recorded_judgement import judgement_of
from headrace.operations.rerun_experiment import RerunExperiment, recorded_experiment, rerun_experiment
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment, run_experiment
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs: {text: {type: string}}
outputs: {answer: {type: string, reference: "${say.output}"}}
nodes:
- name: cut
  type: python
  source: {type: code, path: cut.py}
  inputs: {text: "${inputs.text}", n: 1}
- name: say
  use_variants: true
node_variants:
  say:
    default_variant_id: plain
    variants:
      plain:
        node:
          type: llm
          source: {type: code, path: say.jinja2}
          connection: baseline
          api: chat
          inputs: {model: baseline, temperature: 0, text: "${cut.output}"}
      loud:
        node:
          type: llm
          source: {type: code, path: loud.jinja2}
          connection: baseline
          api: chat
          inputs: {model: baseline, temperature: 0, text: "${cut.output}"}
"""
CODE = """\
from promptflow.core import tool


@tool
def cut(text: str, n: int, tail: str = "") -> str:
    return text[:n] + tail
"""
HEAD = """\
data: data.jsonl
column_mapping: {text: "${data.text}"}
evaluators: [{builtin: exact_match, column_mapping: {reference: "${data.text}"}}]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    files = {
        "flow.dag.yaml": FLOW,
        "cut.py": CODE,
        "say.jinja2": "user:\n{{text}}\n",
        "loud.jinja2": "user:\n{{text}}!\n",
        "data.jsonl": "".join(f'{{"text": "{word}", "part": "{word[0]}"}}\n' for word in ("ab", "ac", "bd")),
    }
    for name, text in files.items():
        tmp_path.joinpath(name).write_text(text, "utf-8")
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


def refused(workspace: Workspace, text: str) -> list[Problem]:
    file = workspace.folder / "experiment.yaml"
    file.write_text(HEAD + text, "utf-8")
    with pytest.raises(HeadraceError) as caught:
        check_experiment(workspace, load_experiment(file))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("factors:\n  sya: [plain, loud]\n", [("V306", 5, 3, '"say"')]),
        ("factors:\n  say: [plain, laud]\n", [("V301", 5, 16, '"loud"')]),
        ("factors:\n  say: [plain, laud]\ncluster: prt\n", [("V301", 5, 16, '"loud"'), ("D403", 6, 10, '"part"')]),
        ("factors:\n  n: {input: ctu.n, levels: [1, 2]}\n", [("V306", 5, 14, "'cut'")]),
        ("factors:\n  n: {input: cut.tial, levels: [a, b]}\n", [("V306", 5, 14, '"tail"')]),
        ("factors:\n  t: {parameter: temprature, levels: [0, 1]}\n", [("V306", 5, 18, '"temperature"')]),
        ("factors:\n  t: {parameter: top_p, node: cut, levels: [0, 1]}\n", [("V306", 5, 31, "llm node")]),
        ("factors:\n  w: {connection: cut, levels: [baseline, west]}\n", [("C501", 5, 43, None), ("V306", 5, 19, "llm")]),
        ("factors:\n  model: [baseline, est/gpt]\n", [("C501", 5, 21, None)]),
        ("factors:\n  t: {parameter: temperature, levels: [0, 0.0]}\n", [("V307", 5, 3, "Take away")]),
        ("factors:\n  t: {parameter: temperature, levels: [0, 1]}\n  u: {parameter: temperature, node: say, levels: [0, 1]}\n", [("V306", 6, 37, "Keep one")]),
        ("variants: ['${say.laud}', {name: b, choices: {sya: loud}}]\nmodels: [est/gpt]\n", [("V301", 4, 12, '"loud"'), ("V301", 4, 52, '"say"'), ("C501", 5, 10, None)]),
        ("variants: ['${say.plain}']\nfactors:\n  n: {input: cut.n, levels: [1, many, 2, lots]}\n", [("T203", 6, 33, "type"), ("T203", 6, 42, "type")]),
        ("variants: ['${say.plain}']\nmodels: [baseline, {connection: baseline, model: b, parameters: {top_p: much}}]\n", [("T203", 5, 73, "type")]),
    ],
)  # fmt: skip
def test_what_the_flow_does_not_have_is_refused_at_its_place(
    workspace: Workspace, text: str, found: list[tuple[str, int, int, str | None]]
) -> None:
    problems = refused(workspace, text)
    assert [problem.code for problem in problems] == [item[0] for item in found]
    for problem, (_, line, column, fix) in zip(problems, found, strict=True):
        assert problem.span is not None
        assert (problem.span.line, problem.span.column) == (line, column)
        assert fix is None or fix in (problem.fix or "")


def test_models_for_a_flow_that_asks_none_are_refused_in_the_experiment_file(workspace: Workspace) -> None:
    flow, _, _ = FLOW.partition("- name: say")
    (workspace.folder / "flow.dag.yaml").write_text(flow.replace("say.output", "cut.output"), "utf-8")
    problems = refused(workspace, "factors:\n  model: [baseline/a, baseline/b]\n")
    assert [(item.code, item.span and (item.span.line, item.span.column)) for item in problems] == [
        ("V304", (5, 11)),
        ("V304", (5, 23)),
    ]
    assert [item.pointer for item in problems] == [("factors", "model", 0), ("factors", "model", 1)]
    assert all("no llm node" in item.what for item in problems)


def test_a_split_that_is_not_there_is_found_in_the_experiment_file(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    data = "{path: data.jsonl, split: {column: prat, value: a}}"
    file.write_text(HEAD.replace("data.jsonl", data) + "factors: {say: [plain, loud]}\n", "utf-8")
    with pytest.raises(DefinitionError) as caught:
        check_experiment(workspace, load_experiment(file))
    (problem,) = caught.value.problems
    assert problem.code == "D403"
    assert problem.span is not None
    assert (Path(problem.span.file).name, problem.span.line) == ("experiment.yaml", 1)


def test_a_design_is_run_over_the_chosen_lines(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    data = "{path: data.jsonl, split: {column: part, value: a}}"
    text = "factors:\n  tail: {input: cut.tail, levels: [x, y]}\n  n: {input: cut.n, levels: [1, 2]}\n"
    file.write_text(HEAD.replace("data.jsonl", data) + text, "utf-8")
    result = run_experiment(workspace, load_experiment(file))
    assert [run.spec.arm for run in result.runs] == ["tail=x/n=1", "tail=x/n=2", "tail=y/n=1", "tail=y/n=2"]
    assert {run.n_lines for run in result.runs} == {2}
    assert dict(result.runs[-1].spec.connections) == {"cut.tail": "y", "cut.n": "2"}
    (line, *_) = workspace.store.read_lines(result.runs[-1].spec.name)
    cut = next(node for node in line.nodes if node.node == "cut")
    assert cut.output == "aby"


def test_a_budget_stops_the_experiment(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    file.write_text(HEAD + "factors: {say: [plain, loud]}\nbudget: {tokens: 3}\n", "utf-8")
    with pytest.raises(ExecutionError) as caught:
        run_experiment(workspace, load_experiment(file), cap=Cap(tokens=10_000))
    assert caught.value.problems[0].code == "E609"


JUDGED = """\
data: data.jsonl
column_mapping: {text: "${data.text}"}
evaluators:
- {builtin: exact_match, column_mapping: {reference: "${data.text}"}}
- {builtin: f1, column_mapping: {reference: "${data.text}"}}
metrics: [exact_match]
factors:
  tail: {input: cut.tail, levels: [x, y]}
  n: {input: cut.n, levels: [1, 2]}
"""


def test_guardrails_and_factors_are_judged_and_judged_again_alike(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    file.write_text(JUDGED + "guardrails: [{metric: f1, margin: 0.1}]\n", "utf-8")
    file.with_name("experiment.ci.yaml").write_text("seed: 4\n", "utf-8")
    result = run_experiment(workspace, load_experiment(file, "ci"))
    assert result.comparison.guardrails == ("f1",)
    assert [metric.spec.name for metric in result.comparison.metrics] == ["exact_match", "f1"]
    assert result.comparison.metrics[1].spec.margin == 0.1
    (effect,) = result.comparison.metrics[0].interaction
    assert (effect.factors, effect.variant, effect.model) == (("tail", "n"), "tail=y", "n=2")
    assert "4 of 4 combinations" in result.context.model_note
    assert result.context.commands[0] == f"headrace compare {file} --env ci"
    assert result.experiment is not None
    again = compare_experiment_again(workspace, result.experiment)
    assert again.comparison == result.comparison


def test_a_guardrail_that_nothing_scores_is_found_before_anything_runs(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    file.write_text(JUDGED + "guardrails: [{metric: f2, margin: 0.1}]\n", "utf-8")
    with pytest.raises(DefinitionError) as caught:
        check_experiment(workspace, load_experiment(file))
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert (problem.code, problem.span.line, problem.span.column) == ("G901", 10, 23)


@pytest.mark.parametrize(
    ("old", "new", "code", "place", "fix"),
    [
        ("{text: ", "{txt: ", "T204", (2, 23), '"text"'),
        ("${data.text}", "ab", "D406", (2, 24), "Map at least one input"),
        ("{reference: ", "{prdiction: a, reference: ", "G925", (3, 65), '"prediction"'),
        ("builtin: exact_match,", "builtin: exact_match, parameters: {case: 1},", "G923", (3, 56), "Options"),
        ("data: data.jsonl", "flow: .git\ndata: data.jsonl", "F004", (1, 7), "Name a folder"),
    ],
)
def test_what_feeds_nothing_is_refused_at_its_place(
    workspace: Workspace, old: str, new: str, code: str, place: tuple[int, int], fix: str
) -> None:
    workspace.folder.joinpath(".git").mkdir()
    file = workspace.folder / "experiment.yaml"
    file.write_text(HEAD.replace(old, new, 1) + "factors: {say: [plain, loud]}\n", "utf-8")
    with pytest.raises(HeadraceError) as caught:
        check_experiment(workspace, load_experiment(file))
    problem = next(item for item in caught.value.problems if item.code == code)
    assert problem.span is not None
    assert (Path(problem.span.file).name, problem.span.line, problem.span.column) == (
        "experiment.yaml",
        *place,
    )
    assert fix in (problem.fix or "")


def test_a_score_without_a_direction_has_that_of_its_evaluator(workspace: Workspace) -> None:
    text = JUDGED.replace("{builtin: f1,", "{builtin: length}\n- {builtin: f1,")
    text = text.replace("metrics: [exact_match]", "metrics: [exact_match, f1]")
    file = workspace.folder / "experiment.yaml"
    file.write_text(text + "guardrails: [{metric: length, margin: 1}]\n", "utf-8")
    checked = check_experiment(workspace, load_experiment(file))
    assert [metric.direction for metric in checked.metrics] == ["higher", "higher"]
    assert [guardrail.direction for guardrail in checked.guardrails] == ["lower"]


def test_a_direction_that_was_said_is_kept_when_the_experiment_is_repeated(workspace: Workspace) -> None:
    text = JUDGED.replace("{builtin: f1,", "{builtin: length}\n- {builtin: f1,")
    text = text.replace("metrics: [exact_match]", "metrics: [{name: length, direction: higher}]")
    file = workspace.folder / "experiment.yaml"
    file.write_text(text, "utf-8")
    result = run_experiment(workspace, load_experiment(file))
    assert result.experiment is not None
    repeated = rerun_experiment(workspace, RerunExperiment(name=result.experiment))
    assert [item.comparison.metrics[0].spec.direction for item in (result, repeated)] == ["higher", "higher"]


TWO_JUDGES = {
    "long.py": "def long(answer: str):\n    return {'long': float(len(answer))}\n",
    "long/flow.flex.yaml": "entry: long:long\n",
    "same.py": "def same(answer: str, truth: str):\n    return {'same': float(answer == truth)}\n",
    "same/flow.flex.yaml": "entry: same:same\n",
}
BOTH = {"answer": "${run.outputs.answer}", "truth": "${data.text}"}


def judged_by_two(workspace: Workspace, mapping: dict[str, str]) -> Experiment:
    for name, text in TWO_JUDGES.items():
        place = workspace.folder / (name if "/" in name else f"{name.removesuffix('.py')}/{name}")
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, "utf-8")
    return make_experiment(
        CompareArguments(
            flow=workspace.folder,
            data=workspace.folder / "data.jsonl",
            evaluators=[str(workspace.folder / name) for name in ("long", "same")],
            variants=("${say.plain}", "${say.loud}"),
            column_mapping={"text": "${data.text}"},
            evaluation_mapping=mapping,
        )
    )


def test_the_mapping_of_a_command_line_is_one_for_all_evaluators(workspace: Workspace) -> None:
    result = run_experiment(workspace, judged_by_two(workspace, BOTH))
    assert [item.spec.name for item in result.comparison.metrics] == ["long", "same"]
    with pytest.raises(DefinitionError) as caught:
        check_experiment(workspace, judged_by_two(workspace, {**BOTH, "trhut": "${data.text}"}))
    assert {problem.code for problem in caught.value.problems} == {"T204"}
    assert all('"truth"' in (problem.fix or "") for problem in caught.value.problems)


def test_an_experiment_that_was_begun_with_a_name_that_is_no_input_goes_on(workspace: Workspace) -> None:
    more = {**BOTH, "trhut": "${data.text}"}
    experiment = judged_by_two(workspace, more)
    with pytest.raises(DefinitionError, match="T204"):
        run_experiment(workspace, experiment)
    begun = replace(experiment, column_mapping={**experiment.column_mapping, "txet": "${data.text}"})
    checked = check_experiment(workspace, begun, is_recorded=True)
    record = begin_experiment(workspace, begun, checked, judgement_of(checked), None, "gone", None)
    workspace.store.finish_experiment(
        record.id, owner="gone", status=CANCELED, finished_at=workspace.now(), verdict=None
    )

    result = resume_experiment(workspace, ResumeExperiment(name=record.id))
    assert [item.spec.name for item in result.comparison.metrics] == ["long", "same"]
    recorded, _ = recorded_experiment(workspace, RerunExperiment(name=record.id))
    assert forecast_experiment(workspace, recorded, is_recorded=True)
    rerun_experiment(workspace, RerunExperiment(name=record.id))


def test_an_evaluator_that_fails_on_every_line_is_named_and_answers_are_kept(workspace: Workspace) -> None:
    workspace.folder.joinpath("judge.py").write_text(
        "def never(prediction: str):\n    raise ValueError\n", "utf-8"
    )
    evaluator = (
        '{python: "judge.py:never", name: tone, column_mapping: {prediction: "${run.outputs.answer}"}}'
    )
    text = JUDGED.replace("- {builtin: f1,", f"- {evaluator}\n- {{builtin: f1,")
    file = workspace.folder / "experiment.yaml"
    file.write_text(text.replace("metrics: [exact_match]", "metrics: [tone]"), "utf-8")
    with pytest.raises(UsageError) as caught:
        run_experiment(workspace, load_experiment(file))
    (problem,) = caught.value.problems
    assert problem.code == "G901"
    assert problem.span is not None
    assert problem.span.line == 7
    fix = problem.fix or ""
    (failed,) = re.findall(
        r"^The evaluator tone failed on every line \(headrace run show-details --name (\S+)\)\. ", fix
    )
    assert next(workspace.store.read_lines(failed)).problem is not None

    names = re.findall(r"headrace compare (.+) --metric NAME$", fix)[0].split()
    compared = compare_runs(workspace, names, metrics=["exact_match"])
    assert [metric.spec.name for metric in compared.comparison.metrics] == ["exact_match"]


def test_a_misspelled_metric_of_python_whose_scores_are_clear_is_found_before_anything_runs(
    workspace: Workspace,
) -> None:
    workspace.folder.joinpath("judge.py").write_text(
        "def tone(prediction: str):\n    return {'warm': len(prediction), 'brief': 1}\n", "utf-8"
    )
    evaluator = '{python: "judge.py:tone", column_mapping: {prediction: "${run.outputs.answer}"}}'
    text = JUDGED.replace("- {builtin: f1,", f"- {evaluator}\n- {{builtin: f1,")
    file = workspace.folder / "experiment.yaml"
    file.write_text(text.replace("metrics: [exact_match]", "metrics: [wram]"), "utf-8")
    with pytest.raises(DefinitionError, match="G901") as caught:
        run_experiment(workspace, load_experiment(file))
    assert caught.value.problems[0].fix == "Did you mean 'warm'?"
    assert workspace.store.list_runs() == ()

    file.write_text(text.replace("metrics: [exact_match]", "metrics: [tone.brief]"), "utf-8")
    assert run_experiment(workspace, load_experiment(file)).comparison.metrics[0].spec.name == "tone.brief"


@pytest.mark.parametrize("evaluator", ["- {builtin: f1,", "- {python: 'judge.py:any_of', name: f1,"])
def test_a_misspelled_metric_beside_the_file_points_at_none_of_the_file(
    workspace: Workspace, evaluator: str
) -> None:
    workspace.folder.joinpath("judge.py").write_text(
        "def any_of(prediction, reference):\n    return dict(found=1)\n", "utf-8"
    )
    file = workspace.folder / "experiment.yaml"
    file.write_text(JUDGED.replace("- {builtin: f1,", evaluator), "utf-8")
    changed = change_experiment(load_experiment(file), {"metrics": ["exact_mtach"]})
    with pytest.raises(UsageError) as caught:
        run_experiment(workspace, changed)
    (problem,) = caught.value.problems
    assert (problem.code, problem.span) == ("G901", None)


def test_a_misspelled_column_beside_the_file_points_at_none_of_the_file(workspace: Workspace) -> None:
    file = workspace.folder / "experiment.yaml"
    file.write_text(f"{JUDGED}line_id: text\n", "utf-8")
    changed = change_experiment(load_experiment(file), {"line_id": "txet"})
    with pytest.raises(DefinitionError, match="line_id names the column 'txet'") as caught:
        check_experiment(workspace, changed)
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert problem.span.file.endswith("data.jsonl")
