"""A flow for tests in which processes die, and all of its runs that may not depend on that."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.operations.resume_run import ResumeRequest, resume_run
from headrace.operations.run_batch import RunRequest
from headrace.operations.workspace import Workspace

FLOW = """\
inputs:
  n: {type: int}
outputs:
  answer: {type: object, reference: "${second.output}"}
nodes:
- {name: first, type: python, source: {type: code, path: first.py}, inputs: {n: "${inputs.n}"}}
- {name: second, type: python, source: {type: code, path: second.py}, inputs: {value: "${first.output}"}}
- name: total
  type: python
  source: {type: code, path: total.py}
  inputs: {values: "${second.output}"}
  aggregation: true
"""
FIRST = """\
import time

from promptflow.core import tool

@tool
def first(n: int):
    print("line", n)
    time.sleep(0.01)
    return {"n": n, "text": "x" * (n % 50)}
"""
SECOND = """\
from promptflow.core import tool

@tool
async def second(value: object):
    if value["n"] % 97 == 5:
        raise ValueError(f"bad {value['n']}")
    return {**value, "square": value["n"] ** 2}
"""
TOTAL = """\
from promptflow.core import log_metric, tool

@tool
def total(values: list):
    log_metric("squares", sum(value["square"] for value in values))
    log_metric("n", len(values))
"""


def make_flow(folder: Path, n_lines: int) -> RunRequest:
    flow = folder / "flow"
    flow.mkdir()
    files = {"flow.dag.yaml": FLOW, "first.py": FIRST, "second.py": SECOND, "total.py": TOTAL}
    for name, text in files.items():
        flow.joinpath(name).write_text(text, "utf-8")
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(n_lines)), "utf-8")
    return RunRequest(flow=flow, data=data, name="whole", max_concurrency=8)


def story(workspace: Workspace, run: str) -> tuple[object, list[object]]:
    """All that may not depend on faults: metrics, and of each line its result, its nodes and what they printed."""
    told: list[object] = []
    for line in workspace.store.read_lines(run):
        code = line.problem.code if line.problem is not None else None
        nodes = [(node.node, node.status, node.output, dict(node.logs)) for node in line.nodes]
        told.append((line.line_number, line.status, dict(line.inputs), dict(line.outputs), code, nodes))
    return dict(workspace.store.read_run(run).metrics), told


def settle(workspace: Workspace, run: str) -> None:
    """Run those lines again whose worker died twice: the second time they were alone, so it was taken for their doing.

    Nothing else may differ from a run without faults.
    """
    whole, hit = story(workspace, "whole")[1], story(workspace, run)[1]
    unlucky = [theirs for ours, theirs in zip(whole, hit, strict=True) if ours != theirs]
    assert {line[4] for line in unlucky} <= {"E610"}  # type: ignore[index]
    if unlucky:
        resume_run(workspace, ResumeRequest(name=run, retries_failed=True))
