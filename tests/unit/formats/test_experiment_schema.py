"""The schema for editors says of a file what the reader says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from headrace.errors import DefinitionError
from headrace.formats.experiment import KEYS, load_experiment
from headrace.formats.experiment_schema import __file__ as experiment_schema_module
from headrace.formats.experiment_schema import experiment_schema
from headrace.formats.positions import load_yaml

BASE = "data: test.jsonl\nmodels: [baseline, x/gpt]\n"
FACTORS = "data: test.jsonl\nfactors:\n  k: {input: find.k, levels: [1, 2]}\n  say: [a, b]\n  temp: {parameter: t, levels: [0, 1]}\n"
VALID = [
    BASE,
    f"{BASE}name: 5\nflow: .\nline_id: id\nrepeats: 2\nseed: 3\nalpha: 0.1\nfamily: none\ndescription: [any, thing]\n",
    f"{BASE}column_mapping: {{a: '${{data.a}}', b: 5}}\nenvironment_variables: {{A: 1}}\ncluster: c\nslices: [a, 2]\n",
    "data: {path: test.jsonl, split: {column: part, value: true}, sample: {n: 5, seed: 1}}\nmodels: [baseline, x/y]\n",
    "data: test.jsonl\nvariants: [a.b, '${a.c}', {name: d, choices: {a: d, e: 2}}]\n",
    "data: test.jsonl\nmodels: [baseline, {connection: x, model: y, parameters: {t: 0}, price: {input_usd: 0, output_usd: 1}}]\n",
    f"{BASE}evaluators: [f1, {{flow: ., column_mapping: {{a: b}}}}, {{builtin: em, parameters: {{a: 1}}, models: [x/y], repeats: 2}}]\n",
    f"{BASE}evaluators: [{{python: 'mod:fn', name: style}}]\n",
    f"{BASE}metrics: [f1, {{name: lat, direction: lower, kind: unbounded, margin: 0.5, goal: equivalence, labels: {{gpt: col}}}}]\n",
    f"{BASE}metrics: [f1]\nguardrails: [{{metric: c, margin: 0.1, direction: lower}}]\nbudget: {{tokens: 5}}\n",
    f"{BASE}race: population\n",
    f"{BASE}race: {{mode: winner, alpha: 0.1, batch: 5, start: 10, score_range: 2}}\n",
    f"{BASE}gates: [{{metric: f1}}, {{metric: cost, test: budget, limit: 0}}, {{metric: f1, test: guardrail, margin: 0, arm: gpt, against: x}}]\n",
    f"{BASE}cache: off\n",
    f"{BASE}cache: {{find: on}}\n",
    f"{BASE}baseline: gpt\n",
    FACTORS,
    f"{FACTORS}design: full\n",
    f"{FACTORS}design: {{fraction: 1/2}}\n",
    f"{FACTORS}exclude: [{{say: a, k: 1}}]\n",
    "data: test.jsonl\nfactors: {flow: [., {name: far, url: 'http://x'}], w: {connection: n, levels: [a, b]}}\n",
    "data: test.jsonl\nfactors: {flow: [., {name: far, url: 'https://x', auth: entra, scope: api://a/.default}]}\n",
    "data: test.jsonl\nfactors: {flow: [., {deployed: test.jsonl, arm: blue, inputs: [a]}]}\n",
    "data: test.jsonl\nfactors: {model: [baseline, {connection: x, model: y}], p: {parameter: s, node: n, levels: [{name: q, value: [1]}, r]}}\n",
]  # fmt: skip
INVALID = [
    "data: test.jsonl\nfactors: {flow: [., {deployed: test.jsonl, arm: blue, connection: c}]}\n",
    "data: test.jsonl\nfactors: {flow: [., {name: far, url: 'https://x', auth: key}]}\n",
    "models: [baseline, x/gpt]\n",
    f"{BASE}sed: 1\n",
    f"{BASE}repeats: 0\n",
    f"{BASE}repeats: 1.5\n",
    f"{BASE}seed: -1\n",
    f"{BASE}alpha: 1\n",
    f"{BASE}family: all\n",
    f"{BASE}slices: [true]\n",
    f"{BASE}slices: a\n",
    f"{BASE}column_mapping: [a]\n",
    "data: {split: {column: a, value: b}}\nmodels: [baseline, x/y]\n",
    "data: {path: test.jsonl, split: {column: a}}\nmodels: [baseline, x/y]\n",
    "data: {path: test.jsonl, sample: {n: 0}}\nmodels: [baseline, x/y]\n",
    "data: test.jsonl\nvariants: [5, 6]\n",
    "data: test.jsonl\nvariants: [{name: d, choice: {a: d}}, a.b]\n",
    "data: test.jsonl\nmodels: [baseline, {model: y}]\n",
    "data: test.jsonl\nmodels: [baseline, {connection: x, model: y, price: {input_usd: 1}}]\n",
    "data: test.jsonl\nmodels: [baseline, {connection: x, model: y, price: {input_usd: -1, output_usd: 1}}]\n",
    f"{BASE}evaluators: [{{name: a}}]\n",
    f"{BASE}evaluators: [{{builtin: a, flow: .}}]\n",
    f"{BASE}evaluators: [{{python: 'm:f', repeats: 2}}]\n",
    f"{BASE}evaluators: [{{builtin: a, repeats: 0}}]\n",
    f"{BASE}metrics: [{{name: f1, direction: up}}]\n",
    f"{BASE}metrics: [{{name: f1, margin: 0}}]\n",
    f"{BASE}metrics: [{{margin: 1}}]\n",
    f"{BASE}metrics: [f1]\nguardrails: [{{metric: c}}]\n",
    f"{BASE}metrics: [f1]\nguardrails: [{{metric: c, margin: -1}}]\n",
    f"{BASE}budget: {{}}\n",
    f"{BASE}budget: {{cost_usd: 0}}\n",
    f"{BASE}budget: {{tokens: 0.5}}\n",
    f"{BASE}race: fast\n",
    f"{BASE}race: {{batch: 0}}\n",
    f"{BASE}race: {{alpha: 0}}\n",
    f"{BASE}gates: [{{test: superiority}}]\n",
    f"{BASE}gates: [{{metric: cost, test: budget}}]\n",
    f"{BASE}gates: [{{metric: f1, limit: 1}}]\n",
    f"{BASE}gates: [{{metric: f1, margin: -1}}]\n",
    f"{BASE}cache: maybe\n",
    "data: test.jsonl\nfactors: {say: [a]}\n",
    "data: test.jsonl\nfactors: {say: 5}\n",
    "data: test.jsonl\nfactors: {t: {parameter: a}}\n",
    "data: test.jsonl\nfactors: {t: {levels: [1, 2]}}\n",
    "data: test.jsonl\nfactors: {t: {input: a.b, node: c, levels: [1, 2]}}\n",
    "data: test.jsonl\nfactors: {t: {parameter: a, levels: [[1], [2]]}}\n",
    f"{FACTORS}design: half\n",
    f"{FACTORS}design: {{fraction: 2/3}}\n",
    f"{FACTORS}exclude: [{{}}]\n",
    f"{FACTORS}include: [a]\n",
]  # fmt: skip


def is_valid(text: str, folder: Path) -> tuple[bool, bool]:
    """Whether the reader and the schema take the file."""
    file = folder / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "flow.dag.yaml").write_text("nodes: []\n")
    (folder / "test.jsonl").write_text("{}\n")
    try:
        load_experiment(file)
        is_read = True
    except DefinitionError:
        is_read = False
    data = json.loads(json.dumps(load_yaml(text, str(file))[0], default=str))
    return is_read, Draft202012Validator(experiment_schema()).is_valid(data)


@pytest.mark.parametrize("text", VALID)
def test_what_the_reader_takes_the_schema_takes(text: str, tmp_path: Path) -> None:
    assert is_valid(text, tmp_path) == (True, True)


@pytest.mark.parametrize("text", INVALID)
def test_what_the_reader_refuses_the_schema_refuses(text: str, tmp_path: Path) -> None:
    assert is_valid(text, tmp_path) == (False, False)


def test_the_schema_is_one_and_knows_every_key_of_the_reader() -> None:
    schema = experiment_schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(KEYS)
    assert all(item["description"] for key, item in schema["properties"].items() if key != "$schema")


def test_the_schema_that_is_shipped_is_the_one_that_is_made() -> None:
    shipped = Path(experiment_schema_module).with_name("experiment.schema.json")
    assert json.loads(shipped.read_text("utf-8")) == experiment_schema()


def test_the_experiments_of_this_repository_fit() -> None:
    folder = Path(__file__).parents[3] / "flows"
    files = [file for file in sorted(folder.glob("*/*.yaml")) if "\nevaluators:" in file.read_text("utf-8")]
    assert files
    for file in files:
        data, _ = load_yaml(file.read_text("utf-8"), str(file))
        assert list(Draft202012Validator(experiment_schema()).iter_errors(data)) == []
