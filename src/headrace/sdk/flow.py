"""``Flow``, ``AsyncFlow`` and ``load_flow``: a flow as a function (promptflow-format: 9.12)."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn, Self

from headrace.domain.run import LineResult
from headrace.engine.outputs import bare_result
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import load_flow as read_flow
from headrace.operations.call_flow import FlowCalls
from headrace.operations.prepare_flow import callable_flow
from headrace.operations.test_flow import make_arm
from headrace.sdk.failures import FlowFailedError, as_user_errors
from headrace.sdk.flow_context import FlowContext, split_connections
from headrace.sdk.session import join_workspace
from headrace.tools.project import caller_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What ``invoke`` returns.

    Attributes:
        output: The flow's outputs.
        line: Everything that is known about the call.
    """

    output: Any
    line: LineResult


class Flow:
    """A flow that can be called with its inputs as keyword arguments.

    It may be called from tools of a running flow, from threads and from code with an event loop of its own.

    Attributes:
        context: See :class:`FlowContext`; for objects of ``load_flow`` and of this class alike.
        path: The flow file.
        code: The flow's folder.
        name: The flow's name.
    """

    def __init__(self, path: Path) -> None:
        path = caller_folder() / path  # the working directory may be another one when the flow is called
        with as_user_errors():
            flow = read_flow(path)
        self._flow = flow
        self.name = flow.name
        self.path = Path(flow.file)
        self.code = Path(flow.folder)
        self.inputs = {name: item.type for name, item in flow.inputs.items()}
        self.outputs = {name: item.type for name, item in flow.outputs.items()}
        self.context = FlowContext()
        self._lock = Lock()
        self._opened: tuple[Any, FlowCalls] | None = None

    @classmethod
    def load(cls, source: str | PathLike[str], **_: Any) -> Self:
        """Load a flow from its folder or file, relative to the working directory.

        Raises:
            FlowDefinitionError: There is no flow, or its file is wrong.
        """
        return cls(Path(source))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow once and return its outputs.

        Raises:
            FlowDefinitionError: The flow, or an input, is wrong.
            FlowFailedError: The flow failed.
        """
        _refuse_positions(args)
        return self.invoke(kwargs).output

    def invoke(self, inputs: Mapping[str, Any]) -> Invocation:
        """Run the flow once and return its outputs with the record of the call.

        Raises:
            FlowDefinitionError: The flow, or an input, is wrong.
            FlowFailedError: The flow failed.
        """
        with as_user_errors():
            return self._invocation(self._calls().call(inputs))

    def _invocation(self, line: LineResult) -> Invocation:
        if line.problem is not None:
            raise FlowFailedError(line.problem)
        return Invocation(output=bare_result(self._flow, line), line=line)

    def _calls(self) -> FlowCalls:
        """The loaded flow under the context as it is now; loaded anew when that has changed."""
        wanted = (self.context.variant, repr(self.context.overrides), repr(self.context.connections))
        with self._lock:
            opened = self._opened
        if opened is None or opened[0] != wanted:
            opened = (wanted, self._open())
            with self._lock:
                self._opened = opened
        return opened[1]

    def _open(self) -> FlowCalls:
        settings, given = split_connections(self.context.connections)
        workspace = join_workspace(self)
        if given:
            workspace = workspace.with_connections(given)
        stack = ExitStack()
        flow = read_flow(self.path, self.context.overrides)
        arm = make_arm(self.context.variant, None)
        loaded = stack.enter_context(callable_flow(workspace, flow, arm=arm, overrides=settings))
        calls = FlowCalls(workspace, loaded, is_sharing_clients=not given)
        weakref.finalize(calls, stack.close)
        return calls


class AsyncFlow(Flow):
    """A flow whose calls are awaited."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow once on the running event loop and return its outputs.

        Raises:
            FlowDefinitionError: The flow, or an input, is wrong.
            FlowFailedError: The flow failed.
        """
        _refuse_positions(args)
        return (await self.invoke(kwargs)).output

    async def invoke(self, inputs: Mapping[str, Any]) -> Invocation:  # type: ignore[override]
        """Run the flow once and return its outputs with the record of the call.

        Raises:
            FlowDefinitionError: The flow, or an input, is wrong.
            FlowFailedError: The flow failed.
        """
        with as_user_errors():
            return self._invocation(await self._calls().run(inputs))


def load_flow(source: str | PathLike[str], **_: Any) -> Flow:
    """Load a flow from its folder or file, relative to the working directory.

    Raises:
        FlowDefinitionError: There is no flow, or its file is wrong.
    """
    return Flow.load(source)


def _refuse_positions(args: tuple[Any, ...]) -> None:
    if args:
        _fail("A flow takes its inputs as keyword arguments.", "Name every input: flow(question=…).")


def _fail(what: str, fix: str) -> NoReturn:
    with as_user_errors():
        raise DefinitionError(Problem(code="T202", what=what, fix=fix))
