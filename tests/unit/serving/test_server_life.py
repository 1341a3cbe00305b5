"""What a server changes in its process for as long as it answers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from headrace.serving.server import ServerCalls, bind, run_app


@pytest.fixture
def usual_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("usual_collections")
def test_garbage_is_looked_for_less_while_requests_are_answered_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    seen = []

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    async def main() -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(run_app(app, bind("127.0.0.1", 0), ServerCalls(on_ready=ready.set)))
        await ready.wait()
        seen.append((gc.get_threshold()[0] > before[0], gc.get_freeze_count() > 0, gc.isenabled()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == [(True, True, True)]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
