"""A run that is held up by a quota says so, by a clock that jumps."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence

import pytest
from tests.support.virtual_loop import VirtualLoop

from headrace.engine.waiting import HeldUp, Waiting
from headrace.providers.quota import BudgetUse


def use(n_waiting: int, model: str = "m", refused: int = 0) -> BudgetUse:
    return BudgetUse(
        service="h",
        model=model,
        sent=refused,
        refused=refused,
        waited_s=0.0,
        n_waiting=n_waiting,
        requests_per_minute=None,
        tokens_per_minute=None,
        paused_s=0.0,
        in_flight=0,
        in_flight_limit=None,
    )


def watch(
    here: Sequence[BudgetUse],
    seconds: float,
    *,
    line_every_s: float | None = None,
    workers: Sequence[Sequence[BudgetUse]] = (),
    n_lost: int = 0,
) -> list[HeldUp]:
    told: list[HeldUp] = []

    async def run() -> None:
        waiting = Waiting(lambda: here)
        for number, uses in enumerate(workers):
            waiting.note(number, uses)
        for number in range(n_lost):
            waiting.lose(number)
        with waiting.watch(told.append):
            if line_every_s is None:
                await asyncio.sleep(seconds)
            else:
                for _ in range(int(seconds / line_every_s)):
                    await asyncio.sleep(line_every_s)
                    waiting.note_line()
        await asyncio.sleep(100)  # nothing is told behind the block

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    return told


def test_a_run_that_waits_says_so_as_long_as_it_does() -> None:
    told = watch([use(3, refused=4), use(0, model="other")], 35.0)
    assert [(held.n_waiting, held.model, held.since_s) for held in told] == [
        (3, "m", 10.0),
        (3, "m", 20.0),
        (3, "m", 30.0),
    ]
    assert told[0].refused == 4


@pytest.mark.parametrize(("here", "line_every_s"), [([use(0)], None), ([], None), ([use(64)], 4.0)])
def test_a_run_whose_lines_end_or_that_waits_for_something_else_says_nothing(
    here: Sequence[BudgetUse], line_every_s: float | None
) -> None:
    assert watch(here, 60.0, line_every_s=line_every_s) == []


def test_what_waits_in_workers_counts_until_they_are_gone() -> None:
    waiting = Waiting(lambda: [use(1)])
    first, second = object(), object()
    waiting.note(first, [use(2, model="a"), use(4, model="b")])
    waiting.note(second, [use(8)])
    assert waiting.count() == 15
    waiting.note(second, [use(3)])
    waiting.lose(first)
    assert waiting.count() == 4


def test_the_processes_of_a_run_wait_for_one_budget_together() -> None:
    """A process that was refused nothing waits because another one was; that one may have nothing waiting itself."""
    workers = [[use(2, refused=0)], [use(0, refused=5), use(3, model="other")], [use(2, refused=1)]]
    (held,) = watch([], 15.0, workers=workers)
    assert (held.n_waiting, held.model, held.refused) == (7, "m", 6)


def test_what_a_worker_was_refused_counts_when_it_is_gone() -> None:
    (held,) = watch([], 15.0, workers=[[use(9, refused=5)], [use(1, refused=1)]], n_lost=1)
    assert (held.n_waiting, held.refused) == (1, 6)


def test_a_worker_that_is_gone_is_let_go() -> None:
    """A run whose tools block for ever replaces its workers again and again."""

    class Worker:
        pass

    worker = Worker()
    held = weakref.ref(worker)
    waiting = Waiting(list)
    waiting.note(worker, [use(1, refused=1)])
    waiting.lose(worker)
    del worker
    assert held() is None
