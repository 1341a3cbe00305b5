"""A disk that is full ends a run clearly, and the run goes on once there is room."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FLOW = """\
inputs:
  n: {type: int}
outputs:
  text: {type: string, reference: "${say.output}"}
nodes:
- {name: say, type: prompt, source: {type: code, path: say.jinja2}, inputs: {n: "${inputs.n}"}}
"""
N_LINES = 400

WHOLE_FLOW = (
    FLOW
    + """\
- {name: fill, type: python, aggregation: true, source: {type: code, path: fill.py}, inputs: {texts: "${say.output}"}}
"""
)
FILL = """\
import os
import resource
from pathlib import Path

from promptflow.core import log_metric, tool


@tool
def fill(texts: list) -> None:
    log_metric("lines", len(texts))
    if "FILLED" in os.environ:  # all lines are recorded by now; the file that it names must not grow any more
        file = Path(os.environ["FILLED"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, resource.RLIM_INFINITY))
"""


def run(
    folder: Path, *words: str, most_bytes: int | None = None, filled: str | None = None
) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if most_bytes is not None:  # a file that may not grow is what a full disk is to who writes it
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "headrace", *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": str(folder),
            **({} if filled is None else {"FILLED": str(folder / ".headrace" / filled)}),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )


def shown(folder: Path) -> Any:
    return json.loads(run(folder, "run", "show", "--name", "full").stdout)


def a_flow(folder: Path, *, n_lines: int) -> None:
    flow = folder / "flow"
    flow.mkdir()
    flow.joinpath("flow.dag.yaml").write_text(WHOLE_FLOW, "utf-8")
    flow.joinpath("fill.py").write_text(FILL, "utf-8")
    flow.joinpath("say.jinja2").write_text("{{n}} " + "x" * 4000, "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(n_lines)), "utf-8")


CREATE = ("run", "create", "--flow", "flow", "--data", "data.jsonl")


def test_a_run_whose_end_does_not_fit_any_more_has_all_its_lines_and_is_finished_later(
    tmp_path: Path,
) -> None:
    a_flow(tmp_path, n_lines=10)
    done = run(tmp_path, *CREATE, "--name", "full", filled="headrace.sqlite-wal")
    assert done.returncode == 5
    assert "S803" in done.stderr
    assert "All lines of the run 'full' are recorded, but not its end." in done.stderr
    assert "Finish the run: headrace run resume --name full" in done.stderr
    assert "Traceback" not in done.stderr
    resumed = run(tmp_path, "run", "resume", "--name", "full")
    assert resumed.returncode == 0, resumed.stderr
    found = json.loads(resumed.stdout)
    assert (found["status"], found["lines"]) == ("Completed", {"total": 10, "completed": 10, "failed": 0})
    assert json.loads(run(tmp_path, "run", "show-metrics", "--name", "full").stdout) == {"lines": 10}


def test_a_run_whose_log_cannot_be_moved_at_the_end_is_complete(tmp_path: Path) -> None:
    a_flow(tmp_path, n_lines=100)
    assert run(tmp_path, *CREATE, "--name", "before").returncode == 0
    tmp_path.joinpath("data.jsonl").write_text('{"n": 1}\n{"n": 2}\n', "utf-8")
    done = run(tmp_path, *CREATE, "--name", "full", filled="headrace.sqlite")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "Completed"
    assert "warning[S803" in done.stderr
    assert "is safe, but could not be moved out of its log" in done.stderr
    assert shown(tmp_path)["lines"] == {"total": 2, "completed": 2, "failed": 0}
    assert run(tmp_path, "run", "list").stderr == ""


def test_what_was_recorded_before_the_disk_was_full_is_safe(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    flow.joinpath("flow.dag.yaml").write_text(FLOW, "utf-8")
    flow.joinpath("say.jinja2").write_text("{{n}} " + "x" * 4000, "utf-8")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(N_LINES)), "utf-8")
    create = ("run", "create", "--flow", "flow", "--data", "data.jsonl", "--max-concurrency", "4")
    done = run(tmp_path, *create, "--name", "full", most_bytes=2_000_000)
    assert done.returncode == 5
    assert "S803" in done.stderr
    assert "Go on with the run: headrace run resume --name full" in done.stderr
    assert "Traceback" not in done.stderr
    recorded = shown(tmp_path)["lines"]["completed"]
    assert 0 < recorded < N_LINES
    resumed = run(tmp_path, "run", "resume", "--name", "full")
    assert resumed.returncode == 0, resumed.stderr
    assert shown(tmp_path)["lines"] == {"total": N_LINES, "completed": N_LINES, "failed": 0}
    assert json.loads(resumed.stdout)["status"] == "Completed"
