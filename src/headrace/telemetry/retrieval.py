"""Which nodes and traced functions retrieve: their code says nothing of it, so their names do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final

from headrace.domain.span import SpanRecord
from headrace.telemetry import attributes as names

VARIABLE: Final = "HEADRACE_TRACE_RETRIEVAL"
_USUAL = "retriev*,*_lookup,search_index*"
_QUERIES = ("query", "queries", "question", "text")

MarkRetrieval = Callable[[SpanRecord], SpanRecord]
"""Gives a span its operation where it is a retrieval."""


def mark_retrieval(environment: Mapping[str, str]) -> MarkRetrieval:
    """What marks the spans whose node or function has a name that ``HEADRACE_TRACE_RETRIEVAL`` matches.

    The variable holds names with ``*`` and ``?``, separated by commas; empty marks none.
    """
    patterns = [item.strip() for item in environment.get(VARIABLE, _USUAL).split(",") if item.strip()]

    def mark(span: SpanRecord) -> SpanRecord:
        attributes = span.attributes
        name = attributes.get(names.NODE) or attributes.get(names.FUNCTION_NAME)
        if name is None or not any(fnmatchcase(str(name).rpartition(".")[2], item) for item in patterns):
            return span
        if names.REQUEST_MODEL in attributes or attributes.get(names.NODE_KIND) in ("prompt", "llm"):
            return span
        marked = {**attributes, names.OPERATION_NAME: names.RETRIEVAL}
        return replace(span, attributes=marked, content=_with_query(span.content))

    return mark


def _with_query(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Content with the text that was looked for, where an input is called like it."""
    given = content.get("inputs") if content else None
    if content is None or not isinstance(given, Mapping):
        return content
    found = next((given[name] for name in _QUERIES if isinstance(given.get(name), str)), None)
    return content if found is None else {**content, "query": found}
