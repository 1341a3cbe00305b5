"""What is kept of the lines of a served flow: what somebody reads, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import write
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.domain.run import LineResult
from headrace.engine.line import run_line
from headrace.operations.prepare_flow import FlowSession, loaded_flow
from headrace.operations.workspace import open_workspace

FLOW = """\
inputs: {q: {type: string}, key: {type: secret, default: canary-7f3a}}
outputs: {o: {type: string, reference: "${say.output}"}}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {q: "${inputs.q}", key: "${inputs.key}"}
"""
SAY = """\
from promptflow.core import tool

@tool
def say(q: str, key: str) -> str:
    print("said", key)
    if q == "raise":
        raise ValueError(key)
    return q.upper()
"""


def run(folder: Path, question: str, **choice: Any) -> LineResult:
    write(folder, {"flow.dag.yaml": FLOW, "say.py": SAY})

    async def main() -> LineResult:
        async with FlowSession(workspace, loaded, max_threads=1, attributes={}, **choice) as flow:
            return await run_line(flow, {"q": question, "key": "canary-7f3a"}, line_number=0)

    with (
        serving_names(folder),
        open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace,
        loaded_flow(workspace, folder / "flow.dag.yaml") as loaded,
    ):
        return asyncio.run(main())


def test_a_line_keeps_what_its_nodes_did(tmp_path: Path) -> None:
    line = run(tmp_path, "a")
    assert (line.nodes[0].inputs["q"], line.nodes[0].output) == ("a", "A")
    assert [span.name for span in line.spans] == ["say", "invoke_workflow " + tmp_path.name]


def test_a_line_of_which_nothing_is_kept_answers_the_same(tmp_path: Path) -> None:
    line = run(tmp_path, "a", keeps_nodes=False)
    assert (line.outputs, line.inputs["q"], line.status) == ({"o": "A"}, "a", "Completed")
    assert (line.nodes, line.spans) == ((), ())
    assert line.end_ns > line.start_ns


def test_a_line_of_which_nothing_is_kept_says_which_node_failed(tmp_path: Path) -> None:
    line = run(tmp_path, "raise", keeps_nodes=False)
    (node,) = line.nodes
    assert (node.node, node.status, node.inputs, node.output) == ("say", "Failed", {}, None)
    assert line.start_ns <= node.start_ns <= node.end_ns <= line.end_ns


@pytest.mark.parametrize("keeps_nodes", [True, False])
def test_what_a_line_says_holds_no_secret_whatever_is_kept(tmp_path: Path, keeps_nodes: bool) -> None:
    line = run(tmp_path, "raise", keeps_nodes=keeps_nodes)
    assert line.problem is not None
    assert line.problem.code == "E601"
    assert "canary" not in repr(line)
