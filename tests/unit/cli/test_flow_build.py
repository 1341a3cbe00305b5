"""What ``flow build`` says on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.errors import ExitCode


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "my_flow").mkdir()
    (tmp_path / "my_flow/flow.dag.yaml").write_text(
        "nodes:\n- {name: a, type: prompt, source: {type: code, path: a.jinja2}}\n"
    )
    (tmp_path / "my_flow/a.jinja2").write_text("hi")
    (tmp_path / "my_flow/.env").write_text("KEY=1")
    (tmp_path / "my_flow/requirements.txt").write_text("promptflow\n")
    monkeypatch.chdir(tmp_path)
    return Session(tmp_path, {"HOME": str(tmp_path / "home")})


def test_a_build_says_what_it_left_out(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_names(tmp_path):
        code = run_command_line(["flow", "build", "--source", "my_flow", "-o", "dist"], session)
    out, err = capsys.readouterr()
    assert code == ExitCode.OK
    assert out.startswith("Built my_flow@")
    assert err.splitlines() == [
        "Left out, because they may hold secrets: .env.",
        "Not installed, because headrace brings their names: promptflow.",
    ]


def test_a_dry_run_lists_the_files(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_names(tmp_path):
        code = run_command_line(
            ["flow", "build", "--source", "my_flow", "-o", "dist", "-f", "zip", "--dry-run"], session
        )
    out, _ = capsys.readouterr()
    assert code == ExitCode.OK
    first, *files = out.splitlines()
    assert first.endswith(" would be built in dist:")
    assert [line.split()[-1] for line in files] == ["headrace-flow-my-flow.zip", "headrace-version.json"]
    assert not (tmp_path / "dist").exists()


def test_executables_are_not_made(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command_line(["flow", "build", "--source", "my_flow", "-o", "d", "-f", "executable"], session)
    assert code == ExitCode.USAGE
    assert "--format docker or zip" in capsys.readouterr().err
