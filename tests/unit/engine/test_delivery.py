"""What a batch makes of the results that a runner delivers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.config import load_settings
from headrace.domain.dataset import Line
from headrace.domain.run import COMPLETED, LineResult
from headrace.engine.batch import run_lines
from headrace.engine.shards import Deliver, PendingLine, Shard
from headrace.operations.prepare_flow import FlowSession, loaded_flow
from headrace.operations.workspace import open_workspace
from headrace.source import file_span


class TwiceRunner:
    """Delivers every line of a shard, and all of them again with another answer."""

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        for answer in ("first", "second"):
            for pending in shard.lines:
                result = LineResult(
                    line_number=pending.line.number,
                    status=COMPLETED,
                    inputs={},
                    outputs={"o": answer},
                )
                deliver(result, {"o": answer})
            await asyncio.sleep(0)


def test_a_line_that_is_delivered_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs: {q: {type: string}}\noutputs: {o: {type: string, reference: '${inputs.q}'}}\nnodes: []\n"
    )
    recorded: list[LineResult] = []
    lines = [
        PendingLine(line=Line(number=number, columns={}, span=file_span("data.jsonl")), inputs={"q": "a"})
        for number in range(5)
    ]

    async def main() -> list[Mapping[str, Any]]:
        async with FlowSession(workspace, loaded, max_threads=1, attributes={}) as flow:
            result = await run_lines(
                flow,
                lines,
                max_concurrency=2,
                record=recorded.extend,
                on_line=lambda _: None,
                runner=TwiceRunner(),
                shard_size=2,
            )
            assert result.problem is None
            return list(result.kept)

    with (
        open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace,
        loaded_flow(workspace, tmp_path / "flow.dag.yaml") as loaded,
    ):
        kept = asyncio.run(main())
    assert sorted((line.line_number, (line.outputs or {})["o"]) for line in recorded) == [
        (number, "first") for number in range(5)
    ]
    assert kept == [{"o": "first"}] * 5
