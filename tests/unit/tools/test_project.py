from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headrace.tools import project


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
