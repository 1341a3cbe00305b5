"""The files of a run in the layout of prompt flow's run folder (promptflow-format: 9.9). Pure: data in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from headrace.domain.run import COMPLETED, LineResult, NodeResult, Run
from headrace.domain.values import without_nan
from headrace.errors import Problem
from headrace.formats.error_info import render_run_error
from headrace.formats.run_info import (
    Record,
    Recording,
    batch_inputs,
    file_name,
    render_aggregation,
    render_flow_run,
    render_node_runs,
)
from headrace.formats.run_log import Event, node_events, problem_event, render_log

FLOW_RECORDS: Final = "flow_artifacts"
NODE_RECORDS: Final = "node_artifacts"
LINE_LOGS: Final = "flow_logs"
OUTPUTS: Final = "flow_outputs"
SNAPSHOT: Final = "snapshot"
OUTPUT_FILE: Final = f"{OUTPUTS}/output.jsonl"
META: Final = "meta.json"
ERRORS: Final = "error.json"

OUTPUT_PATH: Final = "output_path"
"""The property of a run that says into which folder it is written."""

RUN_KEY: Final = "run"
"""The key of ``meta.json`` under which a folder says whose it is; prompt flow reads ``batch_size`` only."""
FLOW_KEY: Final = "flow_version"
DIGEST_KEY: Final = "flow_digest"
"""The keys under which it says which version of the flow ran."""


class RunFile(NamedTuple):
    """A file of a run: its path below the run's folder, and its text."""

    path: str
    text: str


def render_line_files(line: LineResult, recording: Recording, process: int) -> Iterator[RunFile]:
    """The files that one line has for itself: its record, those of its nodes, its log.

    Args:
        line: The line.
        recording: What the records of its run have in common.
        process: Number of the process that ran it.
    """
    number = line.line_number
    flow_run = render_flow_run(line, recording, inputs=batch_inputs(line, recording))
    entry = {
        "line_number": number,
        "run_info": flow_run,
        "start_time": _plain_time(flow_run["start_time"]),
        "end_time": _plain_time(flow_run["end_time"]),
        "name": "",
        "description": "",
        "status": line.status,
        "tags": None,
    }
    yield RunFile(f"{FLOW_RECORDS}/{number:09d}_{number:09d}.jsonl", _json(entry))
    for record in render_node_runs(line, recording):
        yield _node_file(record, number)
    events = [*node_events(line.nodes, line_number=number, began_ns=line.start_ns)]
    if line.problem is not None:
        events.append(problem_event(line.end_ns, line.problem))
    yield RunFile(f"{LINE_LOGS}/{number:09d}.log", render_log(events, process))


def render_aggregation_files(nodes: Sequence[NodeResult], recording: Recording) -> Iterator[RunFile]:
    """The files of the aggregation nodes of a run."""
    for record in render_aggregation(nodes, recording):
        yield _node_file(record, None)


def _node_file(record: Record, line_number: int | None) -> RunFile:
    entry = {
        "NodeName": record["node"],
        "line_number": line_number,
        "run_info": record,
        "start_time": _plain_time(record["start_time"]),
        "end_time": _plain_time(record["end_time"]),
        "status": record["status"],
    }
    return RunFile(f"{NODE_RECORDS}/{file_name(record['node'])}/{line_number or 0:09d}.jsonl", _json(entry))


def render_run_files(
    run: Run,
    failures: Sequence[tuple[int, Problem]],
    events: Sequence[Event],
    recording: Recording,
    process: int,
) -> Iterator[RunFile]:
    """The files that a run has once, but for those that collect a row of every line.

    Args:
        run: The run.
        failures: Line number and problem of the lines that failed.
        events: What happened in the run as a whole.
        recording: What its records have in common.
        process: Number of the process that ran it.
    """
    yield RunFile("metrics.json", _json(run.metrics))
    version = run.spec.version_name
    versions = {FLOW_KEY: version, DIGEST_KEY: run.spec.flow_digest} if version else {}
    yield RunFile(META, _json({"batch_size": 1, RUN_KEY: run.spec.name, **versions}))
    if failures or run.problem is not None:
        info = render_run_error(failures, run.n_lines, run.problem, recording.kind)
        yield RunFile(ERRORS, _json(info))
    yield RunFile("logs.txt", render_log(events, process))


class LineRow(NamedTuple):
    """A file that collects rows of lines, and the row of one line."""

    path: str
    text: str


def render_table_rows(line: LineResult, recording: Recording) -> Iterator[LineRow]:
    """The rows of one line in the tables that prompt flow keeps: its inputs and, where it succeeded, its outputs."""
    yield LineRow("inputs.jsonl", _strict_json(batch_inputs(line, recording)))
    if line.status == COMPLETED:
        yield LineRow("outputs.jsonl", _strict_json({**_outputs(line), "line_number": line.line_number}))


def render_output_row(line: LineResult) -> LineRow:
    """The row of a line that succeeded in the file of outputs."""
    return LineRow(OUTPUT_FILE, _json({"line_number": line.line_number, **_outputs(line)}))


def _outputs(line: LineResult) -> Mapping[str, Any]:
    return {name: value for name, value in line.outputs.items() if name != "line_number"}


ROW_FILES: Final[Mapping[str, str]] = {
    "inputs.jsonl": "",
    "outputs.jsonl": "\n",
    OUTPUT_FILE: "",
}
"""The files that collect rows, with what stands in one that has no row."""


def _plain_time(time: str) -> str:
    return time.removesuffix("Z")


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, default=_plain)


def _strict_json(data: Any) -> str:
    """Compact JSON in which what is no number is null: how prompt flow writes the rows that it reads as tables."""
    return json.dumps(without_nan(data), ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)
