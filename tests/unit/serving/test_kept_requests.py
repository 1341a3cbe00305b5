"""Requests that are kept as lines of runs: by a real server, and shown by the commands that show runs."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import serving as serving_split
from tests.support.endpoint import write
from tests.support.serve_process import Served, running, until
from tests.support.split_flow import FLOW, traffic

TOOL = """\
import os
from promptflow.core import tool

@tool
def say(q: str, key: str) -> str:
    print("said", key)
    if q == "raise":
        raise ValueError(f"no {key}")
    return f"{q} {os.getpid()}"
"""
FILES = {
    "flow/flow.dag.yaml": """\
inputs: {q: {type: string}, key: {type: secret, default: none}}
outputs: {r: {type: string, reference: "${say.output}"}}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {q: "${inputs.q}", key: "${inputs.key}"}
""",
    "flow/say.py": TOOL,
    "judge/flow.dag.yaml": """\
inputs: {answer: {type: string}, asked: {type: string}}
outputs: {same: {type: bool, reference: "${same.output}"}}
nodes:
- name: same
  type: python
  source: {type: code, path: same.py}
  inputs: {answer: "${inputs.answer}", asked: "${inputs.asked}"}
""",
    "judge/same.py": """\
from promptflow.core import tool

@tool
def same(answer: str, asked: str) -> bool:
    return answer.startswith(asked)
