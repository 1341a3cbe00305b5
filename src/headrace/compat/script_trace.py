"""Spans of a plain script: where no flow runs, ``start_trace`` decides whether there are any."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Mapping
from typing import Any

from headrace.config import load_settings
from headrace.telemetry.setup import SpanSink, open_span_sink
from headrace.telemetry.spans import ActiveSpan, new_trace_id
from headrace.tools.current_span import traced_span


class _ScriptTrace:
    """The sink that ``start_trace`` has opened, and what every root span carries."""

    sink: SpanSink | None = None
    attributes: Mapping[str, Any] = {}


def start_script_trace(collection: str | None, resource_attributes: Mapping[str, Any] | None) -> None:
    """Send spans to the collector that the environment names, from now on; without one there are none.

    A second call changes only what the spans carry.
    """
    named = {"collection": collection} if collection else {}
    _ScriptTrace.attributes = {**(resource_attributes or {}), **named}
    if _ScriptTrace.sink is None:
        _ScriptTrace.sink = open_span_sink(load_settings())
        atexit.register(_close)


def open_script_span(name: str, attributes: Mapping[str, Any]) -> ActiveSpan | None:
    """Begin a span below the traced function that runs, else a trace of its own; ``None`` when nothing is traced."""
    above = traced_span.get()
    if above is not None:
        return above.child(name, attributes=attributes)
    if _ScriptTrace.sink is None:
        return None
    return ActiveSpan(
        name,
        trace_id=new_trace_id(),
        parent_id=None,
        sink=_ScriptTrace.sink,
        attributes={**_ScriptTrace.attributes, **attributes},
    )


def _close() -> None:
    sink, _ScriptTrace.sink = _ScriptTrace.sink, None
    for problem in sink.close() if sink is not None else ():
        sys.stderr.write(f"{problem.headline()} {problem.fix or ''}\n")
