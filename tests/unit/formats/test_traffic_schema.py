"""The schema of traffic files says of a file what the reader says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from headrace.errors import DefinitionError
from headrace.formats.positions import load_yaml
from headrace.formats.traffic import KEYS, read_traffic
from headrace.formats.traffic_schema import __file__ as traffic_schema_module
from headrace.formats.traffic_schema import traffic_schema

BASE = "name: t\narms: [base, canary]\n"
VALID = [
    BASE,
    "experiment: experiment.yaml\n",
    f"{BASE}description: [any, thing]\n$schema: here\nflow: .\nseed: 5\nbaseline: base\nexperiment: prompts\n",
    f"{BASE}unit: {{header: x-user}}\n",
    f"{BASE}unit: [{{cookie: a}}, {{field: b}}, {{session: c}}]\n",
    f"{BASE}coverage: 0\nholdout: 1\nnamespace: {{name: n, range: [0, 0.5]}}\nforce_header: x-arm\nfall_back: true\n",
    f"{BASE}target: [{{header: a, is: 1}}, {{field: b, in: [c, true]}}, {{cookie: c, not_in: [d]}}, {{field: e, at_most: 1.5}}]\n",
    f"{BASE}target: [{{session: a, at_least: 1}}, {{header: a, matches: '^b'}}, {{header: a, exists: false}}]\n",
    "arms: [{name: a, weight: 1}, {name: b, shadow: 0.1, variant: n.v}, {name: c, weight: 0, choices: {n: v}}]\n",
    "arms: [{name: a, model: baseline}, {name: b, model: {connection: c, model: d}, overrides: {n.f: 1}}]\n",
    "arms: [{name: a, flow: .}, {name: b, flow: docs@7}, {name: c, flow: 'http://h/s'}, {name: d, flow: {url: 'http://h', timeout_s: 5}}]\n",
    "arms: [{name: a, flow: .}, {name: b, flow: {deployed: traffic.yaml, environment: prod}}]\n",
    f"{BASE}ramp: [{{after: 0s, coverage: 0.1}}, {{after: 1h30m, coverage: 1}}]\n",
    f"{BASE}metrics: [failures, {{name: m, from: t, kind: mean, direction: lower, range: [0, 5], window: 1d, missing: 0, margin: 1}}]\n",
    f"{BASE}guardrails: [{{metric: failures, max_ratio: 1, alpha: 0.1}}]\n",
    f"{BASE}metrics: [{{name: m, window: 1s}}]\nguardrails: [{{metric: m, margin: 0.1}}]\nallocation: thompson\n",
    f"{BASE}decision: {{alpha: 0.1, min_units: 1, min_events: 0, every: 1s, horizon: anytime}}\n",
    f"{BASE}decision: {{horizon: fixed, n_units: 100, looks: 5}}\n",
    f"{BASE}allocation: {{method: fixed, floor: 0.1, every: 1h}}\n",
    f"{BASE}log: {{share: 0.5, consent: {{header: a, is: b}}, redact: [c]}}\nevaluators: [f1, {{builtin: em, share: 1, max_usd: 1}}]\n",
    f"{BASE}webhook: https://host/hook\n",
    f"{BASE}webhook: ${{env:HOOK}}\n",
]  # fmt: skip
INVALID = [
    "name: t\n",
    "arms: []\n",
    "arms: [5]\n",
    "name: 'a b'\narms: [a]\n",
    f"{BASE}weights: [1]\n",
    f"{BASE}unit: x-user\n",
    f"{BASE}unit: {{header: a, cookie: b}}\n",
    f"{BASE}unit: {{header: 'a b'}}\n",
    f"{BASE}coverage: 1.5\n",
    f"{BASE}holdout: -1\n",
    f"{BASE}namespace: {{name: n}}\n",
    f"{BASE}namespace: {{name: n, range: [0]}}\n",
    f"{BASE}target: [{{header: a}}]\n",
    f"{BASE}target: [{{is: a}}]\n",
    f"{BASE}target: [{{header: a, is: b, in: [c]}}]\n",
    f"{BASE}target: [{{header: a, in: []}}]\n",
    f"{BASE}target: [{{header: a, at_least: b}}]\n",
    f"{BASE}target: [{{header: a, exists: 1}}]\n",
    f"{BASE}force_header: 'x arm'\n",
    f"{BASE}fall_back: 1\n",
    "arms: [{weight: 1}]\n",
    "arms: [{name: a, weight: 2}]\n",
    "arms: [a, {name: b, shadow: 1, weight: 1}]\n",
    "arms: [{name: a, model: {model: b}}]\n",
    "arms: [{name: a, overrides: {b: 1}}]\n",
    "arms: [{name: a, flow: {connection: b}}]\n",
    f"{BASE}ramp: [{{after: 1}}]\n",
    f"{BASE}ramp: [{{after: 0 s, coverage: 1}}]\n",
    f"{BASE}metrics: [{{kind: rate, window: 1s}}]\n",
    f"{BASE}metrics: [{{name: m, window: 1s, kind: share}}]\n",
    f"{BASE}metrics: [{{name: m, window: 10}}]\n",
    f"{BASE}metrics: [{{name: m, window: 1s, margin: 0}}]\n",
    f"{BASE}metrics: [{{name: m, window: 1s, kind: mean, range: [0, 1, 2]}}]\n",
    f"{BASE}guardrails: [{{metric: failures}}]\n",
    f"{BASE}guardrails: [{{metric: failures, max_ratio: 0.9}}]\n",
    f"{BASE}guardrails: [{{metric: failures, max_ratio: 1, margin: 1}}]\n",
    f"{BASE}decision: {{horizon: fixed}}\n",
    f"{BASE}decision: {{looks: 2}}\n",
    f"{BASE}decision: {{horizon: fixed, n_units: 100, looks: 50}}\n",
    f"{BASE}decision: {{min_units: 0}}\n",
    f"{BASE}allocation: greedy\n",
    f"{BASE}allocation: {{every: 5}}\n",
    f"{BASE}log: {{share: 2}}\n",
    f"{BASE}log: {{redact: [1]}}\n",
    f"{BASE}log: {{share: 1}}\nevaluators: [{{share: 1}}]\n",
    f"{BASE}webhook: ftp://host/hook\n",
]  # fmt: skip


def is_valid(text: str, folder: Path) -> tuple[bool, bool]:
    """Whether the reader and the schema take the file."""
    file = folder / "traffic.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "experiment.yaml").write_text("data: d\nmodels: [baseline, x/gpt]\n", encoding="utf-8")
    try:
        read_traffic(file)
        is_read = True
    except DefinitionError:
        is_read = False
    data = json.loads(json.dumps(load_yaml(text, str(file))[0], default=str))
    return is_read, Draft202012Validator(traffic_schema()).is_valid(data)


@pytest.mark.parametrize("text", VALID)
def test_what_the_reader_takes_the_schema_takes(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "flow"
    folder.mkdir()
    assert is_valid(text, folder) == (True, True)


@pytest.mark.parametrize("text", INVALID)
def test_what_the_reader_refuses_the_schema_refuses(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "flow"
    folder.mkdir()
    assert is_valid(text, folder) == (False, False)


def test_the_schema_is_one_and_knows_every_key_of_the_reader() -> None:
    schema = traffic_schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(KEYS)
    assert all(item["description"] for key, item in schema["properties"].items() if key != "$schema")


def test_the_schema_that_is_shipped_is_the_one_that_is_made() -> None:
    shipped = Path(traffic_schema_module).with_name("traffic.schema.json")
    assert json.loads(shipped.read_text("utf-8")) == traffic_schema()


def test_the_traffic_files_of_this_repository_fit() -> None:
    files = sorted(Path(__file__).parents[3].glob("flows/*/traffic*.yaml"))
    assert files
    for file in files:
        data, _ = load_yaml(file.read_text("utf-8"), str(file))
        assert list(Draft202012Validator(traffic_schema()).iter_errors(data)) == []
