"""A run folder in prompt flow's layout → a run and its lines (promptflow-format: 9.9).

Such a folder is what stock prompt flow leaves in ``~/.promptflow/.runs``, what is downloaded of a run of its service
(then with ``run_metadata.json``), and what ``headrace run export`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.domain.run import COMPLETED, FAILED, LineResult, NodeResult, Usage
from headrace.errors import DefinitionError, Problem, Raised
from headrace.formats.positions import read_text
from headrace.formats.run_folder import FLOW_RECORDS, NODE_RECORDS, SNAPSHOT
from headrace.source import Span, file_span

METADATA = "run_metadata.json"
_METRICS = "metrics.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMED_OUT = "LineExecutionTimeoutError"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """What a run folder says.

    Attributes:
        metadata: What ``run_metadata.json`` holds; empty without one.
        snapshot: The copy of the flow's files; ``None`` where there is none.
    """

    lines: tuple[LineResult, ...]
    aggregation: tuple[NodeResult, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    snapshot: Path | None = None


def read_run_records(folder: Path) -> RunRecords:
    """Read a run folder.

    Raises:
        DefinitionError: S812 when it holds no records of lines, D401 for one that cannot be read.
    """
    rows = list(_rows(folder / FLOW_RECORDS))
    if not rows:
        raise DefinitionError(
            Problem(
                code="S812",
                what=f"{folder} is not the folder of a run: it holds no line in {FLOW_RECORDS}.",
                span=file_span(str(folder)),
                fix="Name the folder of one run, as in ~/.promptflow/.runs/NAME.",
            )
        )
    nodes: dict[int, list[NodeResult]] = {}
    aggregation = []
    for row in _rows(folder / NODE_RECORDS):
        result = _node(row["run_info"])
        if row.get("line_number") is None:
            aggregation.append(result)
        else:
            nodes.setdefault(row["line_number"], []).append(result)
    lines = [
        _line(row, nodes.get(row["line_number"], ())) for row in rows if row.get("line_number") is not None
    ]
    snapshot = folder / SNAPSHOT
    return RunRecords(
        lines=tuple(sorted(lines, key=lambda line: line.line_number)),
        aggregation=tuple(aggregation),
        metrics=_object(folder / _METRICS),
        metadata=_object(folder / METADATA),
        snapshot=snapshot if snapshot.is_dir() else None,
    )


def read_time(text: Any) -> datetime | None:
    """A time of a record, UTC-aware; without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _rows(folder: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted(folder.rglob("*.jsonl")):
        for number, text in enumerate(read_text(path).splitlines(), start=1):
            if text.strip():
                row = _parse(text, path, number)
                if not isinstance(row.get("run_info"), dict) or not isinstance(
                    row.get("line_number"), int | None
                ):
                    raise _broken(path, number)
                yield row


def _object(path: Path) -> Mapping[str, Any]:
    return _parse(read_text(path), path, 1) if path.exists() else {}


def _parse(text: str, path: Path, line: int) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _broken(path, line) from error
    if not isinstance(data, dict):
        raise _broken(path, line)
    return data


def _broken(path: Path, line: int) -> DefinitionError:
    span = Span(file=str(path), line=line, column=1, end_line=line, end_column=2)
    what = "This is not a record of a run as prompt flow writes it."
    return DefinitionError(
        Problem(code="D401", what=what, span=span, fix="Copy or download the folder again.")
    )


def _line(row: Mapping[str, Any], nodes: list[NodeResult] | tuple[()]) -> LineResult:
    info = row["run_info"]
    status = COMPLETED if info.get("status") == COMPLETED else FAILED
    inputs = {name: value for name, value in (info.get("inputs") or {}).items() if name != "line_number"}
    output = info.get("output")
    outputs = output if isinstance(output, dict) else {} if output is None else {"output": output}
    return LineResult(
        line_number=row["line_number"],
        status=status,
        inputs=inputs,
        outputs={name: value for name, value in outputs.items() if name != "line_number"}
        if status == COMPLETED
        else {},
        problem=None if status == COMPLETED else _problem(info.get("error"), info.get("status")),
        nodes=tuple(nodes),
        usage=_usage(info),
        start_ns=_ns(info.get("start_time")),
        end_ns=_ns(info.get("end_time")),
        trace_id=str(info.get("otel_trace_id") or "").removeprefix("0x"),
    )


def _node(info: Mapping[str, Any]) -> NodeResult:
    error = info.get("error")
    logs = info.get("logs") or {}
    return NodeResult(
        node=str(info.get("node")),
        status=str(info.get("status")),
        inputs=info.get("inputs"),
        output=info.get("output"),
        problem=_problem(error, info.get("status")) if error else None,
        usage=_usage(info),
        start_ns=_ns(info.get("start_time")),
        end_ns=_ns(info.get("end_time")),
        logs={name: text for name, text in logs.items() if text},
    )


def _usage(info: Mapping[str, Any]) -> Usage:
    metrics = info.get("system_metrics") or {}
    prompt, completion = metrics.get("prompt_tokens") or 0, metrics.get("completion_tokens") or 0
    return Usage(calls=int(bool(prompt or completion)), prompt_tokens=prompt, completion_tokens=completion)


def _problem(error: Any, status: Any) -> Problem:
    """What an error dictionary says, in its own words."""
    if not isinstance(error, Mapping):
        return Problem(code="E601", what=f"The line ended as {status} and its record says no more.")
    words = list(_words(error))
    what = str(error.get("message") or "The record of the line has no message.")
    details = [item for item in error.get("additionalInfo") or () if isinstance(item, Mapping)]
    info = next((item["info"] for item in details if isinstance(item.get("info"), Mapping)), None)
    raised = None
    if info is not None and {"type", "message", "traceback"} <= info.keys():
        raised = Raised(
            node=str((error.get("messageParameters") or {}).get("node_name") or info.get("name") or ""),
            module=str(error.get("referenceCode") or "").rpartition("/")[2],
            type=str(info["type"]),
            message=str(info["message"]),
            traceback=str(info["traceback"]),
            file=info.get("filename"),
            line=info.get("lineno"),
            function=info.get("name"),
        )
    return Problem(
        code="E603" if _TIMED_OUT in words else "E601",
        what=what,
        detail=tuple(raised.traceback.splitlines()) if raised else (),
        raised=raised,
    )


def _words(error: Any) -> Iterator[str]:
    """The codes of an error dictionary, outermost first."""
    while isinstance(error, Mapping):
        yield str(error.get("code"))
        error = error.get("innerError")


def _ns(text: Any) -> int:
    time = read_time(text)
    return 0 if time is None else (time - _EPOCH) // _MICROSECOND * 1000
