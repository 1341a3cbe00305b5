from __future__ import annotations

import asyncio
import threading

import pytest

from headrace.engine.threads import ToolThreads


def test_a_result_and_an_exception_reach_the_waiting_task() -> None:
    async def main() -> None:
        threads = ToolThreads(2)
        assert await threads.run(lambda: threading.current_thread().name) == "headrace-tool"
        with pytest.raises(KeyError):
            await threads.run(lambda: {}["missing"])
        with pytest.raises(RuntimeError, match="StopIteration"):
            await threads.run(lambda: next(iter(())))
        threads.close()

    asyncio.run(main())


def test_jobs_beyond_the_limit_wait_their_turn() -> None:
    running = 0
    most = 0
    lock = threading.Lock()
    both = threading.Barrier(2)

    def job() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(timeout=10)  # each job needs a partner, so that two do run at once
        with lock:
            running -= 1

    async def main() -> None:
        threads = ToolThreads(2)
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(threads.run(job))
        threads.close()

    asyncio.run(main())
    assert most == 2


def test_a_stuck_job_is_given_up_and_its_thread_replaced() -> None:
    release = threading.Event()

    async def main() -> None:
        threads = ToolThreads(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await threads.run(release.wait)
        assert await threads.run(lambda: "still working") == "still working"
        release.set()
        threads.close()

    asyncio.run(main())


def test_jobs_that_are_cancelled_before_a_thread_takes_them_cost_no_thread() -> None:
    release, begun = threading.Event(), threading.Barrier(3)

    def job() -> None:
        begun.wait(timeout=10)
        release.wait()

    async def main() -> None:
        threads = ToolThreads(2)
        waiting = [asyncio.create_task(threads.run(job)) for _ in range(6)]
        await asyncio.to_thread(begun.wait, 10)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        async with asyncio.timeout(10):
            assert await threads.run(lambda: "next") == "next"
        release.set()
        threads.close()

    asyncio.run(main())


def test_threads_that_are_stuck_are_replaced_a_few_times_only_and_come_back() -> None:
    release = threading.Event()

    async def main() -> None:
        threads = ToolThreads(1)
        before = threading.active_count()
        for _ in range(12):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await threads.run(release.wait)
        assert threading.active_count() - before <= 5
        release.set()
        async with asyncio.timeout(10):
            assert await threads.run(lambda: "next") == "next"
        threads.close()

    asyncio.run(main())


def test_a_cancellation_that_a_job_raises_does_not_give_its_thread_up() -> None:
    def cancel() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        threads = ToolThreads(1)
        first = await threads.run(threading.get_ident)
        for _ in range(3):
            with pytest.raises(asyncio.CancelledError):
                await threads.run(cancel)
        with pytest.raises(RuntimeError, match="GeneratorExit: mine"):
            await threads.run(lambda: (_ for _ in ()).throw(GeneratorExit("mine")))
        before = threading.active_count()
        assert {await threads.run(threading.get_ident) for _ in range(10)} == {first}
        assert threading.active_count() <= before  # one of a test before may have ended meanwhile
        threads.close()

    asyncio.run(main())


def test_a_wait_that_is_cancelled_after_the_job_was_done_keeps_the_thread() -> None:
    async def main() -> None:
        threads = ToolThreads(1)
        has_begun = threading.Event()
        first = asyncio.ensure_future(threads.run(threading.get_ident))
        second = asyncio.ensure_future(threads.run(has_begun.set))
        await asyncio.sleep(0)
        has_begun.wait(timeout=10)  # with the loop held: the first result is on its way, not yet delivered
        first.cancel()
        await asyncio.wait([first, second])
        assert first.cancelled()
        n_threads = threading.active_count()
        await threads.run(has_begun.is_set)
        assert threading.active_count() == n_threads
        threads.close()

    asyncio.run(main())


def test_a_job_that_blocks_holds_up_no_other_while_threads_are_free() -> None:
    n_jobs = 4
    all_at_once = threading.Barrier(n_jobs)

    async def main() -> None:
        threads = ToolThreads(n_jobs)
        for _ in range(20):  # the first round starts threads, the others wake idle ones
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                for _ in range(n_jobs):
                    group.create_task(threads.run(lambda: all_at_once.wait(timeout=10)))
        threads.close()

    asyncio.run(main())


def test_a_job_that_keeps_its_thread_holds_up_none_behind_it() -> None:
    free = threading.Event()
    both = threading.Barrier(2)

    async def main() -> None:
        threads = ToolThreads(2)
        await asyncio.gather(*(threads.run(lambda: both.wait(timeout=10)) for _ in range(2)))
        for _ in range(100):  # short jobs: one thread is woken for all of a turn
            await threads.run(int)
        stuck = asyncio.create_task(threads.run(lambda: free.wait(timeout=10)))
        behind = [asyncio.create_task(threads.run(int)) for _ in range(5)]
        assert await asyncio.wait_for(asyncio.gather(*behind), timeout=5) == [0] * 5
        assert not stuck.done()
        free.set()
        assert await stuck
        threads.close()

    asyncio.run(main())
