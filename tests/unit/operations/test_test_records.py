from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.test_records import write_test_records
from headrace.operations.workspace import open_workspace

FLOW = """\
inputs:
  n: {type: int, default: 1}
  key: {type: secret, default: hunter2-hunter2}
outputs:
  r: {type: int, reference: "${act.output}"}
nodes:
- name: act
  use_variants: true
- name: sum
  type: python
  aggregation: true
  source: {type: code, path: sum.py}
  inputs: {values: "${act.output}"}
node_variants:
  act:
    default_variant_id: one
    variants:
      one: {node: {type: python, source: {type: code, path: act.py}, inputs: {n: "${inputs.n}", key: "${inputs.key}"}}}
      two: {node: {type: python, source: {type: code, path: act.py}, inputs: {n: 2, key: "${inputs.key}"}}}
"""
ACT = """\
from promptflow.core import tool

def check(n):
    if n < 0:
        raise ValueError(f"{n} is negative: \\u00e9\\ud800")

@tool
def act(n: int, key: str):
    print("acting with", key)
    check(n)
    return n
"""
SUM = """\
from promptflow.core import log_metric, tool

@tool
def sum_up(values: list):
    log_metric("total", sum(values))
    return sum(values)
"""
ALL = {"flow.detail.json", "flow.output.json", "flow.metrics.json", "flow.log"}


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    folder = tmp_path / "flow"
    folder.mkdir()
    for name, text in (("flow.dag.yaml", FLOW), ("act.py", ACT), ("sum.py", SUM)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def record(
    flow: Path, folder: Path | None = None, *, inputs: dict[str, Any] | None = None, **choices: str
) -> TestResult:
    request = TestRequest(flow=flow, inputs=inputs or {}, **choices)  # type: ignore[arg-type]
    with open_workspace(load_settings({"HOME": str(flow)}), flow) as workspace:
        result = run_test(workspace, request)
    assert write_test_records(request, result, folder) == ()
    return result


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_test_leaves_detail_output_metrics_and_log(flow: Path) -> None:
    result = record(flow)
    folder = flow / ".promptflow"
    assert names(folder) == ALL
    assert (folder / "flow.output.json").read_text(encoding="utf-8") == '{\n  "r": 1\n}'
    assert read(folder / "flow.metrics.json") == {"total": 1}
    detail = read(folder / "flow.detail.json")
    assert [run["node"] for run in detail["node_runs"]] == ["act", "sum"]
    assert detail["flow_runs"][0]["metrics"] == {"total": 1}
    assert detail["flow_runs"][0]["root_run_id"].replace("-", "") == result.line.trace_id
    assert "[act in line 0] stdout> acting with" in (folder / "flow.log").read_text(encoding="utf-8")


def test_secrets_are_in_no_record(flow: Path) -> None:
    record(flow)
    for file in (flow / ".promptflow").iterdir():
        assert "hunter2-hunter2" not in file.read_text(encoding="utf-8")


def test_a_failed_test_leaves_its_error_and_no_output(flow: Path) -> None:
    record(flow, inputs={"n": -1})
    folder = flow / ".promptflow"
    assert names(folder) == {"flow.detail.json", "flow.log"}
    (flow_run,), (node_run,) = read(folder / "flow.detail.json").values()
    assert flow_run["status"] == node_run["status"] == "Failed"
    assert flow_run["error"] == node_run["error"]
    (entry,) = node_run["error"]["additionalInfo"]
    assert entry["info"]["message"] == "-1 is negative: é\ud800"
    assert (Path(entry["info"]["filename"]).name, entry["info"]["lineno"], entry["info"]["name"]) == (
        "act.py",
        5,
        "check",
    )
    assert [line for line in entry["info"]["traceback"].splitlines() if "File" in line] == [
        f'  File "{flow / "act.py"}", line 10, in act',
        f'  File "{flow / "act.py"}", line 5, in check',
    ]
    assert "ValueError: -1 is negative" in (folder / "flow.log").read_text(encoding="utf-8")


def test_a_variant_and_a_node_have_files_of_their_own(flow: Path, tmp_path: Path) -> None:
    record(flow, tmp_path / "variant", variant="${act.two}")
    assert names(tmp_path / "variant") == {
        "flow-act-two.detail.json",
        "flow-act-two.output.json",
        "flow-act-two.metrics.json",
        "flow.log",
    }
    record(flow, tmp_path / "node", inputs={"key": "k"}, node="act", variant="${act.two}")
    assert names(tmp_path / "node") == {
        "flow-act.node.detail.json",
        "flow-act.node.output.json",
        "act.node.log",
    }
    assert read(tmp_path / "node" / "flow-act.node.output.json") == 2
    detail = read(tmp_path / "node" / "flow-act.node.detail.json")
    assert (detail["flow_runs"], [run["index"] for run in detail["node_runs"]]) == ([], [None])
    assert not (flow / ".promptflow").exists()
