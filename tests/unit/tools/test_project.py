from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from headrace.tools import project
from headrace.tools.user_code import execute_file


def test_a_project_comes_back_to_the_path_after_its_code_took_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(project, "_active", [])
    project.activate_project(tmp_path)
    sys.path.remove(str(tmp_path))
    project.activate_project(tmp_path)
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_a_folder_that_was_on_the_path_before_stays_there_with_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, flow = tmp_path / "program", tmp_path / "flow"
    for file in ("program/settings_x.py", "program/words_x.py", "flow/words_x.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(f"file = {file!r}\n")
    monkeypatch.setattr(sys, "path", [str(program), *sys.path])
    monkeypatch.setattr(project, "_active", [])
    settings, words = import_module("settings_x"), import_module("words_x")
    project.activate_project(program)
    project.activate_project(flow)
    assert sys.path[:2] == [str(flow), str(program)]
    assert sys.modules["settings_x"] is settings
    assert import_module("words_x").file == "flow/words_x.py"
    project.activate_project(program)
    assert str(flow) not in sys.path
    assert sys.modules["words_x"] is words


def test_a_folder_that_has_gone_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError), project.working_folder(tmp_path / "gone", is_brief=True):
        pass
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path / "later")
    assert project.caller_folder() == tmp_path / "later"


def test_code_that_changes_within_a_second_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "quick.py"

    def write(value: int) -> None:
        file.write_text(f"x = {value}\n", "utf-8")
        os.utime(file, ns=(10**18, 10**18 + value))

    def load() -> tuple[int, int]:
        project.activate_project(tmp_path)
        project.forget_changed_modules(tmp_path)
        found = import_module("quick").x
        project.note_modules(tmp_path)
        return found, execute_file(file).x

    write(1)
    assert load() == (1, 1)
    write(2)
    assert load() == (2, 2)


def test_only_python_files_are_executed(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"n\.txt is not a Python file"):
        execute_file(tmp_path / "n.txt")


def test_packages_without_an_init_file_belong_to_their_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "parts_x").mkdir(parents=True)
        (tmp_path / name / "parts_x" / f"{name}.py").write_text(f"word = {name!r}\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(project, "_active", [])
    for name in ("one", "two", "one"):
        project.activate_project(tmp_path / name)
        assert import_module(f"parts_x.{name}").word == name
    sys.modules.pop("parts_x")
