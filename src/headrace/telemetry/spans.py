"""Making spans. Cheap enough to make for every node of every line; see docs/decisions for the measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from random import Random
from typing import Any

from headrace.domain.span import NO_SCOPE, SpanRecord, TraceScope
from headrace.telemetry.attributes import ERROR_TYPE

# Not random.random: a flow that seeds it would get the same ids in every run.
_ids = Random()  # noqa: S311, ids have to be unique, not secret


def new_trace_id() -> str:
    """A random W3C trace id: 32 hexadecimal digits, never all zero."""
    return f"{_ids.getrandbits(128) or 1:032x}"


def line_run_id(trace_id: str) -> str:
    """The id of a line that is run by itself: its trace id, in the form that prompt flow gives to ids."""
    return "-".join((trace_id[:8], trace_id[8:12], trace_id[12:16], trace_id[16:20], trace_id[20:]))


def new_span_id() -> str:
    """A random W3C span id: 16 hexadecimal digits, never all zero."""
    return f"{_ids.getrandbits(64) or 1:016x}"


def is_in_share(trace_id: str, share: float) -> bool:
    """Whether a trace is one of a share of all, by its id."""
    return share >= 1.0 or int(trace_id[16:], 16) < round(share * 2**64)


class ActiveSpan:
    """A span that has begun. ``end`` turns it into a :class:`SpanRecord` and hands that to ``sink``, once.

    Without a sink nobody wants the record, and none is made.
    """

    __slots__ = ("attributes", "content", "end_ns", "events", "kind", "name", "parent_id", "scope", "sink", "span_id",
                 "start_ns", "status", "status_text", "trace_id")  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        trace_id: str,
        parent_id: str | None,
        sink: Callable[[SpanRecord], None] | None,
        kind: str = "internal",
        attributes: Mapping[str, Any] | None = None,
        start_ns: int | None = None,
        scope: TraceScope = NO_SCOPE,
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.sink = sink
        self.kind = kind
        self.attributes: dict[str, Any] = dict(attributes) if attributes else {}
        self.content: dict[str, Any] | None = None
        self.scope = scope
        self.events: list[tuple[str, int, Mapping[str, Any]]] = []
        self.status = "unset"
        self.status_text: str | None = None
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        self.end_ns = 0

    @property
    def is_heard(self) -> bool:
        """Whether anybody hears of the span, or of one below it: who wants records, or a model service."""
        return self.sink is not None or self.scope.is_passed_on

    def child(
        self, name: str, *, kind: str = "internal", attributes: Mapping[str, Any] | None = None
    ) -> ActiveSpan:
        """Begin a span below this one, even one that outlives it, as a streamed answer does."""
        return ActiveSpan(
            name,
            trace_id=self.trace_id,
            parent_id=self.span_id,
            sink=self.sink,
            kind=kind,
            attributes=attributes,
            scope=self.scope,
        )

    def take_content(self, **content: Any) -> None:
        """Take down what goes in or comes out, where the trace does so at all."""
        if self.scope.has_content:
            self.content = {**(self.content or {}), **content}

    def add_event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Record something that happened now."""
        self.events.append((name, time.time_ns(), dict(attributes)))

    def fail(self, error_type: str, text: str) -> None:
        """Mark the span as failed; ``error_type`` is low-cardinality, ``text`` carries no user values."""
        self.status = "error"
        self.status_text = text
        self.attributes[ERROR_TYPE] = error_type

    def end(self, end_ns: int | None = None) -> None:
        """Finish the span; a second call does nothing."""
        if self.end_ns:
            return
        self.end_ns = time.time_ns() if end_ns is None else end_ns
        if self.sink is None:
            return
        self.sink(
            SpanRecord(
                name=self.name,
                trace_id=self.trace_id,
                span_id=self.span_id,
                parent_id=self.parent_id,
                start_ns=self.start_ns,
                end_ns=self.end_ns,
                kind=self.kind,
                status=self.status,
                status_text=self.status_text,
                attributes=self.attributes,
                events=tuple(self.events),
                content=self.content,
                scope=self.scope,
            )
        )


def begin_trace(
    name: str,
    sink: Callable[[SpanRecord], None] | None,
    *,
    scope: TraceScope,
    attributes: Mapping[str, Any],
) -> ActiveSpan:
    """Begin the first span of a line: below the request that is answered, where there is one, else a new trace."""
    above = enclosing_span.get()
    if above is None:
        return ActiveSpan(
            name, trace_id=new_trace_id(), parent_id=None, sink=sink, attributes=attributes, scope=scope
        )
    return ActiveSpan(
        name,
        trace_id=above.trace_id,
        parent_id=above.span_id,
        sink=sink,
        attributes=attributes,
        scope=replace(above.scope, common=scope.common, has_content=scope.has_content),
    )


enclosing_span: ContextVar[ActiveSpan | None] = ContextVar("headrace_enclosing_span", default=None)
"""The span of the request that this context answers; the lines that are run for it are below it."""
