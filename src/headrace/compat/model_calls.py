"""Model calls that a project's own code makes: from tools in threads, from coroutines, from plain scripts.

A call from a node belongs to it: it uses the run's clients, is a span of the node and counts towards its tokens.
Anywhere else it opens clients of its own and closes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

from headrace.compat.script_trace import open_script_span
from headrace.domain.connection import Connection
from headrace.domain.run import Usage
from headrace.providers.base import ModelClient
from headrace.telemetry.spans import ActiveSpan, new_trace_id
from headrace.tools.base import NodeContext, current_node
from headrace.tools.blocking import run_outside_loop

Ask = Callable[[NodeContext], Coroutine[Any, Any, Any]]
"""Asks a model in a context; what it returns may be an asynchronous generator of pieces."""

OpenClient = Callable[[str | Connection], ModelClient]

_Run = Callable[[Coroutine[Any, Any, Any]], Any]
_END = object()


def wait_for_model(ask: Ask, open_client: OpenClient, *, escaped: tuple[str, ...] = ()) -> Any:
    """Ask a model and wait for the answer, whatever thread this is.

    Args:
        ask: Asks; called on the event loop that it will run on.
        open_client: Opens a client where there is no run with clients of its own.
        escaped: Parameters whose text may not open a chat role.

    Returns:
        The answer; of a stream, a generator of its pieces.
    """
    context = current_node.get()
    if context is not None and context.loop is not _running_loop() and context.loop.is_running():
        loop = context.loop
        shared = _part(context, escaped)
        return _wait(
            ask(shared),
            lambda step: asyncio.run_coroutine_threadsafe(step, loop).result(),
            lambda: context.add_usage(shared.usage),
        )
    if _running_loop() is None:
        return _wait_alone(ask, open_client, context, escaped)
    # This thread's loop is busy with us, so pieces cannot be waited for one by one either.
    return run_outside_loop(lambda: _read_whole(_wait_alone(ask, open_client, context, escaped)))


async def await_model(ask: Ask, open_client: OpenClient) -> Any:
    """Ask a model on the running event loop.

    Returns:
        The answer; of a stream, an ordinary generator of its pieces, which have all arrived by then.
    """
    context = current_node.get()
    if context is not None and context.loop is asyncio.get_running_loop():
        shared = _part(context, ())
        try:
            return await _whole(ask(shared))
        finally:
            context.add_usage(shared.usage)
    clients = _OwnClients(open_client)
    own = _own_context(context, clients, asyncio.get_running_loop(), ())
    try:
        return await _whole(ask(own))
    finally:
        _settle(context, own)
        await clients.close()


class _OwnClients:
    """Clients that one call opens for itself."""

    def __init__(self, open_client: OpenClient) -> None:
        self._open_client = open_client
        self._opened: list[ModelClient] = []

    def open(self, wanted: str | Connection) -> ModelClient:
        """Open one."""
        client = self._open_client(wanted)
        self._opened.append(client)
        return client

    async def close(self) -> None:
        """Close them all."""
        for client in self._opened:
            await client.close()


def _wait_alone(
    ask: Ask, open_client: OpenClient, context: NodeContext | None, escaped: tuple[str, ...]
) -> Any:
    """Ask on an event loop that lives as long as the call, or as its pieces are read."""
    runner = asyncio.Runner()
    clients = _OwnClients(open_client)
    own = _own_context(context, clients, runner.get_loop(), escaped)

    def finish() -> None:
        _settle(context, own)
        runner.run(clients.close())
        runner.close()

    return _wait(ask(own), runner.run, finish)


def _wait(asked: Coroutine[Any, Any, Any], run: _Run, finish: Callable[[], None]) -> Any:
    answer: Any = None
    try:
        answer = run(asked)
    finally:
        if not isinstance(answer, AsyncGenerator):
            finish()
    return _pieces(answer, run, finish) if isinstance(answer, AsyncGenerator) else answer


def _pieces(stream: AsyncGenerator[Any, None], run: _Run, finish: Callable[[], None]) -> Iterator[Any]:
    async def step() -> Any:
        return await anext(stream, _END)

    try:
        while (piece := run(step())) is not _END:
            yield piece
    finally:
        run(stream.aclose())
        finish()


async def _whole(asked: Coroutine[Any, Any, Any]) -> Any:
    answer = await asked
    if isinstance(answer, AsyncGenerator):
        return _iterate([piece async for piece in answer])
    return answer


def _read_whole(answer: Any) -> Any:
    return _iterate(list(answer)) if isinstance(answer, Iterator) else answer


def _iterate(pieces: list[Any]) -> Iterator[Any]:
    yield from pieces


def _part(context: NodeContext, escaped: tuple[str, ...]) -> NodeContext:
    """The context of one call within a node."""
    return replace(context, is_streaming=False, inputs_to_escape=escaped, usage=Usage())


def _own_context(
    context: NodeContext | None,
    clients: _OwnClients,
    loop: asyncio.AbstractEventLoop,
    escaped: tuple[str, ...],
) -> NodeContext:
    if context is not None:
        return replace(_part(context, escaped), open_client=clients.open, loop=loop)
    span = open_script_span("script", {}) or ActiveSpan(
        "script", trace_id=new_trace_id(), parent_id=None, sink=lambda _: None
    )
    return NodeContext(
        node="script",
        line_number=None,
        span=span,
        open_client=clients.open,
        loop=loop,
        inputs_to_escape=escaped,
    )


def _settle(context: NodeContext | None, own: NodeContext) -> None:
    """Count what a call took for the node that made it; without one, its span ends here."""
    if context is not None:
        context.add_usage(own.usage)
    else:
        own.span.end()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
