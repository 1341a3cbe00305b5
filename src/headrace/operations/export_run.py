"""Write a recorded run into a folder in prompt flow's layout (promptflow-format: 9.9)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from headrace.domain.flow import Flow
from headrace.domain.run import COMPLETED, LineResult, NodeResult, Run, RunSpec
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.flow_file import load_flow
from headrace.formats.multimedia import recall_media, save_images
from headrace.formats.run_folder import (
    ERRORS,
    FLOW_RECORDS,
    LINE_LOGS,
    META,
    NODE_RECORDS,
    OUTPUTS,
    ROW_FILES,
    RUN_KEY,
    SNAPSHOT,
    LineRow,
    RunFile,
    render_aggregation_files,
    render_line_files,
    render_output_row,
    render_run_files,
    render_table_rows,
)
from headrace.formats.run_info import Recording, file_name
from headrace.formats.run_log import Event, node_events, problem_event
from headrace.operations.new_files import cannot_write
from headrace.operations.read_version import flow_digest
from headrace.operations.snapshot import copy_flow
from headrace.operations.workspace import Workspace
from headrace.telemetry.api_calls import render_calls

_FOLDERS = (FLOW_RECORDS, NODE_RECORDS, LINE_LOGS, OUTPUTS)


def refuse_foreign_folder(folder: Path, run: str | None) -> None:
    """Stop before something else than an earlier export of the run is written over.

    Args:
        folder: Where the run is to be written.
        run: Its name; ``None`` as long as it has none.

    Raises:
        UsageError: C513 when the folder holds something else, or is a file.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if run is None or _owner(folder) != run:
        raise UsageError(
            Problem(
                code="C513",
                what=f"{folder} is not empty, and it holds no earlier export of this run.",
                fix="Name a folder that is empty or does not exist.",
            )
        )