""",
}


def headrace(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *words],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(headrace(folder, "run", "list", "--output", "json"))
    return found


def kept(folder: Path) -> list[dict[str, Any]]:
    (run,) = runs(folder)
    text = headrace(folder, "run", "show-details", "--name", run["name"], "--output", "json")
    lines: list[dict[str, Any]] = json.loads(text)
    return lines


def n_written(folder: Path) -> int:
    file = folder / ".headrace/headrace.sqlite"
    if not file.exists():
        return 0
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM line").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        connection.close()


@contextmanager
def serving(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    write(folder, FILES)
    with running(folder, *options, environment=environment) as served:
        yield served


def test_kept_requests_are_lines_that_every_command_for_runs_can_read(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep") as served:
        for q in ("a", "b", "raise"):
            served.ask(q)
        until(lambda: n_written(tmp_path) == 3)
        (run,) = runs(tmp_path)
        assert (run["status"], run["lines"]) == ("Running", {"total": 3, "completed": 2, "failed": 1})
    (run,) = runs(tmp_path)
    name = run["name"]
    assert name.startswith("served-flow-")
    assert (run["status"], run["flow_name"], run["flow_version"]) == ("Completed", "flow", "flow@1")
    assert [line["inputs"]["q"] for line in kept(tmp_path)] == ["a", "b", "raise"]
    trace = json.loads(headrace(tmp_path, "run", "trace", "--name", name, "--line", "1", "--output", "json"))
    assert "say" in json.dumps(trace)
    assert "line 1 of 3" in headrace(tmp_path, "run", "trace", "--name", name, "--line", "1")
    headrace(tmp_path, "run", "export", "--name", name, "--output", "out")
    exported = (tmp_path / "out/flow_outputs/output.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["line_number"] for row in exported] == [0, 1]
    headrace(
        tmp_path, "run", "create", "--flow", "judge", "--run", name, "--name", "judged",
        "--column-mapping", "answer=${run.outputs.r}", "asked=${run.inputs.q}",
    )  # fmt: skip
    details = json.loads(headrace(tmp_path, "run", "show-details", "--name", "judged", "--output", "json"))
    assert [line["outputs"]["same"] for line in details] == [True, True]


def test_a_kept_request_holds_no_secret(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep", "1") as served:
        served.ask("raise", key="canary-7f3a")
        until(lambda: n_written(tmp_path) == 1)
    held = b"".join(file.read_bytes() for file in (tmp_path / ".headrace").rglob("*") if file.is_file())
    assert b"raise" in held
    assert b"canary-7f3a" not in held
    assert kept(tmp_path)[0]["inputs"]["key"] == "******"


@pytest.mark.parametrize("options", [(), ("--keep", "0")])
def test_nothing_is_kept_unless_it_is_asked_for(tmp_path: Path, options: tuple[str, ...]) -> None:
    with serving(tmp_path, *options) as served:
        assert served.ask("a")[0] == 200
    assert not (tmp_path / ".headrace").exists()


def test_a_share_is_kept_and_with_a_rule_every_failure(tmp_path: Path) -> None:
    rule = {"HEADRACE_SERVE_KEEP": "errors,share=0.5"}
    with serving(tmp_path, environment=rule) as served:
        for _ in range(60):
            served.ask("a")
        for _ in range(5):
            served.ask("raise")
    statuses = [line["status"] for line in kept(tmp_path)]
    assert statuses.count("Failed") == 5
    assert 10 < statuses.count("Completed") < 50  # each is a coin toss: one in 10^7 test runs is outside


def test_a_rule_without_a_share_keeps_only_what_fits_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep", "errors") as served:
        for q in ("a", "raise", "b"):
            served.ask(q)
    (line,) = kept(tmp_path)
    assert line["inputs"]["q"] == "raise"


def test_a_store_that_is_locked_delays_no_request_and_gets_them_later(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep") as served:
        served.ask("first")
        until(lambda: n_written(tmp_path) == 1)
        other = sqlite3.connect(tmp_path / ".headrace/headrace.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            assert served.ask("locked")[0] == 200
        assert n_written(tmp_path) == 1
        other.execute("ROLLBACK")
        other.close()
        until(lambda: n_written(tmp_path) == 21)
    assert [line["line_number"] for line in kept(tmp_path)] == list(range(21))


def test_a_store_that_cannot_be_made_breaks_no_request_and_is_said_once(tmp_path: Path) -> None:
    write(tmp_path, {"taken": ""})
    store = {"HEADRACE_STORE": str(tmp_path / "taken/store.sqlite"), "HEADRACE_GRACE_S": "1"}
    write(tmp_path, FILES)
    (tmp_path / "taken").unlink()
    (tmp_path / "taken").mkdir()
    with running(tmp_path, "--keep", environment=store) as served:
        (tmp_path / "taken").rmdir()
        (tmp_path / "taken").write_text("no folder any more", encoding="utf-8")
        for _ in range(3):
            assert served.ask("a")[0] == 200
        until(lambda: any("wait to be kept" in line for line in served.said))
        (tmp_path / "taken").unlink()
        (tmp_path / "taken").mkdir()
        until(lambda: any("kept again" in line for line in served.said), 40)
        assert sum("wait to be kept" in line for line in served.said) == 1
    connection = sqlite3.connect(tmp_path / "taken/store.sqlite")
    assert connection.execute("SELECT COUNT(*) FROM line").fetchone() == (3,)
    connection.close()


def test_what_a_killed_server_has_written_can_be_read_and_its_run_has_ended(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep") as served:
        served.ask("a")
        until(lambda: n_written(tmp_path) == 1)
        served.signal(signal.SIGKILL)
        served.process.wait(20)
        (run,) = runs(tmp_path)
        assert (run["status"], run["lines"]["completed"]) == ("Canceled", 1)
        assert kept(tmp_path)[0]["outputs"]["r"].startswith("a ")
        said = headrace(tmp_path, "run", "resume", "--name", run["name"], code=2)
        assert "S811" in said
    with serving(tmp_path, "--keep") as served:
        served.ask("b")
        until(lambda: n_written(tmp_path) == 2)
        connection = sqlite3.connect(tmp_path / ".headrace/headrace.sqlite")
        rows = connection.execute("SELECT status FROM run ORDER BY id").fetchall()
        connection.close()
        assert rows == [("Canceled",), ("Running",)]


def test_each_process_keeps_a_run_of_its_own_and_each_version_as_well(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep", "--workers", "2") as served:
        seen = set()
        until(lambda: len(seen.add(served.ask("a")[1]["r"]) or seen) == 2)  # type: ignore[func-returns-value]
        for _ in range(10):
            served.ask("b")
    found = runs(tmp_path)
    assert len({run["name"] for run in found}) == len(found) == 2
    assert all(run["status"] == "Completed" for run in found)
    with serving(tmp_path, "--keep") as served:
        served.ask("old")
        write(tmp_path, {"flow/say.py": TOOL.replace("{q} ", "new {q} ")})
        served.signal(signal.SIGHUP)
        until(lambda: served.ask("a")[1]["r"].startswith("new "))
        until(lambda: len(runs(tmp_path)) == 4)
        newest, before = runs(tmp_path)[:2]
        until(lambda: runs(tmp_path)[1]["status"] == "Completed")
        assert (newest["flow_version"], before["flow_version"]) == ("flow@2", "flow@1")


def test_a_run_that_is_deleted_meanwhile_is_followed_by_another(tmp_path: Path) -> None:
    with serving(tmp_path, "--keep") as served:
        served.ask("a")
        until(lambda: n_written(tmp_path) == 1)
        (run,) = runs(tmp_path)
        headrace(tmp_path, "run", "delete", "--name", run["name"], "--yes")
        served.ask("b")
        until(lambda: n_written(tmp_path) == 1)
    (line,) = kept(tmp_path)
    assert (line["line_number"], line["inputs"]["q"]) == (0, "b")


@pytest.mark.parametrize(
    ("options", "environment", "code"),
    [
        (("--keep", "2"), {}, "C507"),
        ((), {"HEADRACE_SERVE_KEEP": "some"}, "C506"),
        (("--keep",), {"HEADRACE_STORE": "memory:"}, "C506"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_served(
    tmp_path: Path, options: tuple[str, ...], environment: dict[str, str], code: str
) -> None:
    with (
        pytest.raises(AssertionError, match=code),
        serving(tmp_path, *options, environment=environment),
    ):
        pass


def test_each_arm_of_a_split_keeps_a_run_of_its_own(tmp_path: Path) -> None:
    with serving_split(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"], keep="1") as endpoint:
        store, answered = endpoint.workspace.store, {"plain": 0, "loud": 0}
        for number in range(30):
            answer = endpoint.ask("POST", "/score", {"q": "hi"}, {"x-user": f"u{number}"})
            answered[answer.headers["x-headrace-arm"]] += 1
        until(lambda: {run.spec.arm: run.n_lines for run in store.list_runs()} == answered)
        for run in store.list_runs():
            (root,) = (span for span in store.read_spans(run.spec.name, 0) if span.name.startswith("invoke_"))
            assert root.attributes["headrace.arm"] == run.spec.arm
            assert run.spec.connections == ({"say.style": "loud"} if run.spec.arm == "loud" else {})
