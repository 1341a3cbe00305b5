from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.errors import StateError, UsageError
from headrace.formats.pf_config import expand_run_folder
from headrace.operations.export_run import export_run, refuse_foreign_folder
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace, open_workspace

FLOW = """\
inputs:
  n: {type: int}
outputs:
  r: {type: int, reference: "${act.output}"}
additional_includes:
- ../shared/act.py
- ../shared/parts
nodes:
- name: act
  type: python
  source: {type: code, path: act.py}
  inputs: {n: "${inputs.n}"}
- name: total
  type: python
  aggregation: true
  source: {type: code, path: total.py}
  inputs: {values: "${act.output}"}
"""
ACT = """\
from promptflow.core import tool

@tool
def act(n: int):
    print("acting")
    return 6 // n
"""
TOTAL = """\
from promptflow.core import log_metric, tool

@tool
def total(values: list):
    log_metric("total", sum(values))
"""
ALL = {
    "error.json",
    "flow_artifacts/000000000_000000000.jsonl",
    "flow_artifacts/000000001_000000001.jsonl",
    "flow_logs/000000000.log",
    "flow_logs/000000001.log",
    "flow_outputs/output.jsonl",
    "inputs.jsonl",
    "logs.txt",
    "meta.json",
    "metrics.json",
    "node_artifacts/act/000000000.jsonl",
    "node_artifacts/act/000000001.jsonl",
    "node_artifacts/total/000000000.jsonl",
    "outputs.jsonl",
    "snapshot/act.py",
    "snapshot/flow.dag.yaml",
    "snapshot/parts/one.txt",
    "snapshot/total.py",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    files = {
        "flow/flow.dag.yaml": FLOW,
        "flow/total.py": TOTAL,
        "flow/draft.tmp": "",
        "flow/.amlignore": "*.tmp\n.amlignore\n",
        "flow/.git/config": "",
        "flow/__pycache__/total.pyc": "",
        "shared/act.py": ACT,
        "shared/parts/one.txt": "1",
        "data.jsonl": '{"n": 2}\n{"n": 0}\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as opened:
        create_run(opened, RunRequest(flow=tmp_path / "flow", data=tmp_path / "data.jsonl", name="first"))
        yield opened


def written(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_a_run_is_written_whole(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "first"
    assert export_run(workspace, "first", folder) == ()
    assert written(folder) == ALL
    assert (folder / "flow_outputs" / "output.jsonl").read_text() == '{"line_number": 0, "r": 3}\n'
    assert (folder / "inputs.jsonl").read_text() == '{"n":2,"line_number":0}\n{"n":0,"line_number":1}\n'
    assert json.loads((folder / "metrics.json").read_text()) == {"total": 3}
    record = json.loads((folder / "node_artifacts" / "act" / "000000000.jsonl").read_text())["run_info"]
    assert record["logs"]["stdout"] == "acting\n"
    assert [call["name"] for call in record["api_calls"]] == ["act"]
    log = (folder / "logs.txt").read_text()
    assert "Line 1 failed:" in log
    assert "The run is Completed: 1 of 2 lines completed, 1 failed." in log


def test_the_copy_of_the_flow_runs_without_what_it_included(workspace: Workspace, tmp_path: Path) -> None:
    export_run(workspace, "first", tmp_path / "out")
    text = (tmp_path / "out" / "snapshot" / "flow.dag.yaml").read_text()
    assert text == FLOW.replace("additional_includes:\n- ../shared/act.py\n- ../shared/parts\n", "")
    request = RunRequest(flow=tmp_path / "out" / "snapshot", data=tmp_path / "data.jsonl", name="second")
    assert create_run(workspace, request).n_completed == 1


def test_an_earlier_export_of_the_same_run_is_written_over(workspace: Workspace, tmp_path: Path) -> None:
    export_run(workspace, "first", tmp_path / "out")
    stale = tmp_path / "out" / "flow_artifacts" / "000000009_000000009.jsonl"
    stale.write_text("")
    export_run(workspace, "first", tmp_path / "out")
    assert written(tmp_path / "out") == ALL


def test_a_folder_with_something_else_is_not_touched(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "meta.json").write_text('{"batch_size": 1}')
    export_run(workspace, "first", tmp_path / "out")
    (tmp_path / "file").write_text("")
    refuse_foreign_folder(tmp_path / "new", None)
    for folder, run in (("kept", "first"), ("file", "first"), ("out", "second"), ("out", None)):
        with pytest.raises(UsageError) as caught:
            refuse_foreign_folder(tmp_path / folder, run)
        assert caught.value.problems[0].code == "C513"
    assert written(tmp_path / "kept") == {"meta.json"}


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_flow_that_is_not_what_ran_is_not_copied(
    workspace: Workspace, tmp_path: Path, is_gone: bool
) -> None:
    file = tmp_path / "flow" / "total.py"
    if is_gone:
        file = tmp_path / "flow" / "flow.dag.yaml"
        file.unlink()
    else:
        file.write_text(TOTAL + "\n# changed\n", encoding="utf-8")
    (problem,) = export_run(workspace, "first", tmp_path / "out")
    assert (problem.code, problem.severity) == ("S815", "warning")
    assert written(tmp_path / "out") == {name for name in ALL if not name.startswith("snapshot")}


def test_a_folder_that_cannot_be_written_is_a_problem(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError) as caught:
        export_run(workspace, "first", tmp_path / "file" / "out")
    assert caught.value.problems[0].code == "S808"


def test_the_setting_for_run_folders_may_name_the_flows(tmp_path: Path) -> None:
    (tmp_path / "flow.prompty").write_text("")
    for flow in (tmp_path, tmp_path / "flow.prompty"):
        assert expand_run_folder("${flow_directory}/runs", flow, "a") == tmp_path / "runs" / "a"
    assert expand_run_folder("/runs", tmp_path, "a") == Path("/runs/a")
