"""One attempt of one node: call its tool the way it wants to be called, within the node's time limit."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from headrace.engine.threads import ToolThreads
from headrace.engine.time_limit import TimeLimit
from headrace.errors import LineTimeoutError, Problem
from headrace.tools.base import ASYNC, INLINE, NodeContext, Tool, current_node


async def invoke(
    tool: Tool,
    arguments: Mapping[str, Any],
    context: NodeContext,
    *,
    threads: ToolThreads,
    timeout_s: float | None,
) -> Any:
    """Call ``tool`` once and return what it returns.

    Raises:
        LineTimeoutError: E603 when the node's own limit is over.
        Exception: Whatever the tool raises.
    """
    if tool.mode == INLINE:
        return tool.call(arguments, context)
    if timeout_s is None:
        return await _call(tool, arguments, context, threads)
    try:
        async with TimeLimit(timeout_s) as limit:
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


async def _call(tool: Tool, arguments: Mapping[str, Any], context: NodeContext, threads: ToolThreads) -> Any:
    if tool.mode == ASYNC:
        token = current_node.set(context)
        try:
            return await tool.call(arguments, context)
        finally:
            current_node.reset(token)
    variables = copy_context()
    variables.run(current_node.set, context)
    return await threads.run(lambda: variables.run(tool.call, arguments, context))
