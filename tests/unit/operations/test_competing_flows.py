"""Flows that compete although they take other inputs and name their outputs otherwise."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.evaluation import Experiment
from headrace.engine.events import LineFinished
from headrace.errors import DefinitionError
from headrace.formats.experiment import load_experiment
from headrace.operations.check_experiment import check_experiment
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.forecast_run import forecast_experiment
from headrace.operations.rerun_experiment import RerunExperiment, rerun_experiment
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment, run_experiment
from headrace.operations.workspace import Workspace, open_workspace

N_LINES = 12
DAG = """\
inputs: {text: {type: string}}
outputs: {label: {type: string, reference: "${first.output}"}}
nodes:
- {name: first, type: python, source: {type: code, path: first.py}, inputs: {text: "${inputs.text}"}}
"""
FIRST = """\
from promptflow.core import tool


@tool
def first(text: str) -> str:
    return text[0]
"""
FLEX = "entry: words:sort_out\noutputs: {team: {type: string}, hits: {type: int}}\n"
WORDS = """\
def sort_out(message: str) -> dict:
    return {"team": "a", "hits": len(message)}
"""
PROMPTY = """\
---
model:
  api: chat
  configuration: {type: openai, connection: baseline, model: baseline}
  parameters: {max_tokens: 8}
inputs:
  q: {type: string}
---
user:
Question: what is the label of {{q}}?
"""
CHECKS = """\
def same(answer: object, other: object) -> float:
    return float(answer == other)
"""
FLOWS = """\
  - {name: words, path: words, column_mapping: {message: "${data.text}"}, outputs: {label: team}}
  - {name: prompty, path: ask.prompty, column_mapping: {q: "${data.text}"}, outputs: {label: output}}
  - {name: dag, path: dag, column_mapping: {text: "${data.text}"}}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    lines = [{"text": f"{'ab'[n % 2]} {n}", "label": "ab"[n % 2]} for n in range(N_LINES)]
    files = {
        "dag/flow.dag.yaml": DAG,
        "dag/first.py": FIRST,
        "words/flow.flex.yaml": FLEX,
        "words/words.py": WORDS,
        "ask.prompty": PROMPTY,
        "checks.py": CHECKS,
        "data.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
    }
    for name, text in files.items():
        tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
        tmp_path.joinpath(name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        yield opened


def experiment(flows: str = FLOWS, more: str = "") -> Experiment:
    text = f"""\
data: data.jsonl
factors:
  flow:
{flows}evaluators:
- builtin: exact_match
  name: right
  column_mapping: {{prediction: "${{run.outputs.label}}", reference: "${{data.label}}"}}
- python: "checks.py:same"
  column_mapping: {{answer: "${{run.outputs.label}}", other: "${{baseline.outputs.label}}"}}
metrics: [right, same]
{more}"""
    Path("experiment.yaml").write_text(text, "utf-8")
    return load_experiment(Path("experiment.yaml"))


def means(result: ComparisonResult) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for metric in result.comparison.metrics:
        for score in metric.scores:
            found.setdefault(score.arm, []).append(score.mean.value if score.mean is not None else None)
    return found


def test_each_flow_is_fed_and_judged_by_its_own_names(workspace: Workspace) -> None:
    result = run_experiment(workspace, experiment())
    found = means(result)
    assert (found["words"], found["dag"]) == ([0.5, 1.0], [1.0, 0.5])
    mapped = {run.spec.arm: dict(run.spec.column_mapping) for run in result.runs}
    assert mapped["prompty"] == {"q": "${data.text}"}
    run = next(run for run in result.runs if run.spec.arm == "words")
    evaluations = workspace.store.list_runs(source_run=run.spec.name)
    assert {item.spec.column_mapping.get("prediction") for item in evaluations} == {
        "${run.outputs.team}",
        None,
    }


def test_such_an_experiment_is_gone_on_with_and_repeated(workspace: Workspace) -> None:
    n_left = 2 * N_LINES + 3

    def interrupt(event: object) -> None:
        nonlocal n_left
        n_left -= isinstance(event, LineFinished)
        if n_left == 0:
            signal.raise_signal(signal.SIGINT)

    whole = run_experiment(workspace, experiment())
    with pytest.raises(KeyboardInterrupt):
        run_experiment(workspace, experiment(), interrupt)
    record = workspace.store.list_experiments()[0]
    assert means(resume_experiment(workspace, ResumeExperiment(name=record.id))) == means(whole)
    again = rerun_experiment(workspace, RerunExperiment(name=record.id, cache=False))
    assert means(again) == means(whole)


def test_a_forecast_knows_their_mappings(workspace: Workspace) -> None:
    run_experiment(workspace, experiment())
    assert [item.calls for item in forecast_experiment(workspace, experiment())] == [0.0] * 9


def test_the_same_flow_may_compete_with_itself_by_another_output(workspace: Workspace) -> None:
    flows = """\
  - {name: team, path: words, column_mapping: {message: "${data.text}"}, outputs: {label: team}}
  - {name: hits, path: words, column_mapping: {message: "${data.text}"}, outputs: {label: hits}}
"""
    found = means(run_experiment(workspace, experiment(flows)))
    assert (found["team"][0], found["hits"][0]) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "what", "fix"),
    [
        (", outputs: {label: team}", "", 4, 5, "'words' has no output 'label', which the evaluator 'right'", "outputs: {label: team}"),
        (", outputs: {label: output}", "", 5, 5, "'prompty' has no output 'label'", "outputs: {label: output}"),
        ("label: team", "label: taem", 4, 92, "'words' has no output 'taem'", 'Did you mean "team"?'),
        ("message: \"${data.text}\"", "message: \"${data.txt}\"", 4, 58, "mapped to 'txt'", 'Did you mean "text"?'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found_at_the_flow_before_anything_runs(
    workspace: Workspace, old: str, new: str, line: int, column: int, what: str, fix: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_experiment(workspace, experiment(FLOWS.replace(old, new)))
    problem = caught.value.problems[0]
    assert problem.code == "D403"
    assert problem.span is not None
    assert (Path(problem.span.file).name, problem.span.line, problem.span.column) == (
        "experiment.yaml",
        line,
        column,
    )
    assert what in problem.what
    assert fix in (problem.fix or "")
    assert workspace.store.list_runs() == ()


def test_an_output_that_no_flow_has_is_said_once_at_the_evaluator(workspace: Workspace) -> None:
    text = FLOWS.replace("label: team", "x: team").replace("label: output", "x: output")
    flows = text.replace("path: dag", "path: ask.prompty").replace("text: ", "q: ")
    with pytest.raises(DefinitionError) as caught:
        check_experiment(workspace, experiment(flows))
    first, *others = [problem for problem in caught.value.problems if "prediction" in problem.what]
    assert (first.code, others) == ("D403", [])
    assert first.span is not None
    assert first.span.line == 10
