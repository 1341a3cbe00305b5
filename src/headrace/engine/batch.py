"""Many lines through a flow: bounded concurrency, every result recorded within moments.

Results are committed in groups: while one transaction is being written, and for a moment behind it, the next results
gather, because each commit waits for the disk. A line counts as done, and its event is given out, only after its
commit. Results that are dear, because a model was called or time passed, do not wait for that moment, and no more lines
are taken while as many of them wait as may be in flight: that is what a kill can cost beside what is in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.line import run_line
from headrace.engine.masking import mask_line
from headrace.engine.plain import recorded_inputs
from headrace.engine.runtime import PreparedFlow
from headrace.engine.shards import Deliver, PendingLine, Shard, ShardRunner, make_shards
from headrace.engine.spending import Spending
from headrace.engine.stopping import Stop
from headrace.errors import Problem

_MAX_WAITING = 256
"""Results that wait for their commit before no further line is taken."""

_GATHER_S = 0.05
_MANY_WAITING = 128
"""Between the beginnings of two commits, while fewer results than that wait, and none that is dear."""

_DEAR_S = 0.05
"""A line that took longer is dear, whether or not it is known to have called a model."""

Record = Callable[[Sequence[LineResult]], None]
"""Commits some results; blocks; called in a thread, one call at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What the lines left behind.

    Attributes:
        kept: What each succeeded line kept for aggregation nodes, in order of line number.
        problem: Why the batch was cut or stopped before its end; ``None`` when every line was run.
    """

    kept: Sequence[Mapping[str, Any]]
    problem: Problem | None = None


class LocalRunner:
    """Runs the lines of a shard one after the other in this process."""

    def __init__(self, flow: PreparedFlow) -> None:
        self._flow = flow

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        """See :class:`~headrace.engine.shards.ShardRunner`."""
        for pending in shard.lines:
            kept: dict[str, Any] = {}
            result = await run_line(
                self._flow,
                pending.inputs,
                line_number=pending.line.number,
                kept=kept,
                place=pending.line.span,
            )
            deliver(result, kept)


class _Recorder:
    """Gathers results and commits them in groups, in a thread, one transaction at a time."""

    def __init__(self, record: Record, on_line: Callable[[LineResult], None], most_dear: int) -> None:
        self._record = record
        self._on_line = on_line
        self._most_dear = most_dear
        self._n_dear = 0
        """Those that wait or are being written."""
        self._waiting: list[LineResult] = []
        self._is_filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_due = asyncio.Event()
        self._is_closed = False
        self._group: list[LineResult] = []
        """Those that are being written, until that has been told."""
        self._commit: asyncio.Future[None] | None = None

    def add(self, result: LineResult) -> None:
        self._waiting.append(result)
        self._is_filled.set()
        self._n_dear += _is_dear(result)
        if self._n_dear or len(self._waiting) >= _MANY_WAITING:
            self._is_due.set()

    async def wait_for_room(self) -> None:
        """Let commits catch up: lines that are faster than the store would fill the memory, and be lost by a kill."""
        while len(self._waiting) >= _MAX_WAITING or self._n_dear >= self._most_dear:
            self._has_room.clear()
            await self._has_room.wait()

    def close(self) -> None:
        self._is_closed = True
        self._is_filled.set()
        self._is_due.set()

    async def run(self) -> None:
        while self._waiting or not self._is_closed:
            await self._is_filled.wait()
            self._is_filled.clear()
            if self._waiting:
                group, self._waiting = self._waiting, []
                self._group = group
                self._has_room.set()
                loop = asyncio.get_running_loop()
                began_s = loop.time()
                # No task: an interrupt cancels all of them, also before they have begun.
                self._commit = loop.run_in_executor(None, copy_context().run, self._record, group)
                await asyncio.shield(self._commit)
                self._n_dear -= sum(map(_is_dear, group))
                self._has_room.set()
                self._group = []
                self._tell(group)
                await self._gather(began_s + _GATHER_S)

    async def _gather(self, until_s: float) -> None:
        """Wait for more lines until a time of the loop, unless some are due, or no more will come."""
        if not self._is_closed and not self._n_dear and len(self._waiting) < _MANY_WAITING:
            self._is_due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await self._is_due.wait()

    async def finish(self) -> None:
        """Bring a commit that has begun to its end and commit what is left; for the end of a cancelled run."""
        if self._group and self._commit is not None:
            await asyncio.wait([self._commit])
            if not self._commit.cancelled() and self._commit.exception() is None:
                self._tell(self._group)
        group, self._waiting = self._waiting, []
        if group:
            self._record(group)
            self._tell(group)

    def _tell(self, group: Sequence[LineResult]) -> None:
        for result in group:
            self._on_line(result)


async def run_lines(
    flow: PreparedFlow,
    lines: Iterable[PendingLine],
    *,
    max_concurrency: int,
    record: Record,
    on_line: Callable[[LineResult], None],
    kept: Mapping[int, Mapping[str, Any]] | None = None,
    stop: Stop | None = None,
    spending: Spending | None = None,
    runner: ShardRunner | None = None,
    shard_size: int = 1,
) -> BatchResult:
    """Run all lines and record each.

    Lines are taken when there is room for them, so that memory does not grow with their number. Those that have not
    come to an end when the flow's limit for the batch is over are recorded as failed; those that have not when the
    batch is stopped are not recorded, so that they can be run later.

    Args:
        flow: The prepared flow.
        lines: In order of line number.
        max_concurrency: Shards in flight at once, at least 1.
        record: Commits results.
        on_line: Hears each line after its commit, on the event loop's thread.
        kept: What lines that need not be run, because they are recorded already, keep for aggregation nodes.
        stop: Ends the batch early when it is asked for.
        spending: Stops the batch when the next line might spend more than it may.
        runner: Runs the lines; this process does where it is left out.
        shard_size: Lines that the runner is given at once.

    Raises:
        DefinitionError: When a line cannot be read any more.
        StateError: When ``record`` does; lines that it committed before stay committed.
        asyncio.CancelledError: After what was finished has been recorded.
    """
    recorder = _Recorder(record, on_line, max_concurrency)
    stop = stop or Stop()
    shards = make_shards(lines, shard_size)
    batch = _Batch(flow, shards, recorder, kept or {}, stop, spending, runner or LocalRunner(flow))
    problem = None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run())
            await batch.work_in_time(max_concurrency)
            if batch.is_done:
                problem = None
            elif stop.problem is not None:
                problem = stop.problem
            else:
                problem = _cut(flow)
                for pending in batch.unfinished():
                    recorder.add(failed_line(pending, problem))
            recorder.close()
    except BaseExceptionGroup as failures:
        raise _only(failures) from None
    finally:
        await recorder.finish()
    return BatchResult(kept=[batch.kept[number] for number in sorted(batch.kept)], problem=problem)


class _Batch:
    """The lines that are left, those in flight, and what the finished ones keep for aggregation nodes."""

    def __init__(
        self,
        flow: PreparedFlow,
        shards: Iterator[Shard],
        recorder: _Recorder,
        kept: Mapping[int, Mapping[str, Any]],
        stop: Stop,
        spending: Spending | None,
        runner: ShardRunner,
    ) -> None:
        self.kept = dict(kept)
        self._flow = flow
        self._remaining = shards
        self._in_flight: dict[int, PendingLine] = {}
        self._recorder = recorder
        self._stop = stop
        self._spending = spending
        self._has_ended = asyncio.Event()
        """Set with the first line that has ended: from then on it is known what a line spends."""
        if spending is None:
            self._has_ended.set()
        else:
            spending.begin_batch()
        self._runner = runner
        self._is_exhausted = False

    @property
    def is_done(self) -> bool:
        """Whether every line came to an end."""
        return self._is_exhausted and not self._in_flight

    async def work_in_time(self, max_concurrency: int) -> None:
        """Run lines until the last one, or the end of the batch's limit, or of the grace of a stop."""
        try:
            async with (
                asyncio.timeout(self._flow.limits.batch_timeout_s) as limit,
                asyncio.TaskGroup() as workers,
            ):
                self._stop.cut_after_grace(limit)
                for _ in range(max_concurrency):
                    workers.create_task(self._work())
                    # Let the line before put its request on the wire before the next one is prepared.
                    await asyncio.sleep(0)
                    if self._is_exhausted:
                        break
        except TimeoutError:
            if not limit.expired():
                raise

    def unfinished(self) -> Iterator[PendingLine]:
        """The lines that have no result, for the end of a batch that was cut."""
        yield from self._in_flight.values()
        for shard in self._remaining:
            yield from shard.lines

    async def _work(self) -> None:
        while self._stop.problem is None:
            if self._in_flight and not self._has_ended.is_set():
                await self._has_ended.wait()
                continue
            shard = next(self._remaining, None)
            if shard is None:
                self._is_exhausted = True
                return
            if not self._may_spend(len(shard.lines)):
                return  # the lines stay unrecorded, to be run later
            await self._run(shard)
            # Lines that never wait (prompts only) would keep the recorder and other workers from running.
            await asyncio.sleep(0)
            await self._recorder.wait_for_room()

    def _may_spend(self, n_lines: int) -> bool:
        n_in_flight = len(self._in_flight)
        problem = self._spending.refuse(n_in_flight, n_lines) if self._spending is not None else None
        if problem is not None:
            # What is in flight is being paid for, so it may take the time that it needs.
            self._stop.ask(problem, self._flow.limits.line_timeout_s)
        return problem is None

    async def _run(self, shard: Shard) -> None:
        for pending in shard.lines:
            if pending.problem is not None:
                self._recorder.add(failed_line(pending, pending.problem))
        lines = tuple(pending for pending in shard.lines if pending.problem is None)
        if lines:
            self._in_flight.update((pending.line.number, pending) for pending in lines)
            await self._runner.run(Shard(index=shard.index, lines=lines), self._deliver)

    def _deliver(self, result: LineResult, values: Mapping[str, Any]) -> None:
        pending = self._in_flight.pop(result.line_number, None)
        if pending is None:
            return  # a line that was run again although it had not been lost
        if values and result.status == COMPLETED:
            self.kept[result.line_number] = values
        if pending.unused:
            inputs = {**result.inputs, **recorded_inputs(pending.unused)}
            result = mask_line(replace(result, inputs=inputs), self._flow.secrets(), self._flow.plan.flow)
        if self._spending is not None:
            self._spending.add(result.usage)
            self._has_ended.set()
        self._recorder.add(result)


def _is_dear(result: LineResult) -> bool:
    return result.usage.calls > 0 or result.end_ns - result.start_ns > _DEAR_S * 1e9


def _only(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _only(first) if isinstance(first, BaseExceptionGroup) else first


def _cut(flow: PreparedFlow) -> Problem:
    return Problem(
        code="E603",
        what=f"The run took longer than {flow.limits.batch_timeout_s:g} s and was cut before this line had ended.",
        span=flow.plan.flow.source_map.span(()),
        fix="Raise HEADRACE_BATCH_TIMEOUT_S (or PF_BATCH_TIMEOUT_SEC), then go on with the run: --resume-from.",
    )


def failed_line(pending: PendingLine, problem: Problem) -> LineResult:
    """The result of a line that did not come to an end of its own."""
    return LineResult(
        line_number=pending.line.number,
        status=FAILED,
        inputs=recorded_inputs({**pending.inputs, **pending.unused}),
        problem=problem,
    )
