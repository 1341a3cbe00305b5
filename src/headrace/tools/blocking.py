"""Waiting for a coroutine from ordinary code, whatever thread it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_blocking(
    make: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop | None = None
) -> T:
    """Run a coroutine to its end and return its result.

    Args:
        make: Makes the coroutine; called where it will run.
        loop: Loop that the coroutine's resources belong to; ``None`` runs it on a loop of its own. Ignored
            when this thread is the one that runs the loop, which cannot wait for itself.
    """
    running = _running_loop()
    if loop is not None and loop is not running and loop.is_running():
        return asyncio.run_coroutine_threadsafe(make(), loop).result()
    return run_outside_loop(lambda: asyncio.run(make()))


def run_outside_loop(job: Callable[[], T]) -> T:
    """Call a function that starts an event loop: here, or in another thread where this one's loop is busy with us."""
    if _running_loop() is None:
        return job()
    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(copy_context().run, job).result()


def start_beside(
    make: Callable[[], Coroutine[Any, Any, T]],
    loop: asyncio.AbstractEventLoop | None,
    on_end: Callable[[Future[T]], None],
) -> None:
    """Run a coroutine beside the caller, who can wait for what it does without keeping it from running.

    Args:
        make: Makes the coroutine; called where it will run.
        loop: Loop that the coroutine's resources belong to, as for :func:`run_blocking`.
        on_end: Hears the end, wherever the coroutine ran.
    """
    if loop is not None and loop is not _running_loop() and loop.is_running():
        asyncio.run_coroutine_threadsafe(make(), loop).add_done_callback(on_end)
        return
    threads = ThreadPoolExecutor(max_workers=1)
    threads.submit(copy_context().run, lambda: asyncio.run(make())).add_done_callback(on_end)
    threads.shutdown(wait=False)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
