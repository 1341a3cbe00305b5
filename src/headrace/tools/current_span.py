"""The span that new spans of a node belong under: the node's own, or that of a traced function inside it."""

from __future__ import annotations

from contextvars import ContextVar

from headrace.telemetry.spans import ActiveSpan, enclosing_span
from headrace.tools.base import NodeContext, current_node

traced_span: ContextVar[ActiveSpan | None] = ContextVar("headrace_traced_span", default=None)
"""The innermost traced function that is running in this context."""


def running_span() -> ActiveSpan | None:
    """The span that runs in this context: of a traced function, a node or a request."""
    context = current_node.get()
    return enclosing_span.get() if context is None else parent_span(context)


def parent_span(context: NodeContext) -> ActiveSpan:
    """The span to open a child of; a traced function of another node does not count."""
    traced = traced_span.get()
    if traced is not None and traced.trace_id == context.span.trace_id:
        return traced
    return context.span
