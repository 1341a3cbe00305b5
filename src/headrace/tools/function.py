"""A Python function as a node's tool."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.tool import ToolSpec
from headrace.providers.loading import load_by_name
from headrace.tools.base import ASYNC, INLINE, THREAD, ConnectionLookup, NodeContext, ReadCode, current_node
from headrace.tools.output import capture_output
from headrace.tools.project import activate_project

if TYPE_CHECKING:
    from headrace.planning.fingerprint import Identity

_IDENTITY = "headrace.tools.identity:function_identity"

INPUTS_TO_ESCAPE = "_inputs_to_escape"
"""Keyword argument that tells a tool with a prompt which inputs may not open a message (promptflow-format: 4.3)."""


class FunctionTool:
    """Calls a function with a node's arguments.

    Args:
        spec: Its signature.
        function: What is called.
        folder: The project whose modules the function may import; ``None`` for functions of installed
            packages.
        fixed: Arguments that replace the node's: connections instead of their names, a prompt's text.
        consumed: Arguments that were used when the tool was loaded.
        connections: All connections that it was given.
        read_code: Tells what it is made of.
    """

    def __init__(
        self,
        spec: ToolSpec,
        function: Callable[..., Any],
        *,
        folder: Path | None,
        fixed: Mapping[str, Any],
        consumed: frozenset[str] = frozenset(),
        connections: Sequence[Any] = (),
        read_code: ReadCode | None = None,
    ) -> None:
        self.spec = spec
        self.mode = call_mode(function)
        self._function = function
        self._folder = folder
        self._fixed = fixed
        self._consumed = consumed
        self._connections = connections
        self._read_code = read_code

    @property
    def can_stream(self) -> bool:
        """Whether it is a generator, whose items may be passed on one by one."""
        return inspect.isgeneratorfunction(self._function) or inspect.isasyncgenfunction(self._function)

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """What the function is made of; ``None`` when its declaration says that it must be called every time."""
        del connections  # it has been given what it needs of them
        code = self._read_code() if self._read_code and not self.can_stream else None
        identity: Identity | None = load_by_name(_IDENTITY)(code, self._fixed, self._connections)
        return identity

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Call the function; generators come back as generators that print and trace for this node.

        Raises:
            Exception: Whatever the function raises.
        """
        if self._folder is not None:
            activate_project(self._folder)
        values = {**arguments, **self._fixed}
        for name in self._consumed:
            if name not in self._fixed:
                values.pop(name, None)
        if self.spec.takes_any and context.inputs_to_escape:
            values[INPUTS_TO_ESCAPE] = list(context.inputs_to_escape)
        return call_function(self._function, values, context, self.mode)


def call_function(
    function: Callable[..., Any], values: Mapping[str, Any], context: NodeContext, mode: str
) -> Any:
    """Call a function for a node: what it prints is kept, and a generator's code knows the node as well.

    Raises:
        Exception: Whatever the function raises.
    """
    if mode == ASYNC:
        return _call_async(function, values, context)
    with capture_output(context.logs):
        result = function(**values)
    return _in_context(result, context)


async def _call_async(function: Callable[..., Any], values: Mapping[str, Any], context: NodeContext) -> Any:
    with capture_output(context.logs):
        result = await function(**values)
    return _in_context(result, context)


def call_mode(function: Callable[..., Any]) -> str:
    """How a function wants to be called: :data:`ASYNC`, :data:`INLINE` or :data:`THREAD`."""
    if inspect.iscoroutinefunction(function):
        return ASYNC
    if inspect.isasyncgenfunction(function):
        return INLINE  # calling it runs none of its code
    return THREAD


def _in_context(result: Any, context: NodeContext) -> Any:
    """A generator's code runs later and elsewhere: tell it then which node it belongs to."""
    if isinstance(result, Generator):
        return _advance(result, context)
    if isinstance(result, AsyncGenerator):
        return _advance_async(result, context)
    return result


def _advance(items: Generator[Any, Any, Any], context: NodeContext) -> Generator[Any, None, None]:
    ended = object()
    while True:
        token = current_node.set(context)
        try:
            with capture_output(context.logs):
                item = next(items, ended)
        finally:
            current_node.reset(token)
        if item is ended:
            return
        yield item


async def _advance_async(items: AsyncGenerator[Any, Any], context: NodeContext) -> AsyncGenerator[Any, None]:
    ended = object()
    while True:
        token = current_node.set(context)
        try:
            with capture_output(context.logs):
                item = await anext(items, ended)
        finally:
            current_node.reset(token)
        if item is ended:
            return
        yield item
