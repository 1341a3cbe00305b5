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
    gc.unfreeze()
    yield
    gc.set_threshold(*before)
    gc.freeze()


async def serve_until_cancelled(seen: list[tuple[bool, bool]]) -> None:
    """Serve, and note how garbage is looked for meanwhile: whether there are objects left alone, and whether at all."""

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    ready = asyncio.Event()
    task = asyncio.create_task(run_app(app, bind("127.0.0.1", 0), ServerCalls(on_ready=ready.set)))
    await ready.wait()
    seen.append((gc.get_threshold()[0] > 700 and gc.get_freeze_count() > 0, gc.isenabled()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("usual_collections")
def test_garbage_is_looked_for_less_while_requests_are_answered_and_as_before_afterwards() -> None:
    before, seen = gc.get_threshold(), list[tuple[bool, bool]]()
    asyncio.run(serve_until_cancelled(seen))
    assert seen == [(True, True)]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


@pytest.mark.usefixtures("usual_collections")
def test_what_others_have_left_alone_stays_so_when_a_server_ends() -> None:
    gc.freeze()
    asyncio.run(serve_until_cancelled([]))
    assert gc.get_freeze_count() > 0
