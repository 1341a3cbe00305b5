"""What a pool does with workers that die, hang or cannot be started; the workers are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from headrace.domain.dataset import Line
from headrace.domain.run import COMPLETED, FAILED, LineResult
from headrace.engine.frames import LineDone
from headrace.engine.pool import WorkerLostError, WorkerPool
from headrace.engine.shards import PendingLine, Shard, make_shards
from headrace.errors import ExecutionError, Problem
from headrace.source import file_span

DIED = Problem(code="E610", what="It died.")
LATE = Problem(code="E603", what="It was late.")


class ScriptedWorker:
    """Runs lines at once but for those of ``bad``, which take the worker with them when the others have begun."""

    def __init__(self, bad: Mapping[int, Problem], log: list[set[int]]) -> None:
        self.is_spent = False
        self.is_closed = False
        self._bad = bad
        self._log = log
        self._in_flight: set[int] = set()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, lines: Sequence[PendingLine], done: Callable[[LineDone], None]) -> None:
        numbers = {line.line.number for line in lines}
        self._in_flight |= numbers
        self._log.append(set(self._in_flight))
        await asyncio.sleep(0)
        for number in numbers & self._bad.keys():
            is_settled = self._bad[number] is LATE and self._in_flight == {number}
            if not self._lost.done():
                self._lost.set_exception(WorkerLostError(self._bad[number], is_settled=is_settled))
                self.is_spent = True
        await asyncio.sleep(0)
        if self.is_spent:
            await self._lost
        self._in_flight -= numbers
        for number in sorted(numbers):
            done(LineDone(result=LineResult(line_number=number, status=COMPLETED, inputs={}), kept=None))

    async def close(self) -> None:
        self.is_closed = True


class Scene:
    """A pool of scripted workers, and what came of its lines."""

    def __init__(self, bad: Mapping[int, Problem], *, n_workers: int = 2, n_at_once: int = 3) -> None:
        self.workers: list[ScriptedWorker] = []
        self.in_flight: list[set[int]] = []
        self.results: dict[int, LineResult] = {}
        self.n_unstartable = 0
        self._bad = bad
        self._n_workers = n_workers
        self._n_at_once = n_at_once

    async def open(self) -> ScriptedWorker:
        if self.n_unstartable:
            self.n_unstartable -= 1
            raise WorkerLostError(DIED)
        self.workers.append(ScriptedWorker(self._bad, self.in_flight))
        return self.workers[-1]

    def deliver(self, result: LineResult, _: Mapping[str, Any]) -> None:
        assert result.line_number not in self.results
        self.results[result.line_number] = result

    async def run(self, n_lines: int, size: int = 1) -> None:
        pool = WorkerPool(
            self.open,
            n_workers=self._n_workers,
            n_at_once=self._n_at_once,
            accept=lambda _, message: (message.result, {}),
        )
        async with pool, asyncio.TaskGroup() as group:
            for shard in make_shards(some_lines(n_lines), size):
                group.create_task(pool.run(shard, self.deliver))

    @property
    def failed(self) -> dict[int, str]:
        return {
            number: result.problem.code
            for number, result in self.results.items()
            if result.status == FAILED and result.problem is not None
        }


def some_lines(n: int) -> list[PendingLine]:
    return [
        PendingLine(line=Line(number=number, columns={}, span=file_span("data.jsonl")), inputs={})
        for number in range(n)
    ]


def play(scene: Scene, n_lines: int, size: int = 1) -> Scene:
    asyncio.run(scene.run(n_lines, size))
    assert sorted(scene.results) == list(range(n_lines))
    assert all(worker.is_closed for worker in scene.workers)
    return scene


def test_a_line_that_kills_its_worker_takes_no_other_one_down() -> None:
    scene = play(Scene({4: DIED}), 12)
    assert scene.failed == {4: "E610"}
    assert [numbers for numbers in scene.in_flight if 4 in numbers][-1] == {4}
    assert len(scene.workers) == 3  # the last to die has no successor, because nothing is left to do


def test_lines_of_a_worker_that_died_are_run_alone() -> None:
    scene = play(Scene({0: DIED}, n_workers=1, n_at_once=4), 4)
    assert scene.failed == {0: "E610"}
    assert scene.in_flight[-4:] == [{0}, {1}, {2}, {3}]


def test_many_deadly_lines_come_to_an_end() -> None:
    bad = dict.fromkeys(range(0, 60, 3), DIED)
    assert sorted(play(Scene(bad), 60).failed) == sorted(bad)


def test_a_line_that_is_late_is_run_again_unless_it_was_alone() -> None:
    scene = play(Scene({1: LATE}, n_workers=1, n_at_once=2), 4)
    assert scene.failed == {1: "E603"}
    alone = play(Scene({1: LATE}, n_workers=1, n_at_once=1), 4)
    assert (alone.failed, alone.in_flight.count({1})) == ({1: "E603"}, 1)


def test_the_other_lines_of_a_shard_are_run_when_one_kills_it() -> None:
    scene = play(Scene({7: DIED}, n_at_once=1), 20, size=5)
    assert scene.failed == {7: "E610"}


def test_workers_that_cannot_be_started_are_tried_again_and_then_end_the_run() -> None:
    scene = Scene({}, n_workers=1)
    scene.n_unstartable = 2
    play(scene, 3)
    scene = Scene({}, n_workers=1)
    scene.n_unstartable = 99
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(scene.run(3))
    assert caught.group_contains(ExecutionError, match="E610")
    assert scene.n_unstartable == 95


def test_shards_are_settled_by_numbers_and_size() -> None:
    lines = some_lines(10)
    assert [shard.index for shard in make_shards(lines, 1)] == list(range(10))

    def indexes(left: list[PendingLine]) -> list[tuple[int, list[int]]]:
        return [(shard.index, [item.line.number for item in shard.lines]) for shard in make_shards(left, 4)]

    assert indexes(lines) == [(0, [0, 1, 2, 3]), (1, [4, 5, 6, 7]), (2, [8, 9])]
    assert indexes(lines[2:3] + lines[9:]) == [(0, [2]), (2, [9])]


def test_a_shard_can_be_given_twice() -> None:
    shard = Shard(index=0, lines=tuple(some_lines(2)))
    assert shard == next(make_shards(some_lines(2), 5))