def _owner(folder: Path) -> str | None:
    """The run that was exported into a folder; ``None`` for any other folder."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return meta.get(RUN_KEY) if isinstance(meta, dict) else None


def export_run(workspace: Workspace, name: str, folder: Path) -> tuple[Problem, ...]:
    """Write what is recorded of a run, over an earlier export of it.

    Returns:
        S815 as a warning when the flow's files are not what was run any more, so that no copy of them was made.

    Raises:
        UsageError: S801 for an unknown run, C513 when the folder holds something else.
        StateError: S808 when the folder cannot be written.
    """
    run = workspace.store.read_run(name)
    refuse_foreign_folder(folder, name)
    flow, problems = _find_flow(run.spec)
    try:
        _clear(folder)
        _write_run(workspace, run, flow, folder)
        if flow is not None and not problems:
            copy_flow(flow, folder / SNAPSHOT)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return problems


def _find_flow(spec: RunSpec) -> tuple[Flow | None, tuple[Problem, ...]]:
    """The flow of a run as far as it is still there, and the warning that it is not what was run."""
    flow = None
    try:
        flow = load_flow(Path(spec.flow_path))
        if flow_digest(flow) == spec.flow_digest:
            return flow, ()
        reason = "has changed since"
    except (DefinitionError, OSError):
        reason = "cannot be read any more"
    warning = Problem(
        code="S815",
        what=f"No copy of the flow was made: {spec.flow_path} {reason}.",
        fix=f"Everything but {SNAPSHOT} is written. Copy the files of that time there if you have them.",
        severity="warning",
    )
    return flow, (warning,)


def _clear(folder: Path) -> None:
    """Remove what an earlier export may have written and this one may not."""
    shutil.rmtree(folder / SNAPSHOT, ignore_errors=True)
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    (folder / ERRORS).unlink(missing_ok=True)


def _write_run(workspace: Workspace, run: Run, flow: Flow | None, folder: Path) -> None:
    recording = _recording(run.spec, flow)
    process = os.getpid()
    events: list[Event] = [
        (_ns(run.created_at), "execution.bulk", "INFO", f"The run {run.spec.name} begins.")
    ]
    failures: list[tuple[int, Problem]] = []
    # First, so that a folder that could not be filled is known as this run's and can be written over.
    _write(folder, RunFile(META, json.dumps({RUN_KEY: run.spec.name})))
    with ExitStack() as stack:
        rows = {path: stack.enter_context(_open(folder / path)) for path in ROW_FILES}
        for line in _read_lines(workspace, run):
            its = replace(recording, calls=render_calls(line.spans, line.nodes))
            recorded = _with_image_files(line, folder, its)
            for file in render_line_files(recorded, its, process):
                _write(folder, file)
            for row in (*render_table_rows(recorded, its), *_output_rows(line, folder, its)):
                rows[row.path].write(row.text + "\n")
            if line.problem is not None:
                failures.append((line.line_number, line.problem))
                what = f"Line {line.line_number} failed: {line.problem.headline()}"
                events.append((line.end_ns, "execution", "ERROR", what))
        for path, empty in ROW_FILES.items():
            if rows[path].tell() == 0:
                rows[path].write(empty)
    spans = workspace.store.read_spans(run.spec.name)
    its = replace(recording, calls=render_calls(spans, run.aggregation))
    for file in render_aggregation_files(_nodes_with_image_files(run.aggregation, folder, its), its):
        _write(folder, file)
    events += node_events(run.aggregation, line_number=None, began_ns=_ns(run.created_at))
    events += _end_events(run)
    for file in render_run_files(run, failures, events, recording, process):
        _write(folder, file)


def _recording(spec: RunSpec, flow: Flow | None) -> Recording:
    if flow is None:
        return Recording(run=spec.name)
    defaulted = {
        name for name, item in flow.inputs.items() if item.has_default and name not in spec.column_mapping
    }
    return Recording(
        run=spec.name, kind=flow.kind, message_format=flow.message_format, defaulted=frozenset(defaulted)
    )


def _read_lines(workspace: Workspace, run: Run) -> Iterator[LineResult]:
    """Lines with their spans, which a list of lines leaves out."""
    for line in workspace.store.read_lines(run.spec.name):
        yield replace(line, spans=workspace.store.read_spans(run.spec.name, line.line_number))


def _with_image_files(line: LineResult, folder: Path, recording: Recording) -> LineResult:
    """A line in which images are files: beside its record, and those of its nodes beside theirs."""
    place = folder / FLOW_RECORDS
    return replace(
        line,
        inputs=_save(line.inputs, place, recording),
        outputs=_save(line.outputs, place, recording),
        nodes=_nodes_with_image_files(line.nodes, folder, recording),
    )


def _nodes_with_image_files(
    nodes: Sequence[NodeResult], folder: Path, recording: Recording
) -> tuple[NodeResult, ...]:
    places = [folder / NODE_RECORDS / file_name(node.node) for node in nodes]
    return tuple(
        replace(
            node, inputs=_save(node.inputs, place, recording), output=_save(node.output, place, recording)
        )
        for node, place in zip(nodes, places, strict=True)
    )


def _output_rows(line: LineResult, folder: Path, recording: Recording) -> Iterator[LineRow]:
    if line.status == COMPLETED:
        outputs = _save(line.outputs, folder / OUTPUTS, recording, shown="")
        yield render_output_row(replace(line, outputs=outputs))


def _save(data: Any, folder: Path, recording: Recording, *, shown: str | None = None) -> Any:
    images = recall_media(data, recording.message_format)
    return save_images(images, folder, recording.message_format, shown=shown)


def _end_events(run: Run) -> Iterator[Event]:
    if run.finished_at is None:
        return
    end_ns = _ns(run.finished_at)
    if run.problem is not None:
        yield problem_event(end_ns, run.problem)
    what = (
        f"The run is {run.status}: {run.n_completed} of {run.n_lines} lines completed, {run.n_failed} failed."
    )
    yield end_ns, "execution.bulk", "INFO", what


def _ns(time: datetime) -> int:
    return int(time.timestamp() * 1e6) * 1000


def _open(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _write(folder: Path, file: RunFile) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open(path) as stream:
        stream.write(file.text)
