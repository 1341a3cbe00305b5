"""Between ordinary and asynchronous code, under the names of ``promptflow._utils.async_utils`` and ``thread_utils``."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from typing import Any

from headrace.tools.blocking import run_blocking

_END = object()


def async_run_allowing_running_loop(async_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run an asynchronous function to its end, also where an event loop runs already."""

    async def run() -> Any:
        return await async_func(*args, **kwargs)

    return run_blocking(run)


def async_to_sync(func: Callable[..., Any]) -> Callable[..., Any]:
    """An ordinary function that waits for an asynchronous one."""

    @functools.wraps(func)
    def waiting(*args: Any, **kwargs: Any) -> Any:
        return async_run_allowing_running_loop(func, *args, **kwargs)

    return waiting


def sync_to_async(func: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """An asynchronous function that runs an ordinary one in a thread."""

    @functools.wraps(func)
    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(func, *args, **kwargs)

    return in_thread


async def sync_iterator_to_async(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    """The items of an ordinary iterator, each fetched in a thread."""
    while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield item


def set_context(context: Context) -> None:
    """Give the current context the values of another one."""
    for variable, value in context.items():
        variable.set(value)


class ThreadWithContextVars(threading.Thread):
    """A thread that sees the context variables of the code that makes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = copy_context()

    def run(self) -> None:
        """Run what was given as ``target``, in the context."""
        self._context.run(super().run)
