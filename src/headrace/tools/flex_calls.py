"""Calling the entry of a flex flow for a line, and its ``__aggregate__`` for all of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.domain.flow import AGGREGATE
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.errors import Problem
from headrace.providers.loading import load_by_name
from headrace.tools.base import ASYNC, ConnectionLookup, NodeContext, ReadCode, Tool
from headrace.tools.connection_types import ConnectionObject
from headrace.tools.flex_signature import EntrySignature
from headrace.tools.function import call_function, call_mode
from headrace.tools.instances import Instances
from headrace.tools.model_configuration import ModelConfiguration
from headrace.tools.project import activate_project
from headrace.tools.user_code import run_user_code

if TYPE_CHECKING:
    from headrace.planning.fingerprint import Identity

_IDENTITY = "headrace.tools.identity:function_identity"

LINES = "lines"
"""The parameter of the aggregation node; ``__aggregate__`` may call it what it likes."""


class EntryTool:
    """A function that gets the inputs of the flow by name."""

    def __init__(
        self,
        function: Callable[..., Any],
        signature: EntrySignature,
        folder: Path,
        read_code: ReadCode = lambda: None,
    ) -> None:
        self.spec = _spec(getattr(function, "__name__", "entry"), signature)
        self.mode = call_mode(function)
        self._function = function
        self._folder = folder
        self._read_code = read_code

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """What the function is made of."""
        del connections
        identity: Identity | None = load_by_name(_IDENTITY)(self._read_code(), {}, ())
        return identity

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Call the function.

        Raises:
            Exception: Whatever it raises.
        """
        activate_project(self._folder)
        return call_function(self._function, arguments, context, self.mode)


class ClassTool:
    """A class whose instances get the inputs of the flow by name.

    Args:
        cls: The class.
        signature: What it takes.
        folder: Where the project's modules are imported from.
        make_values: Makes the values of the constructor.
        describe: Makes a problem of what the constructor raises.
        copied: Makes instances of one that exists, in place of the constructor.
        read_code: Tells what the class is made of.
    """

    def __init__(
        self,
        cls: type,
        signature: EntrySignature,
        *,
        folder: Path,
        make_values: Callable[[], Mapping[str, Any]],
        describe: Callable[[BaseException], Problem],
        copied: Callable[[], Any] | None = None,
        read_code: ReadCode = lambda: None,
    ) -> None:
        self._copied = copied
        self.spec = _spec(cls.__name__, signature)
        self.mode = call_mode(cls.__call__)
        self.cls = cls
        self.folder = folder
        self.aggregation: Tool | None = AggregationTool(self) if hasattr(cls, AGGREGATE) else None
        self._make_values = make_values
        self._describe = describe
        self._read_code = read_code
        self._values: Mapping[str, Any] = {}
        self._instances = Instances(cls, self._make)

    def start(self) -> None:
        """Make the instance that the first line is called with.

        Raises:
            DefinitionError: T203 to T205 and C501 to C504 for the values, T211 when the constructor raises.
        """
        self._values = self._make_values()
        run_user_code(self._instances.start, self._describe)

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """What the class is made of, and what its constructor was given."""
        del connections
        values = self._values.values()
        identity: Identity | None = load_by_name(_IDENTITY)(
            self._read_code(),
            self._values,
            [value for value in values if isinstance(value, ConnectionObject)],
            is_remote=any(isinstance(value, ModelConfiguration) for value in values),
        )
        return identity

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Call an instance.

        Raises:
            Exception: Whatever it raises.
        """
        activate_project(self.folder)
        if self.mode == ASYNC:
            return self._await(arguments, context)
        instance = self._instances.take()
        result = call_function(instance, arguments, context, self.mode)
        if not inspect.isgenerator(result) and not inspect.isasyncgen(result):
            self._instances.give(instance)  # a generator's code has not run yet: it keeps the instance
        return result

    async def _await(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        instance = self._instances.take()
        result = await call_function(instance, arguments, context, self.mode)
        self._instances.give(instance)
        return result

    def aggregate(self) -> Callable[[Any], Any]:
        """``__aggregate__`` of an instance that has seen no line, as under prompt flow."""
        method: Callable[[Any], Any] = getattr(self._make(), AGGREGATE)
        return method

    def _make(self) -> Any:
        activate_project(self.folder)
        return self._copied() if self._copied else self.cls(**self._values)


class AggregationTool:
    """``__aggregate__`` of a class: it gets what the lines returned, and what it returns are metrics."""

    def __init__(self, entry: ClassTool) -> None:
        self.spec = ToolSpec(name=AGGREGATE, parameters=(ToolParameter(name=LINES, types=("list",)),))
        self.mode = call_mode(getattr(entry.cls, AGGREGATE))
        self._entry = entry

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any:
        """Call it once.

        Raises:
            Exception: Whatever it raises.
        """
        activate_project(self._entry.folder)
        lines = [LineOutputs(line) if isinstance(line, Mapping) else line for line in arguments[LINES]]
        method = self._entry.aggregate()
        if self.mode == ASYNC:
            return self._await(method, lines, context)
        return _log(call_function(lambda: method(lines), {}, context, self.mode), context)

    async def _await(self, method: Callable[[Any], Any], lines: list[Any], context: NodeContext) -> Any:
        async def call() -> Any:
            return await method(lines)

        return _log(await call_function(call, {}, context, ASYNC), context)


class LineOutputs(dict[str, Any]):
    """The outputs of a line: ``line["score"]`` and ``line.score``."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        message = f"The outputs of the line have no {name!r}; they have: {', '.join(self) or 'nothing'}."
        raise AttributeError(message)


def _log(result: Any, context: NodeContext) -> Any:
    """Take the numbers of a mapping as metrics, as ``log_metric`` does."""
    if isinstance(result, Mapping):
        for name, value in result.items():
            if isinstance(value, (int, float)):
                context.metrics[str(name)] = value
            else:
                sys.stderr.write(
                    f"{AGGREGATE}: {name!r} is a {type(value).__name__}, not a number, and is left out.\n"
                )
    return result


def _spec(name: str, signature: EntrySignature) -> ToolSpec:
    parameters = tuple(
        ToolParameter(
            name=item.name,
            types=(item.type_name,),
            default=item.default,
            is_default_declared=item.is_default_declared,
            is_type_guessed=item.is_type_guessed,
            shown_type=item.shown_type,
        )
        for item in signature.inputs.values()
    )
    return ToolSpec(name=name, parameters=parameters, outputs=signature.outputs or {})
