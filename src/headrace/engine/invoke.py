"""One attempt of one node: call its tool the way it wants to be called, within the node's time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from headrace.engine.threads import ToolThreads
from headrace.engine.time_limit import TimeLimit
from headrace.errors import LineTimeoutError, Problem
from headrace.tools.base import ASYNC, NodeContext, Tool, current_node


def invoke(
    tool: Tool,
    arguments: Mapping[str, Any],
    context: NodeContext,
    *,
    threads: ToolThreads,
    timeout_s: float | None,
) -> Awaitable[Any]:
    """Call ``tool`` once, in a thread or as a coroutine; awaited, it gives what the tool returns.

    A tool whose mode is :data:`~headrace.tools.base.INLINE` is called as it is.

    Raises:
        LineTimeoutError: E603 when the node's own limit is over.
        Exception: Whatever the tool raises.
    """
    if timeout_s is None:
        return _call(tool, arguments, context, threads)
    return _call_within(timeout_s, tool, arguments, context, threads)


async def _call_within(
    timeout_s: float, tool: Tool, arguments: Mapping[str, Any], context: NodeContext, threads: ToolThreads
) -> Any:
    try:
        with TimeLimit(timeout_s) as limit:
            return await _call(tool, arguments, context, threads)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the tool's own TimeoutError
        raise LineTimeoutError(
            Problem(
                code="E603",
                what=f"Node {context.node!r} took longer than {timeout_s:g} s and was cut.",
                fix="Raise HEADRACE_NODE_TIMEOUT_S, or look at what the node waits for.",
            )
        ) from error


def _call(
    tool: Tool, arguments: Mapping[str, Any], context: NodeContext, threads: ToolThreads
) -> Awaitable[Any]:
    if tool.mode == ASYNC:
        return _call_here(tool, arguments, context)
    variables = copy_context()
    variables.run(current_node.set, context)
    return threads.run(partial(variables.run, tool.call, arguments, context))


async def _call_here(tool: Tool, arguments: Mapping[str, Any], context: NodeContext) -> Any:
    token = current_node.set(context)
    try:
        return await tool.call(arguments, context)
    finally:
        current_node.reset(token)
