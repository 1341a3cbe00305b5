"""Asking a batch to stop."""

from __future__ import annotations

import asyncio

from headrace.engine.stopping import Stop
from headrace.errors import Problem


def test_a_batch_that_has_just_ended_is_not_cut() -> None:
    async def main() -> None:
        stop = Stop()
        async with asyncio.timeout(60) as limit:
            stop.cut_after_grace(limit)
            await asyncio.sleep(0)
        stop.ask(Problem(code="E604", what="Interrupted."), 1.0)

    asyncio.run(main())


def test_a_batch_is_cut_after_the_time_of_grace() -> None:
    async def main() -> float | None:
        stop = Stop()
        async with asyncio.timeout(60) as limit:
            stop.cut_after_grace(limit)
            await asyncio.sleep(0)
            before = limit.when()
            stop.ask(Problem(code="E604", what="Interrupted."), 1.0)
            assert before is not None
            return before - (limit.when() or 0.0)

    assert 58.0 < (asyncio.run(main()) or 0.0) <= 60.0
