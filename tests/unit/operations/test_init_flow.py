from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.errors import StateError, UsageError
from headrace.operations.check_flow import check_flow
from headrace.operations.init_flow import KINDS, init_flow
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_sound_and_runs_at_once(kind: str, tmp_path: Path) -> None:
    written = init_flow(tmp_path / "new", kind)
    assert {path.name for path in written} >= {
        "flow.dag.yaml",
        "data.jsonl",
        "requirements.txt",
        ".gitignore",
    }
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        assert check_flow(workspace, tmp_path / "new") == ()
        result = run_test(workspace, TestRequest(flow=tmp_path / "new", inputs={}))
    assert result.line.problem is None
    assert result.outputs


def test_a_file_in_the_way_stops_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="S806"):
        init_flow(tmp_path, "standard")
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        init_flow(tmp_path, "rag")
    assert "standard, chat, evaluation" in (caught.value.problems[0].fix or "")


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="S808"):
        init_flow(tmp_path / "file" / "flow")


def test_files_are_overwritten_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("mine")
    init_flow(tmp_path, "standard", is_replacing=True)
    assert "Water" in (tmp_path / "data.jsonl").read_text()


def test_caches_of_python_are_not_part_of_a_starter(tmp_path: Path) -> None:
    assert all(path.suffix != ".pyc" for kind in KINDS for path in init_flow(tmp_path / kind, kind))
