"""What the engine needs of a node's tool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from headrace.domain.connection import Connection
from headrace.domain.flow import DAG
from headrace.domain.run import Usage
from headrace.domain.tool import ToolSpec
from headrace.domain.variant import Price
from headrace.providers.base import ModelClient
from headrace.telemetry.spans import ActiveSpan

if TYPE_CHECKING:  # only runs that use the cache need it
    from headrace.domain.cache import Code
    from headrace.planning.fingerprint import Identity

INLINE = "inline"
THREAD = "thread"
ASYNC = "async"


@dataclass(slots=True, kw_only=True)
class NodeContext:
    """What one attempt of one node may use and leaves behind. Lives as long as the attempt.

    Attributes:
        node: Node name.
        line_number: ``None`` in an aggregation node.
        flow_kind: Of the flow that the node is of.
        run: The batch run that the line is one of; ``None`` for a line that is run by itself.
        span: The node's span; model calls open children of it.
        open_client: Connection, or its name, to the run's client for it (clients are shared by all lines).
        price: Price per million tokens of the arm's model, if known.
        inputs_to_escape: Parameters bound directly to flow inputs, whose text may not open a chat role.
        is_streaming: Whether the caller wants a model's answer piece by piece.
        metrics: Where ``log_metric`` writes; shared by all aggregation nodes of a run.
        usage: Sum of the model calls of this attempt.
        logs: What the tool printed, by ``stdout`` and ``stderr``.
        loop: The engine's event loop, for tools in threads that call a model.
        has_effects: Whether the tool has left something behind besides its output, so that the attempt cannot be
            replaced by a kept result.
    """

    node: str
    line_number: int | None
    span: ActiveSpan
    open_client: Callable[[str | Connection], ModelClient]
    loop: asyncio.AbstractEventLoop
    flow_kind: str = DAG
    run: str | None = None
    price: Price | None = None
    inputs_to_escape: tuple[str, ...] = ()
    is_streaming: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    usage: Usage = Usage()
    logs: dict[str, str] = field(default_factory=dict)
    has_effects: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_usage(self, usage: Usage) -> None:
        """Add the tokens of one model call, with its cost where the price is known.

        A tool may call models from threads of its own, so this is safe to call from any thread.
        """
        cost = self.cost_of(usage)
        with self._lock:
            self._add(usage, cost)

    def cost_of(self, usage: Usage) -> float | None:
        """What one model call costs, in US dollars; ``None`` where no price is known, or no tokens."""
        if usage.cost_usd is None and self.price is not None and usage.knows_tokens:
            return self.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
        return usage.cost_usd

    def _add(self, usage: Usage, cost: float | None) -> None:
        known = [item for item in (self.usage.cost_usd, cost) if item is not None]
        is_known = cost is not None and (self.usage.calls == 0 or self.usage.cost_usd is not None)
        self.usage = Usage(
            calls=self.usage.calls + usage.calls,
            prompt_tokens=self.usage.prompt_tokens + usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens + usage.completion_tokens,
            cost_usd=sum(known) if is_known else None,
        )


current_node: ContextVar[NodeContext | None] = ContextVar("headrace_current_node", default=None)
"""The node that is running in this context; ``log_metric`` and the served ``promptflow`` names read it."""


class Tool(Protocol):
    """A tool bound to one node.

    Attributes:
        spec: Its signature, for checking and for converting literals.
        mode: :data:`INLINE` (fast, never blocks), :data:`THREAD` (ordinary Python code) or :data:`ASYNC`.
    """

    spec: ToolSpec
    mode: str

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> Any | Awaitable[Any]:
        """Do the node's work; returns an awaitable when ``mode`` is :data:`ASYNC`.

        Raises:
            HeadraceError: What went wrong, with a place in the user's files.
            Exception: Whatever the user's own code raises; the engine turns it into a NodeError.
        """
        ...


@runtime_checkable
class StartingTool(Protocol):
    """A tool that begins once per run, before the first line, and may see all lines at the end.

    Attributes:
        aggregation: The tool of its aggregation node; ``None`` when it has none.
    """

    aggregation: Tool | None

    def start(self) -> None:
        """Get ready for lines.

        Raises:
            DefinitionError: It cannot.
        """
        ...


ReadCode = Callable[[], "Code | None"]
"""Tells what the code of a tool is made of, when that is asked for; ``None`` when it must be called every time."""


@runtime_checkable
class IdentifiedTool(Protocol):
    """A tool that says what it is made of, so that its results can be kept and used again."""

    def identity(self, connections: ConnectionLookup) -> Identity | None:
        """What it is made of; ``None`` when it must be called every time."""
        ...


class ConnectionLookup(Protocol):
    """Finds connections by name."""

    def find(self, name: str) -> Connection | None:
        """The connection, or ``None``."""
        ...

    def names(self) -> tuple[str, ...]:
        """All names that :meth:`find` knows, for near misses."""
        ...

    def secret(self, connection: Connection, field_name: str) -> str | None:
        """The value of a secret field, resolved now; ``None`` when it is not set."""
        ...
