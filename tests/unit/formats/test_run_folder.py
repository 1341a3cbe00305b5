from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from headrace.domain.run import COMPLETED, FAILED, LineResult, NodeResult, Run, RunSpec
from headrace.errors import Problem
from headrace.formats.run_folder import (
    ROW_FILES,
    render_aggregation_files,
    render_line_files,
    render_output_row,
    render_run_files,
    render_table_rows,
)
from headrace.formats.run_info import Recording

RECORDING = Recording(run="first", defaulted={"g"})
NODE = NodeResult(node="act", status=COMPLETED, output=1, start_ns=1_000, end_ns=2_000)
LINE = LineResult(
    line_number=12,
    status=COMPLETED,
    inputs={"n": 1, "g": "x"},
    outputs={"r": float("nan"), "t": "é"},
    nodes=(NODE,),
    start_ns=1_000,
    end_ns=3_000,
)
PROBLEM = Problem(code="E603", what="Too slow.")
FAILED_LINE = LineResult(line_number=3, status=FAILED, inputs={}, problem=PROBLEM)
RUN = Run(
    spec=RunSpec(name="first", flow_path="/f", flow_name="f", flow_digest="d"),
    status=COMPLETED,
    created_at=datetime(2026, 11, 28, tzinfo=UTC),
    n_lines=5,
    metrics={"total": 1.5},
)


def test_a_line_has_a_record_one_per_node_and_a_log() -> None:
    files = {file.path: file.text for file in render_line_files(LINE, RECORDING, 7)}
    assert list(files) == [
        "flow_artifacts/000000012_000000012.jsonl",
        "node_artifacts/act/000000012.jsonl",
        "flow_logs/000000012.log",
    ]
    line, node = (json.loads(text) for text in list(files.values())[:2])
    assert list(line) == [
        "line_number",
        "run_info",
        "start_time",
        "end_time",
        "name",
        "description",
        "status",
        "tags",
    ]
    assert (line["line_number"], line["run_info"]["run_id"], line["status"]) == (12, "first_12", "Completed")
    assert (line["run_info"]["start_time"], line["start_time"]) == (
        "1970-01-01T00:00:00.000001Z",
        "1970-01-01T00:00:00.000001",
    )
    assert line["run_info"]["inputs"] == {"n": 1, "line_number": 12, "g": "x"}
    assert list(node) == ["NodeName", "line_number", "run_info", "start_time", "end_time", "status"]
    assert (node["NodeName"], node["line_number"], node["run_info"]["run_id"]) == ("act", 12, "first_act_12")
    assert "Node act in line 12 begins." in files["flow_logs/000000012.log"]


def test_aggregation_nodes_have_one_file_and_no_line() -> None:
    (file,) = render_aggregation_files([NODE], RECORDING)
    assert file.path == "node_artifacts/act/000000000.jsonl"
    assert json.loads(file.text)["line_number"] is None


def test_a_nodes_name_does_not_lead_out_of_the_folder() -> None:
    names = ["../../up", "..", "a/b"]
    nodes = [NodeResult(node=name, status=COMPLETED) for name in names]
    assert [file.path for file in render_aggregation_files(nodes, RECORDING)] == [
        "node_artifacts/.._.._up/000000000.jsonl",
        "node_artifacts/__/000000000.jsonl",
        "node_artifacts/a_b/000000000.jsonl",
    ]


def test_rows_are_written_as_prompt_flow_writes_them() -> None:
    rows = dict([*render_table_rows(LINE, RECORDING), render_output_row(LINE)])
    assert rows == {
        "inputs.jsonl": '{"n":1,"line_number":12,"g":"x"}',
        "outputs.jsonl": '{"r":null,"t":"é","line_number":12}',
        "flow_outputs/output.jsonl": '{"line_number": 12, "r": NaN, "t": "é"}',
    }
    assert set(rows) == set(ROW_FILES)


def test_a_failed_line_has_no_outputs() -> None:
    assert [row.path for row in render_table_rows(FAILED_LINE, RECORDING)] == ["inputs.jsonl"]


def run_files(*failures: tuple[int, Problem], **changes: Any) -> dict[str, Any]:
    run = Run(**{**{field: getattr(RUN, field) for field in RUN.__slots__}, **changes})
    files = render_run_files(run, failures, [(0, "execution", "INFO", "Hello.")], RECORDING, 7)
    return {file.path: file.text for file in files}


def test_a_run_has_metrics_a_note_whose_it_is_and_a_log() -> None:
    files = run_files()
    assert files.pop("logs.txt").endswith("      7 execution          INFO     Hello.\n")
    assert files == {"metrics.json": '{"total": 1.5}', "meta.json": '{"batch_size": 1, "run": "first"}'}


def test_a_run_says_which_version_of_its_flow_it_ran() -> None:
    meta = run_files(spec=replace(RUN.spec, flow_version=7))["meta.json"]
    assert json.loads(meta) == {"batch_size": 1, "run": "first", "flow_version": "f@7", "flow_digest": "d"}


def test_errors_are_written_only_where_there_are_some() -> None:
    assert json.loads(run_files((3, PROBLEM))["error.json"])["message"].startswith("Failed to run 1/5 lines.")
    assert json.loads(run_files(problem=PROBLEM)["error.json"])["message"].startswith("First error message")
