"""What a line leaves behind: nothing that waits for the garbage collector, which runs seldom where requests are served."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from weakref import ref

import pytest
from tests.support.endpoint import write
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.engine.line import run_line
from headrace.operations.prepare_flow import FlowSession, loaded_flow
from headrace.operations.workspace import open_workspace

FILES = {
    "flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {o: {type: string, reference: "${last.output}"}}
nodes:
- name: first
  type: python
  source: {type: code, path: first.py}
  inputs: {q: "${inputs.q}"}
- name: last
  type: python
  source: {type: code, path: last.py}
  inputs: {q: "${inputs.q}", before: "${first.output}"}
""",
    "first.py": """\
from promptflow.core import tool

@tool
def first(q: object) -> int:
    return len(q) // (q != "thread")
""",
    "last.py": """\
import asyncio
from promptflow.core import tool

@tool
async def last(q: object, before: int) -> float:
    await asyncio.sleep(60 if q == "wait" else 0)
    return before / (q != "loop")
""",
}


class Asked(str):
    """A text that can be watched."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing that only the collector finds is found."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("keeps_nodes", [True, False])
@pytest.mark.parametrize(
    ("question", "status"), [("fine", "Completed"), ("thread", "Failed"), ("loop", "Failed"), ("wait", None)]
)
def test_a_line_that_is_over_is_forgotten(
    tmp_path: Path, question: str, status: str | None, keeps_nodes: bool
) -> None:
    write(tmp_path, FILES)

    async def run(watched: list[ref[Asked]]) -> str | None:
        async with FlowSession(
            workspace, loaded, max_threads=1, attributes={}, keeps_nodes=keeps_nodes
        ) as flow:
            asked = Asked(question)
            watched.append(ref(asked))
            line = asyncio.create_task(run_line(flow, {"q": asked}, line_number=0))
            del asked
            if status is None:
                await asyncio.sleep(0.2)
                line.cancel()
            await asyncio.wait([line])
            found = None if line.cancelled() else line.result().status
            del line
            for _ in range(200):
                if watched[0]() is None:
                    break
                await asyncio.sleep(0.01)  # the thread of a tool is about to end its turn
            assert watched[0]() is None
            return found

    with (
        serving_names(tmp_path),
        open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace,
        loaded_flow(workspace, tmp_path / "flow.dag.yaml") as loaded,
    ):
        assert asyncio.run(run([])) == status
