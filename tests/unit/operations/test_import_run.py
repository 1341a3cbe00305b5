from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.domain.run import COMPLETED
from headrace.operations.import_run import ImportRequest, import_run
from headrace.operations.workspace import Workspace, open_workspace

METADATA = {
    "name": "from_the_service",
    "display_name": "Nightly",
    "description": "why",
    "tags": {"team": "search"},
    "created_on": "2026-01-02T03:04:05+00:00",
    "start_time": "2026-01-02T03:04:06+00:00",
    "end_time": "2026-01-02T03:05:00+00:00",
    "status": "Completed",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "memory:"})
    with open_workspace(settings, tmp_path) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = {
        "status": "Completed",
        "inputs": {"a": 1},
        "output": {"out": 1},
        "start_time": "2026-01-02T03:04:07Z",
        "end_time": "2026-01-02T03:04:09Z",
    }
    records = tmp_path / "kept/flow_artifacts"
    records.mkdir(parents=True)
    records.joinpath("000000000_000000000.jsonl").write_text(json.dumps({"line_number": 0, "run_info": info}))
    return tmp_path / "kept"


def test_what_a_download_says_of_itself_is_kept(workspace: Workspace, folder: Path) -> None:
    (folder / "run_metadata.json").write_text(json.dumps(METADATA))
    run = import_run(workspace, ImportRequest(folder=folder, tags={"more": "x"}))
    assert run.spec.name == "from_the_service"
    assert (run.spec.display_name, run.spec.description) == ("Nightly", "why")
    assert run.spec.tags == {"team": "search", "more": "x"}
    assert run.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert run.finished_at == datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
    assert (run.status, run.n_lines, run.n_completed) == (COMPLETED, 1, 1)


def test_without_metadata_the_folder_gives_the_name_and_the_lines_the_times(
    workspace: Workspace, folder: Path
) -> None:
    run = import_run(workspace, ImportRequest(folder=folder))
    assert (run.spec.name, run.spec.flow_path, run.spec.flow_digest) == ("kept", str(folder), "")
    assert run.created_at == datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC)
    assert run.finished_at == datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC)


def test_the_copy_of_the_flow_is_its_flow(workspace: Workspace, folder: Path) -> None:
    (folder / "snapshot").mkdir()
    (folder / "snapshot/flow.dag.yaml").write_text("inputs: {}\noutputs: {}\nnodes: []\n")
    run = import_run(workspace, ImportRequest(folder=folder, name="mine", display_name="Mine"))
    assert run.spec.flow_path == str(folder / "snapshot")
    assert len(run.spec.flow_digest) == 64
    assert (run.spec.name, run.spec.display_name) == ("mine", "Mine")
