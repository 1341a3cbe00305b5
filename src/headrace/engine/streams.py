"""Collecting generators: a flow output that is a generator becomes the joined text of its items."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from typing import Any

from headrace.engine.threads import ToolThreads

_PLAIN = (str, int, float, type(None), dict, list, tuple)
"""Types that are looked at sooner than whether something is of an abstract class."""


def is_stream(value: Any) -> bool:
    """Whether a tool returned a generator, synchronous or asynchronous."""
    return not isinstance(value, _PLAIN) and isinstance(value, (Generator, AsyncGenerator))


async def collect(value: Any, threads: ToolThreads, on_item: Callable[[Any], None] | None = None) -> str:
    """Join ``str`` of all items; ``on_item`` hears each as it is, on the event loop's thread.

    A synchronous generator is advanced in a thread, because its code may block.
    """
    pieces: list[str] = []
    if isinstance(value, AsyncGenerator):
        async for item in value:
            _take(item, pieces, on_item)
        return "".join(pieces)
    ended = object()
    context = copy_context()  # a thread starts with none, and knows not whether prints are hidden
    while (item := await threads.run(lambda: context.run(next, value, ended))) is not ended:
        _take(item, pieces, on_item)
    return "".join(pieces)


def _take(item: Any, pieces: list[str], on_item: Callable[[Any], None] | None) -> None:
    pieces.append(str(item))
    if on_item is not None:
        on_item(item)
