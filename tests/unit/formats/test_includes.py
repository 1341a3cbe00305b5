"""Includes: a merged copy that is gone afterwards, and a place for what is missing."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.formats.includes import open_includes


def make_flow(tmp_path: Path, includes: str) -> Path:
    for name in ("flow/a.py", "flow/.promptflow/x", "shared/b.py", "shared/deep/c.py", "lib.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "flow/flow.dag.yaml").write_text(f"nodes: []\n{includes}")
    return tmp_path / "flow"


def test_without_includes_the_folder_itself_is_used(tmp_path: Path) -> None:
    folder = make_flow(tmp_path, "")
    with open_includes(load_flow(folder)) as opened:
        assert opened == folder


def test_files_and_folders_are_merged_into_a_copy(tmp_path: Path) -> None:
    folder = make_flow(tmp_path, "additional_includes: [../lib.py, ../shared, ../shared/deep/c.py]\n")
    with open_includes(load_flow(folder)) as opened:
        assert opened != folder
        names = sorted(file.relative_to(opened).as_posix() for file in opened.rglob("*") if file.is_file())
        assert names == ["a.py", "c.py", "flow.dag.yaml", "lib.py", "shared/b.py", "shared/deep/c.py"]
        assert (opened / "lib.py").read_text() == "lib.py"
    assert not opened.exists()
    assert not (folder / "lib.py").exists()


def test_the_copy_is_removed_after_an_error(tmp_path: Path) -> None:
    folder = make_flow(tmp_path, "additional_includes: [../lib.py]\n")
    seen: list[Path] = []

    def fail() -> None:
        with open_includes(load_flow(folder)) as opened:
            seen.append(opened)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not seen[0].exists()


def test_a_zip_is_made_of_the_folder(tmp_path: Path) -> None:
    folder = make_flow(tmp_path, "additional_includes: [../shared.zip]\n")
    with open_includes(load_flow(folder)) as opened, zipfile.ZipFile(opened / "shared.zip") as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == {
            "shared/b.py",
            "shared/deep/c.py",
        }


def test_every_missing_include_has_a_place(tmp_path: Path) -> None:
    folder = make_flow(tmp_path, "additional_includes:\n- ../lib.py\n- ../no.py\n- ../no.zip\n")
    with pytest.raises(DefinitionError) as caught, open_includes(load_flow(folder)):
        pass
    assert [problem.code for problem in caught.value.problems] == ["F001", "F001"]
    assert [problem.span.line for problem in caught.value.problems if problem.span] == [4, 5]
