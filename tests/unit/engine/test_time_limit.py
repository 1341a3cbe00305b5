"""A time limit that does not count the wait for a quota."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.support.virtual_loop import VirtualLoop

from headrace.engine.time_limit import TimeLimit
from headrace.providers.turns import paused


def run(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds until the end of ``work`` under a limit of 10 s."""
    loop = VirtualLoop()

    async def session() -> None:
        with TimeLimit(10):
            await work()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            runner.run(session())
        finally:
            ended = loop.time()
    return ended


async def wait(seconds: float) -> None:
    with paused():
        await asyncio.sleep(seconds)


def test_waiting_does_not_count() -> None:
    async def work() -> None:
        await asyncio.sleep(6)
        await wait(100)
        await asyncio.sleep(3)

    assert run(work) == 109


def test_work_counts_on_both_sides_of_a_wait() -> None:
    async def work() -> None:
        await asyncio.sleep(6)
        await wait(100)
        await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        run(work)


def test_waits_at_the_same_time_count_once() -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(50))
            group.create_task(wait(80))
        await asyncio.sleep(9)

    assert run(work) == 89


def test_wait_that_outlives_its_block_is_harmless() -> None:
    async def session() -> None:
        async with asyncio.TaskGroup() as group:
            with TimeLimit(10):
                group.create_task(wait(50))
                await asyncio.sleep(1)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(session())


def test_an_inner_limit_is_not_the_outer_one() -> None:
    async def session() -> None:
        with TimeLimit(20) as outer:
            with pytest.raises(TimeoutError), TimeLimit(10) as inner:
                await asyncio.sleep(100)
            assert (inner.expired(), outer.expired()) == (True, False)
            with pytest.raises(TimeoutError), TimeLimit(5):
                await asyncio.sleep(100)
        assert asyncio.get_running_loop().time() == 15

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(session())


def test_the_cancellation_of_somebody_else_stays_one() -> None:
    async def work() -> None:
        with TimeLimit(10):
            await asyncio.sleep(100)

    async def session() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 5

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(session())


def test_a_cancellation_at_the_same_moment_wins() -> None:
    async def work() -> None:
        with TimeLimit(10):
            await asyncio.sleep(100)

    async def session() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(10, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(session())
