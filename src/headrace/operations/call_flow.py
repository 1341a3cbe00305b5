"""Call a flow like a function, from ordinary or asynchronous code, inside a running flow or outside of any."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from headrace.domain.run import LineResult
from headrace.engine.line import run_line
from headrace.errors import raise_if_errors
from headrace.formats.includes import code_folder
from headrace.operations.prepare_flow import FlowSession, LoadedFlow
from headrace.operations.stream_call import StreamedCall
from headrace.operations.workspace import Workspace, at_work
from headrace.planning.convert import make_inputs
from headrace.tools.base import NodeContext, current_node
from headrace.tools.blocking import run_blocking, start_beside
from headrace.tools.current_span import parent_span
from headrace.tools.project import project_in_use

_MAX_THREADS = 16


class FlowCalls:
    """Calls of one loaded flow; any number of them, from any thread, at the same time.

    A call from a node of a running flow belongs to it: it runs on the event loop of that run and uses its model
    clients, its spans stand below the node's, and its tokens count as the node's. It never waits for a thread that
    waits for it: from the thread of an event loop, an ordinary call goes to a loop of its own in another thread.

    Args:
        workspace: Connections and settings.
        loaded: The flow; open as long as it is called.
        is_sharing_clients: Whether model clients of the calling run may be used.
    """

    def __init__(self, workspace: Workspace, loaded: LoadedFlow, *, is_sharing_clients: bool = True) -> None:
        self._workspace = workspace
        self._loaded = loaded
        self._is_sharing_clients = is_sharing_clients

    def call(self, inputs: Mapping[str, Any]) -> LineResult:
        """Run one line and wait for it; a failure of the flow is a result.

        Raises:
            DefinitionError: T201 or T202 for inputs that do not fit.
        """
        return run_blocking(lambda: self.run(inputs), current_loop())

    async def run(self, inputs: Mapping[str, Any]) -> LineResult:
        """Run one line on the running event loop; a failure of the flow is a result.

        Raises:
            DefinitionError: T201 or T202 for inputs that do not fit.
        """
        return await self._run(self._convert(inputs))

    def stream(self, inputs: Mapping[str, Any]) -> StreamedCall:
        """Run one line beside the caller, who can read its outputs while they are made.

        Raises:
            DefinitionError: T201 or T202 for inputs that do not fit.
        """
        values = self._convert(inputs)
        call = StreamedCall()
        start_beside(lambda: self._run(values, call), current_loop(), call.finish)
        return call

    def _convert(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        values, problems = make_inputs(self._loaded.flow, inputs)
        raise_if_errors(problems)
        return values

    async def _run(self, values: Mapping[str, Any], call: StreamedCall | None = None) -> LineResult:
        context = current_node.get()
        session = FlowSession(
            self._workspace,
            self._loaded,
            max_threads=_MAX_THREADS,
            attributes={},
            open_client=self._shared_clients(context),
        )
        with at_work(self._workspace), project_in_use(code_folder(self._loaded.flow, self._loaded.folder)):
            async with session as flow:
                line = await run_line(
                    flow,
                    values,
                    line_number=(context.line_number if context else None) or 0,
                    parent=parent_span(context) if context else None,
                    on_piece=call.hear_piece if call else None,
                    on_outputs=call.hear_outputs if call else None,
                )
        if context is not None:
            context.add_usage(line.usage)
        return line

    def _shared_clients(self, context: NodeContext | None) -> Any:
        is_here = context is not None and context.loop is asyncio.get_running_loop()
        return context.open_client if context and is_here and self._is_sharing_clients else None


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of the run that the calling code belongs to, if it belongs to one."""
    context = current_node.get()
    return context.loop if context else None
