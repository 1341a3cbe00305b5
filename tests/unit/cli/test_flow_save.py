from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tool_nodes import served_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode

__all__ = ["served_names"]


@pytest.mark.usefixtures("served_names")
def test_a_flow_file_is_written_beside_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "say.py").write_text("def say(q: str, n: int = 2): return q * n\n", "utf-8")

    def run(*words: str) -> int:
        return run_command_line(["flow", *words], Session(tmp_path, {}))

    assert run("save", "--entry", "say:say") == ExitCode.OK
    assert "entry: say:say" in (tmp_path / "flow.flex.yaml").read_text("utf-8")
    assert run("save", "--entry", "say:say") == ExitCode.OK
    assert run("test", "--flow", ".", "--inputs", "q=a") == ExitCode.OK
    assert run("save", "--entry", "say:none") == ExitCode.DEFINITION
    assert run("save", "--entry", "say") == ExitCode.USAGE
