"""An experiment as plain data is the experiment again, but for places in its file and values of variables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.evaluation import Experiment
from headrace.formats.experiment import load_experiment
from headrace.formats.plain_definition import definition_as_plain, read_definition
from headrace.store.records import decode_json, encode_json

ROOT = Path(__file__).parents[3]
FILES = [file for file in sorted(ROOT.glob("flows/*/*.yaml")) if "\nevaluators:" in file.read_text("utf-8")]
FULL = """\
name: full
flow: .
data: {path: data.jsonl, split: {column: split, value: dev}, sample: {n: 50, seed: 1}}
variants: [say.a, {name: b, choices: {say: b}}]
models:
- baseline
- {name: gpt, connection: c, model: m, parameters: {temperature: 0, stop: [x]}, price: {input_usd: 1, output_usd: 2}}
evaluators:
- f1
- {name: style, python: "checks.py:style", parameters: {strict: true}}
- {name: grade, builtin: relevance, models: [c/judge], repeats: 2}
metrics: [{name: f1, direction: higher, margin: 0.05, goal: non_inferiority}]
cache: {say: off}
repeats: 2
slices: [topic]
guardrails: [{metric: style, margin: 0.05}]
budget: {cost_usd: 5, tokens: 2000}
race: winner
gates: [{metric: f1, test: non_inferiority}]
environment_variables: {REGION: eu}
"""


def bare(experiment: Experiment) -> Experiment:
    """What is recorded of an experiment."""
    return replace(
        experiment,
        source_map=None,
        listed=(),
        evaluators=tuple(replace(item, pointer=()) for item in experiment.evaluators),
        guardrails=tuple(replace(item, pointer=()) for item in experiment.guardrails),
        gates=tuple(replace(item, pointer=()) for item in experiment.gates),
        factors=tuple(
            replace(item, pointer=(), levels=tuple(replace(level, pointer=()) for level in item.levels))
            for item in experiment.factors
        ),
    )


def again(experiment: Experiment) -> Experiment:
    plain = definition_as_plain(experiment)
    assert "environment_variables" not in plain
    return read_definition(decode_json(encode_json(plain)), experiment.environment_variables)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_experiments_of_the_flows_read_back(file: Path) -> None:
    if file.stem != "experiment":
        pytest.skip("an overlay")
    experiment = load_experiment(file)
    assert again(experiment) == bare(experiment)


def test_all_that_a_file_can_say_reads_back(tmp_path: Path) -> None:
    tmp_path.joinpath("experiment.yaml").write_text(FULL, "utf-8")
    tmp_path.joinpath("data.jsonl").write_text('{"n": 1}\n', "utf-8")
    tmp_path.joinpath("checks.py").write_text("def style(answer): ...\n", "utf-8")
    experiment = load_experiment(tmp_path)
    assert again(experiment) == bare(experiment)
    assert experiment.gates
    assert experiment.race is not None
