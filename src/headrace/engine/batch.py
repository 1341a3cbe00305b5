"""Many lines through a flow: bounded concurrency, every result recorded as soon as it is there.

Results are committed in groups: while one transaction is being written, the next results gather. A line counts as
done, and its event is given out, only after its commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.domain.dataset import Line
from headrace.domain.multimedia import BASIC
from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.line import run_line
from headrace.engine.plain import to_record
from headrace.engine.runtime import PreparedFlow
from headrace.errors import Problem

Record = Callable[[Sequence[LineResult]], None]
"""Commits some results; blocks; called in a thread, one call at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLine:
    """A line to run: its flow inputs, or the problem that keeps it from running."""

    line: Line
    inputs: Mapping[str, Any]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What the lines left behind.

    Attributes:
        kept: What each succeeded line kept for aggregation nodes, in order of line number.
        problem: Why the batch was cut before its end; ``None`` when every line was run.
    """

    kept: Sequence[Mapping[str, Any]]
    problem: Problem | None = None


class _Recorder:
    """Gathers results and commits them in groups, in a thread, one transaction at a time.

    Attributes:
        numbers: Of the lines that have a result.
    """

    def __init__(self, record: Record, on_line: Callable[[LineResult], None]) -> None:
        self.numbers: set[int] = set()
        self._record = record
        self._on_line = on_line
        self._waiting: list[LineResult] = []
        self._is_filled = asyncio.Event()
        self._is_closed = False
        self._commit: asyncio.Future[None] | None = None

    def add(self, result: LineResult) -> None:
        self.numbers.add(result.line_number)
        self._waiting.append(result)
        self._is_filled.set()

    def close(self) -> None:
        self._is_closed = True
        self._is_filled.set()

    async def run(self) -> None:
        while self._waiting or not self._is_closed:
            await self._is_filled.wait()
            self._is_filled.clear()
            if self._waiting:
                group, self._waiting = self._waiting, []
                self._commit = asyncio.ensure_future(asyncio.to_thread(self._record, group))
                await asyncio.shield(self._commit)
                self._tell(group)

    async def finish(self) -> None:
        """Bring a commit that has begun to its end and commit what is left; for the end of a cancelled run."""
        if self._commit is not None and not self._commit.done():
            await asyncio.wait([self._commit])
        group, self._waiting = self._waiting, []
        if group:
            self._record(group)
            self._tell(group)

    def _tell(self, group: Sequence[LineResult]) -> None:
        for result in group:
            self._on_line(result)


async def run_lines(
    flow: PreparedFlow,
    lines: Sequence[PendingLine],
    *,
    max_concurrency: int,
    record: Record,
    on_line: Callable[[LineResult], None],
    kept: Mapping[int, Mapping[str, Any]] | None = None,
) -> BatchResult:
    """Run all lines and record each.

    Lines that have not come to an end when the flow's limit for the batch is over are recorded as failed.

    Args:
        flow: The prepared flow.
        lines: In order of line number.
        max_concurrency: Lines in flight at once, at least 1.
        record: Commits results.
        on_line: Hears each line after its commit, on the event loop's thread.
        kept: What lines that need not be run, because they are recorded already, keep for aggregation nodes.

    Raises:
        StateError: When ``record`` does; lines that it committed before stay committed.
        asyncio.CancelledError: After what was finished has been recorded.
    """
    all_kept = dict(kept or {})
    recorder = _Recorder(record, on_line)
    problem = None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run())
            if not await _work_in_time(flow, lines, recorder, all_kept, max_concurrency):
                problem = _cut(flow)
                for pending in lines:
                    if pending.line.number not in recorder.numbers:
                        recorder.add(_refused(pending, problem))
            recorder.close()
    except BaseExceptionGroup as failures:
        raise _only(failures) from None
    finally:
        await recorder.finish()
    return BatchResult(kept=[all_kept[number] for number in sorted(all_kept)], problem=problem)


def _only(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _only(first) if isinstance(first, BaseExceptionGroup) else first


async def _work_in_time(
    flow: PreparedFlow,
    lines: Sequence[PendingLine],
    recorder: _Recorder,
    kept: dict[int, Mapping[str, Any]],
    max_concurrency: int,
) -> bool:
    """Whether all lines came to an end within the limit of the batch."""
    remaining = iter(lines)
    try:
        async with asyncio.timeout(flow.limits.batch_timeout_s) as limit, asyncio.TaskGroup() as workers:
            for _ in range(min(max_concurrency, len(lines))):
                workers.create_task(_work(flow, remaining, recorder, kept))
                # Let the line before put its request on the wire before the next one is prepared.
                await asyncio.sleep(0)
    except TimeoutError:
        if not limit.expired():
            raise
        return False
    return True


def _cut(flow: PreparedFlow) -> Problem:
    return Problem(
        code="E603",
        what=f"The run took longer than {flow.limits.batch_timeout_s:g} s and was cut before this line had ended.",
        span=flow.plan.flow.source_map.span(()),
        fix="Raise HEADRACE_BATCH_TIMEOUT_S (or PF_BATCH_TIMEOUT_SEC), then go on with the run: --resume-from.",
    )


async def _work(
    flow: PreparedFlow,
    remaining: Iterator[PendingLine],
    recorder: _Recorder,
    kept: dict[int, Mapping[str, Any]],
) -> None:
    for pending in remaining:
        number = pending.line.number
        if pending.problem is not None:
            recorder.add(_refused(pending, pending.problem))
            continue
        values: dict[str, Any] = {}
        result = await run_line(
            flow, pending.inputs, line_number=number, kept=values, place=pending.line.span
        )
        if result.status == COMPLETED:
            kept[number] = values
        recorder.add(result)
        # Lines that never wait (prompts only) would keep the recorder and other workers from running.
        await asyncio.sleep(0)


def _refused(pending: PendingLine, problem: Problem) -> LineResult:
    return LineResult(
        line_number=pending.line.number,
        status=FAILED,
        inputs=recorded_inputs(pending.inputs),
        problem=problem,
    )


def recorded_inputs(inputs: Mapping[str, Any], message_format: str = BASIC) -> dict[str, Any]:
    """The inputs of a line as they are recorded."""
    return {name: to_record(value, message_format) for name, value in inputs.items()}
