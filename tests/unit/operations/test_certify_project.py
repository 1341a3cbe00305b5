from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.config import load_settings
from headrace.domain.certificate import Certificate
from headrace.errors import ExitCode, UsageError
from headrace.operations.certify_project import CertifyRequest, certify_project
from headrace.operations.workspace import open_workspace

FAKE_STOCK = Path(__file__).parents[2] / "support" / "fake_stock"
FLOW = """
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${a.output}"}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {text: "${inputs.text}"}}
"""
ECHO = "from promptflow.core import tool\n\n@tool\ndef a(text):\n    return text\n"
LINES = '{"text": "x", "other": 1}\n{"text": "y"}\n'


def write(folder: Path, stock: list[Any], **files: str) -> Path:
    files = {"flow.dag.yaml": FLOW, "a.py": ECHO, "data.jsonl": LINES, **files}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "stock_answers.json").write_text(json.dumps(stock), encoding="utf-8")
    return folder


def settings_for(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PYTHONPATH": str(FAKE_STOCK)}


def certify(folder: Path, **fields: Any) -> Certificate:
    with open_workspace(load_settings(settings_for(folder)), folder) as workspace:
        return certify_project(
            workspace, CertifyRequest(project=folder, python=Path(sys.executable), **fields)
        )


def words(certificate: Certificate) -> dict[str, str]:
    return {flow.path: flow.word for flow in certificate.flows}


def test_flows_are_equal_different_failing_or_not_tried(tmp_path: Path) -> None:
    write(tmp_path / "same", [{"answer": "x"}, {"answer": "y"}])
    write(tmp_path / "other", [{"answer": "x"}, {"answer": "Y"}])
    write(tmp_path / "fails", ["no", "no"], **{"a.py": ECHO.replace("return text", "raise ValueError('no')")})
    write(tmp_path / "only_there", ["no", {"answer": "y"}])
    write(tmp_path / "ends", [{"answer": "x"}, "end"])
    write(tmp_path / "nothing", [], **{"data.jsonl": '{"question": 1}\n'})
    write(tmp_path / "broken", [], **{"flow.dag.yaml": "nodes: [\n"})
    certificate = certify(tmp_path)
    assert words(certificate) == {
        "broken": "not tried",
        "ends": "different",
        "fails": "both failed",
        "nothing": "not tried",
        "only_there": "different",
        "other": "different",
        "same": "equal",
    }
    assert not certificate.is_clean
    flows = {flow.path: flow for flow in certificate.flows}
    assert flows["same"].data == "data.jsonl"
    assert flows["other"].differences[0].theirs == "Y"
    assert "code 9" in str(flows["ends"].differences[0].theirs)
    assert (flows["only_there"].n_only_theirs_failed, flows["only_there"].n_only_ours_failed) == (1, 0)
    assert "F002" in flows["broken"].reason


def test_the_project_itself_stays_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "flow", [{"answer": "x"}, {"answer": "y"}])
    before = sorted(tmp_path.rglob("*"))
    certify(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert folder.is_dir()


def test_streams_are_joined_and_repeats_are_told_apart(tmp_path: Path) -> None:
    text = ECHO.replace("return text", "yield 'one '\n    yield text")
    write(tmp_path / "streams", ["stream"], **{"a.py": text})
    write(tmp_path / "varies", [{"answer": "x"}, {"answer": "z"}], **{"data.jsonl": '{"text": "x"}\n'})
    certificate = certify(tmp_path, repeats=2)
    assert words(certificate) == {"streams": "equal", "varies": "varies"}


def test_connections_of_the_workspace_are_given_with_their_secrets(tmp_path: Path) -> None:
    write(tmp_path / "flow", ["connections"], **{"data.jsonl": '{"text": "x"}\n'})
    connections = tmp_path / ".headrace" / "connections"
    connections.mkdir(parents=True)
    (connections / "store.yaml").write_text(
        "name: store\ntype: custom\nconfigs: {url: u}\nsecrets: {token: hidden}\n"
    )
    (certificate,) = certify(tmp_path).flows
    shown = str(certificate.differences[0].theirs)
    assert "store" in shown
    assert "hidden" in shown  # what the flow itself would have been able to print


def test_data_can_be_named_and_lines_be_limited(tmp_path: Path) -> None:
    write(
        tmp_path / "flow", [{"answer": "p"}], **{"data.jsonl": '{"no": 1}\n', "mine.csv": "text\np\np\np\n"}
    )
    certificate = certify(tmp_path, data={"flow": tmp_path / "flow" / "mine.csv"}, n_lines=2)
    assert [(flow.word, flow.n_lines) for flow in certificate.flows] == [("equal", 2)]
    with pytest.raises(UsageError, match="C507"):
        certify(tmp_path, data={"none": tmp_path / "flow" / "mine.csv"})


def test_an_interpreter_without_promptflow_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "flow", [])
    with (
        open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace,
        pytest.raises(UsageError, match="C505"),
    ):
        certify_project(workspace, CertifyRequest(project=tmp_path, python=Path(tmp_path / "no" / "python")))


def test_the_command_prints_writes_and_ends_with_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "flow", [{"answer": "x"}, {"answer": "Y"}])
    command = ["certify", str(tmp_path), "--python", sys.executable]
    session = Session(tmp_path, settings_for(tmp_path))
    code = run_command_line([*command, "--certificate", str(tmp_path / "c.json")], session)
    text = capsys.readouterr()
    assert code == ExitCode.FAILED
    assert "1 flow: 1 different." in text.out
    assert 'promptflow  "Y"' in text.out
    assert "--repeats 5" in text.out
    assert "flow: 2 lines" in text.err
    saved = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert (saved["theirs"], saved["is_clean"]) == ("promptflow 1.18.5", False)
    write(tmp_path / "flow", [{"answer": "x"}, {"answer": "y"}])
    assert (
        run_command_line([*command, "-o", "markdown"], Session(tmp_path, settings_for(tmp_path)))
        == ExitCode.OK
    )
    assert "| flow | dag | 2 | equal | lines from data.jsonl |" in capsys.readouterr().out
