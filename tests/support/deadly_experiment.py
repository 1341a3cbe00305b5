"""An experiment over a counting model service, whose process is killed at drawn moments and resumed to its end."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.model_server import ModelServer, Reply, Request, answer

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.operations.workspace import open_workspace

ROOT = Path(__file__).parents[2]
FLOW = """\
inputs:
  q: {type: string}
outputs:
  answer: {type: string, reference: "${generate.output}"}
nodes:
- name: generate
  use_variants: true
node_variants:
  generate:
    default_variant_id: fair
    variants:
"""
VARIANT = """\
      %s: {node: {type: llm, source: {type: code, path: %s.jinja2}, connection: served, api: chat,
        inputs: {deployment_name: m, temperature: 0, q: "${inputs.q}"}}}
"""
JUDGE = """\
inputs:
  answer: {type: string}
outputs:
  passed: {type: double, reference: "${as_number.output}"}
nodes:
- name: grade
  type: llm
  source: {type: code, path: grade.jinja2}
  connection: served
  api: chat
  inputs: {deployment_name: judge, temperature: 0, answer: "${inputs.answer}"}
- name: as_number
  type: python
  source: {type: code, path: as_number.py}
  inputs: {text: "${grade.output}"}
"""
AS_NUMBER = """\
from promptflow.core import tool

@tool
def as_number(text: str) -> float:
    return float(text)
"""
EXPERIMENT = """\
name: deadly
flow: flow
data: data.jsonl
variants: ["${generate.fair}", "${generate.worst}", "${generate.best}"]
evaluators: [{name: judge, flow: judge, column_mapping: {answer: "${run.outputs.answer}"}}]
metrics: [passed]
"""
IN_FLIGHT = 2
N_CALLS = 2
"""Calls of a line that may not be committed yet: its own, and one whose answer waits for its commit."""
RATES = {"fair": 0.5, "worst": 0.1, "best": 0.95}
VARYING = (
    "latency",
    "mean_ms",
    "duration",
    "throughput",
    "created_at",
    "commands",
    "versions",
    "trace",
    "run",
    "runs",
)
"""Parts of the names of what depends on times and ids."""


def make_experiment(folder: Path, server: ModelServer, n_lines: int) -> None:
    """The files of the experiment, and a connection to the service."""
    files = {
        "flow/flow.dag.yaml": FLOW + "".join(VARIANT % (arm, arm) for arm in RATES),
        **{f"flow/{arm}.jinja2": f"user:\n{arm} {{{{q}}}}\n" for arm in RATES},
        "judge/flow.dag.yaml": JUDGE,
        "judge/grade.jinja2": "user:\ngrade {{answer}}\n",
        "judge/as_number.py": AS_NUMBER,
        "experiment.yaml": EXPERIMENT,
        "data.jsonl": "".join(json.dumps({"q": f"question {n}"}) + "\n" for n in range(n_lines)),
    }
    for name, text in files.items():
        folder.joinpath(name).parent.mkdir(exist_ok=True)
        folder.joinpath(name).write_text(text, "utf-8")
    folder.joinpath(".headrace").mkdir()
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        workspace.connections.create(
            Connection(
                name="served",
                type="open_ai",
                configs={"base_url": server.base_url},
                secrets={"api_key": Secret(value="secret-of-mine")},
            )
        )


def reply(request: Request) -> Reply:
    """Whether an arm passes a question is drawn from both of them, so it is the same in every process."""
    text = request.body["messages"][-1]["content"]
    if text.startswith("grade"):
        return answer("1" if text.endswith("right") else "0", delay_s=0.01)
    is_right = sha256(text.encode()).digest()[0] / 256 < RATES[text.split()[0]]
    return answer(f"to {text} {'right' if is_right else 'wrong'}", delay_s=0.01)


def begin(folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """``headrace WORDS`` in a process of its own."""
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT / "src")}
    where = ("--max-concurrency", str(IN_FLIGHT), "--workers", "0", "--output", "result.json")
    with folder.joinpath("errors.txt").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "headrace", *words, *where],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def prompts(server: ModelServer) -> Counter[str]:
    """How often each prompt was sent."""
    return Counter(request.body["messages"][-1]["content"] for request in server.requests)


def finish(folder: Path, words: Sequence[str]) -> Any:
    """Run to the end; what came of it, without what depends on times and ids."""
    code = begin(folder, words).wait(timeout=120)
    assert code == 0, folder.joinpath("errors.txt").read_text("utf-8")[-2000:]
    result = json.loads(folder.joinpath("result.json").read_text("utf-8"))
    for arm in (result["context"]["race"] or {"arms": []})["arms"]:
        # A call whose result was kept before its line was is paid, and is no call of the line that uses it then.
        for name in ("calls", "tokens", "full_calls", "full_tokens", "cost_usd", "full_cost_usd"):
            del arm[name]
    return without_times(result)


def without_times(value: Any) -> Any:
    """The same without what depends on times and ids."""
    if isinstance(value, dict):
        return {
            key: without_times(item)
            for key, item in value.items()
            if not any(part == key or (len(part) > 4 and part in key) for part in VARYING)
        }
    return [without_times(item) for item in value] if isinstance(value, list) else value


def check_deaths(folder: Path, race: Sequence[str], n_deaths: int, seed: int, *, n_lines: int) -> None:
    """Kill an experiment, resume it, and compare it with one that was never interrupted."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice
    with ModelServer(default=reply) as server:
        whole, hit = folder / "whole" / "project", folder / "hit" / "project"
        for place in (whole, hit):
            place.mkdir(parents=True)
            make_experiment(place, server, n_lines)
        expected = finish(whole, ("experiment", "run", "experiment.yaml", *race))
        paid = prompts(server)
        assert set(paid.values()) == {1}
        server.requests.clear()
        deaths = kill_often(hit, server, race, n_deaths, draw)
        assert deaths >= min(2, n_deaths), f"seed {seed}"
        words = ("resume", "deadly") if has_begun(hit) else ("run", "experiment.yaml", *race)
        result = finish(hit, ("experiment", *words))
        made = prompts(server)
    assert result == expected, f"seed {seed}"
    assert set(made) == set(paid), f"seed {seed}"
    # A call is committed with its line: only those that were in flight at a death are made again.
    assert made.total() - paid.total() <= deaths * N_CALLS * IN_FLIGHT, f"seed {seed}"


def kill_often(
    folder: Path, server: ModelServer, race: Sequence[str], n_deaths: int, draw: random.Random
) -> int:
    """Begin the experiment, kill it at drawn moments, begin again where it stood; how often it was killed."""
    words: Sequence[str] = ("experiment", "run", "experiment.yaml", *race)
    for deaths in range(n_deaths):
        before = len(server.requests)
        process = begin(folder, words)
        if draw.random() < 0.8:  # at some call of this process, else at any time from its start on
            wanted = before + draw.randint(1, 40)
            while process.poll() is None and len(server.requests) < wanted:
                time.sleep(0.002)
        else:
            time.sleep(draw.uniform(0.2, 1.2))
        if process.poll() is not None:
            return deaths
        process.kill()
        process.wait()
        if has_begun(folder):
            words = ("experiment", "resume", "deadly")
    return n_deaths


def has_begun(folder: Path) -> bool:
    """Whether the experiment is recorded."""
    listed = subprocess.run(
        [sys.executable, "-m", "headrace", "experiment", "list"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        check=True,
    )
    return bool(json.loads(listed.stdout))
