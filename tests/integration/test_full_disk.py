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


def run(folder: Path, *words: str, most_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if most_bytes is not None:  # a file that may not grow is what a full disk is to who writes it
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.run(
        [sys.executable, "-m", "headrace", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )


def shown(folder: Path) -> Any:
    return json.loads(run(folder, "run", "show", "--name", "full").stdout)


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
    assert "Traceback" not in done.stderr
    recorded = shown(tmp_path)["lines"]["completed"]
    assert 0 < recorded < N_LINES
    resumed = run(tmp_path, "run", "resume", "--name", "full")
    assert resumed.returncode == 0, resumed.stderr
    assert shown(tmp_path)["lines"] == {"total": N_LINES, "completed": N_LINES, "failed": 0}
    assert json.loads(resumed.stdout)["status"] == "Completed"
