from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from tests.support.runs import a_spec, a_time

from headrace.config import load_settings
from headrace.operations.workspace import open_workspace


def test_a_relative_store_stays_where_the_command_was_called(tmp_path: Path) -> None:
    flow_folder = tmp_path / "flow"
    flow_folder.mkdir()
    settings = load_settings({"HOME": str(tmp_path), "HEADRACE_STORE": "runs.sqlite"})
    with open_workspace(settings, tmp_path) as workspace, chdir(flow_folder):
        workspace.store.create_run(a_spec(), n_lines=1, created_at=a_time())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["runs.sqlite"]
    assert list(flow_folder.iterdir()) == []
