"""Two versions that really run on this machine: compared in place, and moved by a rollback of an online test."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.evidence import a_trial

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.store.opening import open_store

FLOW = """\
inputs: {text: {type: string, default: hello}}
outputs: {label: {type: string, reference: "${say.output}"}}
nodes:
- name: say
  type: prompt
  source: {type: code, path: say.jinja2}
  inputs: {text: "${inputs.text}"}
"""
DEPLOYMENT = "name: said\ntarget: local\nflow: flow\ncanary: 50\n"
EXPERIMENT = """\
flow: flow
data: lines.jsonl
column_mapping: {text: "${data.text}"}
factors:
  flow:
  - {deployed: deployment.yaml, arm: blue}
  - {deployed: deployment.yaml, arm: green}
evaluators:
- builtin: exact_match
  name: right
  column_mapping: {prediction: "${run.outputs.label}", reference: "${data.text}"}
metrics: [right]
"""
TRAFFIC = """\
name: checkout
flow: flow
unit: {header: x-user}
arms:
- {name: a, weight: 0.5}
- {name: b, weight: 0.5}
metrics:
- {name: failures}
guardrails:
- {metric: failures, max_ratio: 1.0}
"""
Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    (tmp_path / "flow").mkdir()
    lines = [{"text": f"line {number}"} for number in range(8)]
    files = {
        "flow/flow.dag.yaml": FLOW,
        "flow/say.jinja2": "always this",
        "deployment.yaml": DEPLOYMENT,
        "experiment.yaml": EXPERIMENT,
        "traffic.yaml": TRAFFIC,
        "lines.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def call(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command_line(shlex.split(line), Session(tmp_path, {"HOME": str(tmp_path / "home")}))
        return code, *capsys.readouterr()

    with chdir(tmp_path):
        try:
            yield call
        finally:
            for file in ("deployment.yaml", "arms.yaml"):
                if (tmp_path / file).exists():
                    call(f"deploy destroy {file} --yes")


def must(run: Call, line: str) -> str:
    code, out, err = run(line)
    assert code == 0, (line, out, err)
    return out


def deploy_two(run: Call, folder: Path) -> None:
    must(run, "run create --flow flow --data lines.jsonl")
    must(run, "deploy apply")
    (folder / "flow/say.jinja2").write_text("{{text}}", encoding="utf-8")
    must(run, "run create --flow flow --data lines.jsonl")
    must(run, "deploy apply")


def test_what_is_deployed_is_compared_in_place(run: Call, tmp_path: Path) -> None:
    deploy_two(run, tmp_path)

    compared = must(run, "experiment run experiment.yaml")

    assert "Ship green." in compared
    files = [path.read_text("utf-8") for path in tmp_path.glob(".headrace/endpoints/*/*/flow.endpoint.yaml")]
    assert sorted(text.partition("version: ")[2][:6] for text in files) == ["flow@1", "flow@2"]
    (key,) = tmp_path.glob(".headrace/deploy/local/said/key")
    secret = key.read_bytes().strip()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert holders == [key]


def test_a_rollback_takes_the_requests_of_its_arm(run: Call, tmp_path: Path) -> None:
    (tmp_path / "arms.yaml").write_text(
        "name: tested\ntarget: local\ntraffic: traffic.yaml\n", encoding="utf-8"
    )
    must(run, "run create --flow flow --data lines.jsonl")
    must(run, "deploy apply arms.yaml")
    must(run, "deploy traffic --file arms.yaml --from-test")
    assert status(run)["traffic"] == {"a": 50, "b": 50}

    now_ns = time.time_ns()
    with closing(open_store(str(tmp_path / ".headrace/headrace.sqlite"), tmp_path)) as store:
        store.append_evidence([replace(item, at_ns=now_ns) for item in a_trial(60, failing=3)])
    must(run, "ab watch checkout --once")
    must(run, "deploy traffic --file arms.yaml --from-test")

    assert status(run)["traffic"] == {"a": 100}
    for _ in range(4):
        code, _, said = run("deploy invoke arms.yaml --inputs text=x")
        assert (code, said.split()[0]) == (0, "a"), said


def status(run: Call) -> Any:
    return json.loads(must(run, "deploy status arms.yaml --format json"))
