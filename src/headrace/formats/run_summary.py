"""A run in the shape in which prompt flow shows it (promptflow-format: 9.8). Pure: a run in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace.domain.run import Run
from headrace.errors import Problem
from headrace.formats.error_info import render_error
from headrace.formats.run_folder import OUTPUT_PATH, OUTPUTS


def render_run_summary(
    run: Run, first_failure: Problem | None = None, *, folder: str | None = None
) -> dict[str, Any]:
    """A run in the shape that ``pf run show`` prints.

    Args:
        run: The run.
        first_failure: Problem of the first line that failed.
        folder: Where the files of the run are; ``None`` for where it was written when it was made, if it was.
    """
    spec = run.spec
    folder = folder or run_folder(run)
    data: dict[str, Any] = {
        "name": spec.name,
        "created_on": run.created_at.isoformat(),
        "status": run.status,
        "display_name": spec.display_name or spec.name,
        "description": spec.description,
        "tags": dict(spec.tags) or None,
        "properties": render_run_properties(run, folder=folder),
        "flow_name": spec.flow_name,
        "data": spec.data_path,
        "output": str(Path(folder) / OUTPUTS) if folder else None,
    }
    if spec.source_run:
        data["run"] = spec.source_run
    error = _error(run, first_failure)
    if error:
        data["error"] = error
    return data


def render_run_properties(run: Run, *, folder: str | None = None) -> dict[str, Any]:
    """The properties of a run; prompt flow leaves entries without a value out, and so do we."""
    spec = run.spec
    knows = run.usage.knows_tokens
    metrics: dict[str, Any] = {
        "total_tokens": run.usage.total_tokens if knows else None,
        "prompt_tokens": run.usage.prompt_tokens if knows else None,
        "completion_tokens": run.usage.completion_tokens if knows else None,
    }
    duration_s = run_duration_s(run)
    if duration_s is not None:
        metrics["duration"] = duration_s
    entries = {
        "flow_path": spec.flow_path,
        OUTPUT_PATH: folder,
        "column_mapping": dict(spec.column_mapping) or None,
        "node_variant": spec.variant,
        "run": spec.source_run,
        "resume_from": spec.resume_from,
        **spec.properties,
        "init_kwargs": dict(spec.init) or None,
        "system_metrics": metrics,
    }
    return {key: value for key, value in entries.items() if value is not None}


def run_folder(run: Run) -> str | None:
    """Where a run was written when it was made; ``None`` for a run that is in the store only."""
    folder = run.spec.properties.get(OUTPUT_PATH)
    return folder if isinstance(folder, str) else None


def run_duration_s(run: Run) -> float | None:
    """Seconds from creation to the end; ``None`` for a run that has not ended."""
    return (run.finished_at - run.created_at).total_seconds() if run.finished_at else None


def _error(run: Run, first_failure: Problem | None) -> dict[str, Any] | None:
    problem = run.problem or first_failure
    if problem is None:
        return None
    lead = "" if run.problem else f"Failed to run {run.n_failed}/{run.n_lines} lines. "
    return {
        "message": f"{lead}First error message is: {render_error(problem)['message']}",
        "messageFormat": "",
        "messageParameters": {},
        "referenceCode": "Runtime",
        "code": "UserError",
        "innerError": {"code": "SDKError", "innerError": {"code": "BulkRunException", "innerError": None}},
        "problem": problem.to_json(),
    }
