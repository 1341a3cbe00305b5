"""What a test leaves on disk, in the files that prompt flow's tools read (promptflow-format: 9.3)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.domain.flow import PROMPTY, Flow
from headrace.domain.run import COMPLETED
from headrace.errors import Problem
from headrace.formats.multimedia import save_images
from headrace.formats.run_info import (
    Record,
    Recording,
    file_name,
    flow_output,
    render_detail,
    render_node_run,
)
from headrace.formats.run_log import node_events, problem_event, render_log
from headrace.operations.test_flow import TestRequest, TestResult
from headrace.planning.select import parse_variant
from headrace.telemetry.api_calls import render_calls
from headrace.telemetry.spans import line_run_id

RECORDS_FOLDER = ".promptflow"
"""Folder below the flow's own in which prompt flow keeps what belongs to it."""


def write_test_records(
    request: TestRequest, result: TestResult, folder: Path | None = None, *, stem: str | None = None
) -> tuple[Problem, ...]:
    """Write the records of a test beside its flow, over those of the test before.

    Args:
        request: What was asked for.
        result: What came out.
        folder: Where to write instead of the flow's own folder.
        stem: What the files are called instead of ``flow`` and what was chosen of it, e.g. ``chat``.

    Returns:
        S814 as a warning when the folder cannot be written: a test does not fail over its records.
    """
    folder = folder or records_folder(result.flow)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _files(request, result, folder, stem or _stem(request)):
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        return (_not_written(folder, error),)
    return ()


def print_images(result: TestResult, folder: Path | None = None) -> tuple[Any, tuple[Problem, ...]]:
    """The outputs of a test as they are printed: images as files, by their absolute paths.

    Args:
        result: What came out.
        folder: Where the records of the test go instead of the flow's own folder.

    Returns:
        The outputs, and S814 as a warning when the files cannot be written: then images stay in base64.
    """
    folder = folder or records_folder(result.flow)
    try:
        return save_images(result.outputs, folder / "output", result.flow.message_format), ()
    except OSError as error:
        return result.outputs, (_not_written(folder, error),)


def _not_written(folder: Path, error: OSError) -> Problem:
    return Problem(
        code="S814",
        what=f"The records of the test could not be written to {folder}: {error.strerror}.",
        fix="Make the folder writable, or give another one with --detail DIR.",
        severity="warning",
    )


def records_folder(flow: Flow) -> Path:
    """Where the records of a flow's tests belong; every prompty of a folder has its own."""
    folder = Path(flow.folder) / RECORDS_FOLDER
    return folder / Path(flow.file).stem if flow.kind == PROMPTY else folder


def _stem(request: TestRequest) -> str:
    words = ["flow"]
    if request.node is not None:
        words = ["flow", f"{file_name(request.node)}.node"]
    elif request.variant is not None:
        words = ["flow", *(file_name(word) for word in parse_variant(request.variant))]
    return "-".join(words)


def _files(request: TestRequest, result: TestResult, folder: Path, stem: str) -> Iterator[tuple[str, str]]:
    """Names and texts; images among the data are written beside them."""
    at_home = records_folder(result.flow) == folder
    shown = (folder.relative_to(result.flow.folder) if at_home else Path()) / "intermediate"

    def json_of(data: Any) -> str:
        saved = save_images(data, folder / "intermediate", result.flow.message_format, shown=str(shown))
        return json.dumps(saved, indent=2, ensure_ascii=False, default=_plain)

    recording = Recording(
        run=line_run_id(result.line.trace_id),
        kind=result.flow.kind,
        message_format=result.flow.message_format,
        has_result=True,
        calls=render_calls(result.line.spans, result.line.nodes),
    )
    log = "flow.log" if request.node is None else f"{file_name(request.node)}.node.log"
    yield log, _log(result)
    yield f"{stem}.detail.json", json_of(_detail(request, result, recording))
    if result.line.status == COMPLETED:
        output = result.outputs if request.node is not None else flow_output(result.line)
        yield f"{stem}.output.json", json_of(output)
    if result.metrics:
        yield f"{stem}.metrics.json", json_of(result.metrics)


def _detail(request: TestRequest, result: TestResult, recording: Recording) -> Record:
    if request.node is None:
        return render_detail(result.line, result.aggregation, recording, result.metrics)
    tested = result.flow.node(request.node)
    is_aggregation = tested is not None and tested.is_aggregation
    return {
        "flow_runs": [],
        "node_runs": [
            render_node_run(
                node,
                recording,
                run_id=f"{recording.run}_{node.node}_{'reduce' if is_aggregation else recording.run}",
                parent=recording.run,
                index=None,
            )
            for node in result.line.nodes
        ],
    }


def _log(result: TestResult) -> str:
    line = result.line
    events = [problem_event(line.start_ns, warning) for warning in result.warnings]
    events += node_events(line.nodes, line_number=line.line_number, began_ns=line.start_ns)
    events += node_events(result.aggregation, line_number=None, began_ns=line.end_ns)
    if line.problem is not None:
        events.append(problem_event(line.end_ns, line.problem))
    return render_log(events, os.getpid())


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else repr(value)
