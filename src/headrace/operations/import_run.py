"""Take a run from a folder in prompt flow's layout into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.domain.run import COMPLETED, Run, RunSpec
from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.formats.run_folder import OUTPUT_PATH
from headrace.formats.run_records import RunRecords, read_run_records, read_time
from headrace.operations.read_version import flow_digest
from headrace.operations.workspace import Workspace

_GROUP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What ``headrace run create --source`` was asked for; what is ``None`` is taken from the folder."""

    folder: Path
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


def import_run(workspace: Workspace, request: ImportRequest) -> Run:
    """Record what a run folder holds as a run that has ended. Nothing is run, and the folder stays as it is.

    Raises:
        DefinitionError: S812 or D401 when the folder cannot be read.
        UsageError: S802 for a name that is taken.
        StateError: The store failed.
    """
    records = read_run_records(request.folder)
    spec = _make_spec(request, records)
    created_at, finished_at = _times(workspace, records)
    workspace.store.create_run(spec, n_lines=len(records.lines), created_at=created_at)
    for start in range(0, len(records.lines), _GROUP):
        workspace.store.append_lines(spec.name, records.lines[start : start + _GROUP])
    return workspace.store.finish_run(
        spec.name,
        status=str(records.metadata.get("status") or COMPLETED),
        finished_at=finished_at,
        metrics=records.metrics,
        aggregation=records.aggregation,
        problem=next((node.problem for node in records.aggregation if node.problem is not None), None),
    )


def _make_spec(request: ImportRequest, records: RunRecords) -> RunSpec:
    metadata = records.metadata
    folder = request.folder.resolve()
    flow_path, flow_name, digest = _flow(records, folder)
    return RunSpec(
        name=request.name or str(metadata.get("name") or folder.name),
        flow_path=flow_path,
        flow_name=str(metadata.get("flow_name") or flow_name),
        flow_digest=digest,
        display_name=request.display_name or metadata.get("display_name"),
        description=request.description if request.description is not None else metadata.get("description"),
        tags={**_texts(metadata.get("tags")), **request.tags},
        properties={**request.properties, OUTPUT_PATH: str(folder)},
    )


def _flow(records: RunRecords, folder: Path) -> tuple[str, str, str]:
    """Path, name and digest of the flow as far as the folder has a copy of it."""
    if records.snapshot is None:
        return str(folder), folder.name, ""
    path = records.snapshot.resolve()
    try:
        return str(path), folder.name, flow_digest(load_flow(path))
    except DefinitionError:  # a copy that cannot be read is still where the flow is
        return str(path), folder.name, ""


def _times(workspace: Workspace, records: RunRecords) -> tuple[datetime, datetime]:
    starts = [line.start_ns for line in records.lines if line.start_ns]
    ends = [line.end_ns for line in records.lines if line.end_ns]
    metadata = records.metadata
    created_at = read_time(metadata.get("created_on")) or read_time(metadata.get("start_time"))
    finished_at = read_time(metadata.get("end_time"))
    return (
        created_at or (_time(min(starts)) if starts else workspace.now()),
        finished_at or (_time(max(ends)) if ends else workspace.now()),
    )


def _time(moment_ns: int) -> datetime:
    return datetime.fromtimestamp(moment_ns / 1e9, UTC)


def _texts(tags: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}
