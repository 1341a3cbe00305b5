"""What a batch makes of the results that a runner delivers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.domain.dataset import Line
from headrace.domain.run import COMPLETED, LineResult, Usage
from headrace.engine.batch import Record, run_lines
from headrace.engine.shards import Deliver, PendingLine, Shard, ShardRunner
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


class OneCallRunner:
    """Delivers a result for every line, with what it used; each takes a turn of the loop."""

    def __init__(self, usage: Usage) -> None:
        self.n_begun = 0
        self._usage = usage

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        for pending in shard.lines:
            self.n_begun += 1
            await asyncio.sleep(0)
            number = pending.line.number
            deliver(LineResult(line_number=number, status=COMPLETED, inputs={}, usage=self._usage), {})


def run_all(
    folder: Path,
    n_lines: int,
    record: Record,
    runner: ShardRunner,
    *,
    max_concurrency: int = 2,
    size: int = 1,
    on_line: Callable[[LineResult], None] = lambda _: None,
) -> Sequence[Mapping[str, Any]]:
    """Run some lines of a small flow by a runner; what they keep."""
    (folder / "flow.dag.yaml").write_text(
        "inputs: {q: {type: string}}\noutputs: {o: {type: string, reference: '${inputs.q}'}}\nnodes: []\n"
    )
    lines = [
        PendingLine(line=Line(number=number, columns={}, span=file_span("data.jsonl")), inputs={"q": "a"})
        for number in range(n_lines)
    ]

    async def main() -> Sequence[Mapping[str, Any]]:
        async with FlowSession(workspace, loaded, max_threads=1, attributes={}) as flow:
            result = await run_lines(
                flow,
                lines,
                max_concurrency=max_concurrency,
                record=record,
                on_line=on_line,
                runner=runner,
                shard_size=size,
            )
            assert result.problem is None
            return result.kept

    with (
        open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace,
        loaded_flow(workspace, folder / "flow.dag.yaml") as loaded,
    ):
        return asyncio.run(main())


def test_a_line_that_is_delivered_twice_counts_once(tmp_path: Path) -> None:
    recorded: list[LineResult] = []
    kept = run_all(tmp_path, 5, recorded.extend, TwiceRunner(), size=2)
    assert sorted((line.line_number, (line.outputs or {})["o"]) for line in recorded) == [
        (number, "first") for number in range(5)
    ]
    assert kept == [{"o": "first"}] * 5


def test_what_is_recorded_as_a_batch_is_cancelled_is_told(tmp_path: Path) -> None:
    recorded: list[LineResult] = []
    told: list[LineResult] = []
    tasks: list[asyncio.Task[Any]] = []

    class Runner(OneCallRunner):
        async def run(self, shard: Shard, deliver: Deliver) -> None:
            tasks.extend(asyncio.all_tasks())
            await super().run(shard, deliver)

    def record(results: Sequence[LineResult]) -> None:
        loop = tasks[0].get_loop()
        is_cancelled = threading.Event()

        def cancel() -> None:
            for task in tasks:
                task.cancel()
            loop.call_later(0.01, is_cancelled.set)

        if not recorded:
            loop.call_soon_threadsafe(cancel)
            assert is_cancelled.wait(10)
        recorded.extend(results)

    with pytest.raises(asyncio.CancelledError):
        run_all(tmp_path, 3, record, Runner(Usage(calls=1)), on_line=told.append)
    assert told == recorded
    assert recorded


@pytest.mark.parametrize("max_concurrency", [1, 4])
def test_no_more_paid_results_wait_than_may_be_in_flight(tmp_path: Path, max_concurrency: int) -> None:
    runner = OneCallRunner(Usage(calls=1))
    most, recorded, pause = 0, 0, threading.Event()

    def record(results: Sequence[LineResult]) -> None:
        nonlocal most, recorded
        pause.wait(0.02)  # a slow disk: whatever may begin meanwhile does
        most = max(most, runner.n_begun - recorded)
        recorded += len(results)

    run_all(tmp_path, 40, record, runner, max_concurrency=max_concurrency)
    assert recorded == 40
    assert most <= 2 * max_concurrency


@pytest.mark.parametrize(("usage", "is_gathered"), [(Usage(), True), (Usage(calls=1), False)])
def test_only_results_that_cost_nothing_gather_before_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usage: Usage, is_gathered: bool
) -> None:
    monkeypatch.setattr("headrace.engine.batch._GATHER_S", 60)
    groups: list[int] = []
    run_all(
        tmp_path, 40, lambda results: groups.append(len(results)), OneCallRunner(usage), max_concurrency=1
    )
    assert sum(groups) == 40
    assert (len(groups) == 2) is is_gathered
