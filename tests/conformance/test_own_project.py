"""What this repository uses of the template of a project is what the template says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import own_project


def test_this_repository_uses_what_it_gives_to_others() -> None:
    assert own_project.differences() == [], (
        "edit src/headrace/operations/starters/project, then run: make docs"
    )


def test_what_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"azure.yaml": b"name: headrace\n", "infra/main.bicep": b"// headrace\n"}
    monkeypatch.setattr(own_project, "rendered", lambda: wanted)
    own_project.write(tmp_path)
    assert own_project.differences(tmp_path) == []
    (tmp_path / "azure.yaml").unlink()
    (tmp_path / "infra" / "main.bicep").write_text("// mine\n")
    (tmp_path / "infra" / "old.bicep").write_text("")
    assert own_project.differences(tmp_path) == [
        "azure.yaml is missing.",
        "infra/old.bicep is left over: the template does not have it.",
        "infra/main.bicep is not what the template says.",
    ]
