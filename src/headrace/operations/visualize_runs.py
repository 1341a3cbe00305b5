"""Write recorded runs as one HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from headrace.evaluation.report.runs import RecordedRun, render_runs
from headrace.operations.new_files import write_files
from headrace.operations.workspace import Workspace


def visualize_runs(workspace: Workspace, names: Sequence[str], path: Path | None = None) -> Path:
    """Write a page about some runs.

    Args:
        workspace: For the store.
        names: The runs, in the order in which the page shows them; at least one.
        path: The file; default ``.headrace/reports/<names>.html`` of the workspace. One that exists is replaced.

    Returns:
        The file.

    Raises:
        UsageError: S801 for an unknown run.
        StateError: S808 when the file cannot be written; the store failed.
    """
    store = workspace.store
    runs = [store.read_run(name) for name in names]
    recorded = [RecordedRun(run=run, lines=tuple(store.read_lines(run.spec.name))) for run in runs]
    word = re.sub(r"[^\w.+-]+", "_", "+".join(names))[:100]
    target = path or workspace.state_folder / "reports" / f"{word}.html"
    write_files({target: render_runs(recorded, created_at=workspace.now())}, is_replacing=True)
    return target
