"""``Flow``, ``AsyncFlow`` and ``load_flow``: a flow as a function (promptflow-format: 9.12)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, NoReturn, Self

from headrace.compat.run_contracts import FlowRunInfo, RunInfo
from headrace.domain.flow import DAG
from headrace.domain.flow import Flow as DefinedFlow
from headrace.domain.multimedia import media_values
from headrace.domain.run import LineResult
from headrace.engine.outputs import RESULT, bare_result
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import load_flow as read_flow
from headrace.formats.run_info import Recording, render_flow_run, render_node_runs
from headrace.operations.call_flow import FlowCalls
from headrace.operations.prepare_flow import callable_flow
from headrace.operations.stream_call import StreamedCall
from headrace.operations.test_flow import make_arm
from headrace.sdk.failures import as_user_errors, flow_failed
from headrace.sdk.flow_context import FlowContext, split_connections
from headrace.sdk.prompty import PROMPTY_SUFFIX, AsyncPrompty, Prompty
from headrace.sdk.session import join_workspace
from headrace.tools.project import caller_folder

_NO_LINE = {"index": None}
"""A call belongs to no line of data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What ``invoke`` returns.

    Attributes:
        output: The flow's outputs; with streaming, generators stand for those that stream.
        read_line: Gives everything that is known about the call.
        flow: Which flow it was.
    """

    output: Any
    read_line: Callable[[], LineResult]
    flow: DefinedFlow

    @property
    def line(self) -> LineResult:
        """Everything that is known about the call; where outputs stream, this waits for their end."""
        return self.read_line()

    @property
    def run_info(self) -> FlowRunInfo:
        """Prompt flow's record of the call."""
        line = self.line
        record = render_flow_run(line, self._recording(line), inputs=line.inputs)
        return FlowRunInfo.deserialize(record | _NO_LINE)

    @property
    def node_run_infos(self) -> dict[str, RunInfo]:
        """Prompt flow's records of the nodes, by name."""
        line = self.line
        records = render_node_runs(line, self._recording(line))
        return {record["node"]: RunInfo.deserialize(record | _NO_LINE) for record in records}

    def _recording(self, line: LineResult) -> Recording:
        return Recording(run=line.trace_id, kind=self.flow.kind, message_format=self.flow.message_format)


class Flow:
    """A flow that can be called with its inputs as keyword arguments.

    It may be called from tools of a running flow, from threads and from code with an event loop of its own.

    Attributes:
        context: See :class:`FlowContext`; for objects of ``load_flow`` and of this class alike.
        path: The flow file.
        code: The flow's folder.
        name: The flow's name.
        streams_by_default: Whether outputs that stream are generators when the context does not say.
    """

    _prompty: ClassVar[type[Prompty]] = Prompty

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
        self.streams_by_default = True
        self._lock = Lock()
        self._opened: tuple[Any, FlowCalls] | None = None

    @classmethod
    def load(cls, source: str | PathLike[str], **kwargs: Any) -> Self | Prompty:
        """Load a flow from its folder or file, relative to the working directory.

        Args:
            source: The folder or file.
            kwargs: Parts of a prompty; see :meth:`headrace.sdk.prompty.Prompty.load`.

        Raises:
            FlowDefinitionError: There is no flow, or its file is wrong.
        """
        if Path(source).suffix == PROMPTY_SUFFIX:
            return cls._prompty.load(source, **kwargs)
        return cls(Path(source))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow once and return its outputs; with streaming, generators stand for those that stream.

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
            if not self._is_streaming():
                return self._invocation(self._calls().call(inputs))
            call = self._calls().stream(inputs)
            first = call.outputs.result()
            return self._streamed(first, call, lambda name: _read(call, name))

    def _is_streaming(self) -> bool:
        return self.streams_by_default if self.context.streaming is None else self.context.streaming

    def _streamed(
        self,
        first: tuple[Mapping[str, Any], tuple[str, ...]] | LineResult,
        call: StreamedCall,
        read: Callable[[str], Any],
    ) -> Invocation:
        """The outputs, with a generator for each that streams."""
        if isinstance(first, LineResult):
            return self._invocation(first)
        return Invocation(output=self._outputs(*first, read), read_line=call.line, flow=self._flow)

    def _outputs(
        self, outputs: Mapping[str, Any], streams: tuple[str, ...], read: Callable[[str], Any]
    ) -> Any:
        if self._flow.kind != DAG and streams == (RESULT,):
            return read(RESULT)
        names = self._flow.outputs if self._flow.kind == DAG else (*outputs, *streams)
        return {
            name: read(name) if name in streams else media_values(outputs[name])
            for name in names
            if name in streams or name in outputs
        }

    def _invocation(self, line: LineResult) -> Invocation:
        if line.problem is not None:
            raise flow_failed(line.problem)
        output = media_values(bare_result(self._flow, line))
        return Invocation(output=output, read_line=lambda: line, flow=self._flow)

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

    _prompty: ClassVar[type[Prompty]] = AsyncPrompty

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
            if not self._is_streaming():
                return self._invocation(await self._calls().run(inputs))
            call = self._calls().stream(inputs)
            first = await asyncio.wrap_future(call.outputs)
            return self._streamed(first, call, lambda name: _read_async(call, name))


def load_flow(source: str | PathLike[str], **kwargs: Any) -> Flow | Prompty:
    """Load a flow from its folder or file, relative to the working directory; its outputs stream only when asked to.

    Args:
        source: The folder or file.
        kwargs: Parts of a prompty; see :meth:`headrace.sdk.prompty.Prompty.load`.

    Raises:
        FlowDefinitionError: There is no flow, or its file is wrong.
    """
    flow = Flow.load(source, **kwargs)
    if isinstance(flow, Flow):
        flow.streams_by_default = False
    return flow


def _read(call: StreamedCall, name: str) -> Iterator[str]:
    yield from call.read(name)
    if call.problem is not None:
        raise flow_failed(call.problem)


async def _read_async(call: StreamedCall, name: str) -> AsyncIterator[str]:
    async for piece in call.read_async(name):
        yield piece
    if call.problem is not None:
        raise flow_failed(call.problem)


def _refuse_positions(args: tuple[Any, ...]) -> None:
    if args:
        _fail("A flow takes its inputs as keyword arguments.", "Name every input: flow(question=…).")


def _fail(what: str, fix: str) -> NoReturn:
    with as_user_errors():
        raise DefinitionError(Problem(code="T202", what=what, fix=fix))
