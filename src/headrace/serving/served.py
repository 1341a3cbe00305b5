"""What is served: flows by path, each a version that can be taken over by the next one.

A request holds on to the version that it began with; the version is closed by its owner once the last such request
has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from starlette.types import Scope

from headrace.domain.access import AccessRules
from headrace.domain.flow import DAG, FLEX, Flow
from headrace.domain.run import LineResult
from headrace.engine.line import NO_ATTRIBUTES, OnOutputs, OnPiece, run_line
from headrace.engine.outputs import RESULT
from headrace.engine.runtime import PreparedFlow
from headrace.errors import Problem
from headrace.planning.chat import ChatPorts, find_chat_ports
from headrace.serving.access_log import AccessLog
from headrace.serving.kept_lines import LineKeeper
from headrace.serving.load import Load
from headrace.telemetry.setup import SilentSink, SpanSink

FLOW_VERSION = "x-headrace-flow-version"
"""Header of every answer of a flow: the version that made it."""

Fit = Callable[[Flow], Mapping[str, Any]]
"""The inputs of a request for a flow.

Raises:
    UsageError: T201, T202, T210 or D401 for what does not fit.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedVersion:
    """One version of a flow, ready to run.

    Attributes:
        flow: The flow.
        name: What the version is called in every store: ``flow@`` and the first 12 digits of its digest.
        fields: Names of the outputs that are answered; ``None`` for all but those for evaluation only.
        example: An example of the inputs.
        find_missing: Says what keeps the flow from answering, such as a key that is not set; never shows a value.
        keeper: Keeps some of its lines; ``None`` where none is kept.
    """

    flow: PreparedFlow
    name: str
    fields: Sequence[str] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    find_missing: Callable[[], tuple[Problem, ...]] = tuple
    keeper: LineKeeper | None = None

    def run_line(
        self,
        inputs: Mapping[str, Any],
        *,
        line_number: int,
        on_outputs: OnOutputs | None = None,
        on_piece: OnPiece | None = None,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
    ) -> Coroutine[Any, Any, LineResult]:
        """Run one line, and keep it where that is asked for; see :func:`~headrace.engine.line.run_line`."""
        if self.keeper is None:
            return run_line(
                self.flow,
                inputs,
                line_number=line_number,
                on_outputs=on_outputs,
                on_piece=on_piece,
                attributes=attributes,
            )
        return self.keeper.run(
            inputs, line_number=line_number, on_outputs=on_outputs, on_piece=on_piece, attributes=attributes
        )

    @cached_property
    def header(self) -> str:
        """The name as a header can hold it: what is not ASCII is percent-encoded."""
        return quote(self.name, safe="@ ")

    @cached_property
    def answered(self) -> tuple[str, ...]:
        """Names of the declared outputs that are answered."""
        outputs = self.flow.plan.flow.outputs.values()
        if self.fields is not None:
            return tuple(output.name for output in outputs if output.name in self.fields)
        return tuple(output.name for output in outputs if not output.is_evaluation_only)

    @cached_property
    def answers_bare(self) -> bool:
        """Whether an answer may be a value without a name: that of a flow of one node whose result has none."""
        return self.flow.plan.flow.kind != DAG and self.answered == (RESULT,)

    @cached_property
    def chat_ports(self) -> ChatPorts | None:
        """What a chat with the flow uses; ``None`` for a flow that is no chat flow."""
        return find_chat_ports(self.flow.plan.flow)[0]

    def choose(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Those outputs that may be seen."""
        if self.flow.plan.flow.kind != DAG and self.fields is None:
            return dict(outputs)
        names = self.answered if self.fields is None else self.fields
        return {name: value for name, value in outputs.items() if name in names}

    @cached_property
    def can_stream(self) -> bool:
        """Whether an answer may come in pieces; a flex flow shows that only by what it returns."""
        return self.flow.plan.flow.kind == FLEX or any(
            getattr(self.flow.tools[name], "can_stream", False) for name in self.flow.streamed_nodes
        )


class FlowCall:
    """One request on its way through a flow.

    Args:
        version: Answers it.
        line_number: Counts the requests of the flow.

    Attributes:
        version: The one that answers; another one may have taken its place once :meth:`run` is over.
        headers: Header fields of the answer; complete once something of the answer is there.
        attributes: What the span of the flow says of the request.
    """

    __slots__ = ("attributes", "headers", "inputs", "line_number", "version")

    def __init__(self, version: ServedVersion, line_number: int) -> None:
        self.version = version
        self.line_number = line_number
        self.headers = {FLOW_VERSION: version.header}
        self.attributes: Mapping[str, Any] = {}
        self.inputs: Mapping[str, Any] = {}

    def take(self, fit: Fit) -> None:
        """Take the inputs.

        Raises:
            UsageError: They do not fit.
        """
        self.inputs = fit(self.version.flow.plan.flow)

    def run(
        self, *, on_outputs: OnOutputs | None = None, on_piece: OnPiece | None = None
    ) -> Coroutine[Any, Any, LineResult]:
        """Run the line over the inputs that were taken; a failure of the flow is a result.

        Args:
            on_outputs: Hears the outputs that do not stream.
            on_piece: Hears the pieces of the others.
        """
        return self.version.run_line(
            self.inputs,
            line_number=self.line_number,
            on_outputs=on_outputs,
            on_piece=on_piece,
            attributes=self.attributes,
        )


@dataclass(slots=True, eq=False)
class _Turn:
    """A version, and how many requests are at it; each is a block of it."""

    version: ServedVersion
    n_requests: int = 0
    is_over: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> ServedVersion:
        self.n_requests += 1
        return self.version

    def __exit__(self, *_: object) -> None:
        self.n_requests -= 1
        if self.is_over and not self.n_requests:
            self.ended.set()


class _WholeCall:
    """A request of a flow that is served whole, as a block of its version."""

    __slots__ = ("_line_number", "_turn")

    def __init__(self, turn: _Turn, line_number: int) -> None:
        self._turn = turn
        self._line_number = line_number

    def __enter__(self) -> FlowCall:
        return FlowCall(self._turn.__enter__(), self._line_number)

    def __exit__(self, *_: object) -> None:
        self._turn.__exit__()


class ServedFlow:
    """One flow at one path: a pointer to the version that new requests begin with.

    Args:
        path: What stands before ``/score``: empty, or ``/name``.
        version: The first version.

    Attributes:
        path: See above.
        n_requests: Requests that have begun so far.
        refused: Why the newest version was not taken; empty when it was.
    """

    def __init__(self, path: str, version: ServedVersion) -> None:
        self.path = path
        self.n_requests = 0
        self.refused: tuple[Problem, ...] = ()
        self._turn = _Turn(version)

    @property
    def version(self) -> ServedVersion:
        """The version that the next request begins with."""
        return self._turn.version

    def use(self) -> AbstractContextManager[ServedVersion]:
        """The version for one request, which is kept open during the block that begins with it."""
        self.n_requests += 1
        return self._turn

    def call(self, scope: Scope, body: Any) -> AbstractContextManager[FlowCall]:
        """One request, whose version is kept open during the block.

        Args:
            scope: The request.
            body: Its body: bytes, or the object that was read of them.

        Raises:
            UsageError: The request asks for something that is not there.
        """
        del scope, body
        self.n_requests += 1
        return _WholeCall(self._turn, self.n_requests)

    def shown_feedback(self, body: bytes) -> bytes:
        """What the span of a feedback may show of its body."""
        return body

    async def hear(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep what feedback says beyond what its span does; returns once it would outlive this process.

        Raises:
            UsageError: What it says cannot be kept.
            StateError: It could not be kept now.
        """

    async def take_over(self, version: ServedVersion) -> None:
        """Let new requests begin with ``version``; returns when the last request of the one before has ended."""
        before, self._turn = self._turn, _Turn(version)
        self.refused = ()
        before.is_over = True
        if before.n_requests:
            await before.ended.wait()


@dataclass(slots=True, kw_only=True)
class Served:
    """Everything that one process serves.

    Attributes:
        flows: The flows by path; see :class:`ServedFlow`.
        headrace_version: Version of headrace.
        build_info: What the builder of an image wants known, as it was given.
        access: Who may ask.
        is_draining: The process is about to end and should be sent nothing more.
        load: How busy the process is.
        span_sink: Where server spans and counts of requests go.
        access_log: Where a line for each request goes; ``None`` writes none.
    """

    flows: Mapping[str, ServedFlow]
    headrace_version: str
    build_info: str = ""
    access: AccessRules = field(default_factory=AccessRules)
    is_draining: bool = False
    load: Load = field(default_factory=Load)
    span_sink: SpanSink = field(default_factory=SilentSink)
    access_log: AccessLog | None = None
