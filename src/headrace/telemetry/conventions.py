"""Naming conventions of other programs: a span is recorded once, and named when it leaves.

Spans are recorded under the names of OpenTelemetry's latest conventions for generative AI and our own. Each of
:data:`CONVENTIONS` turns them into what another version, or another program, looks for. Several at once are the
union; the first gives a span its name and its schema, and wins where two mean different things by one name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.span import EventRecord, SpanRecord
from headrace.errors import Problem, UsageError
from headrace.telemetry import attributes as names
from headrace.telemetry.content import ContentPlaces
from headrace.telemetry.messages import older_events, operation_details, written_messages
from headrace.telemetry.openinference import openinference_attributes
from headrace.telemetry.stock_attributes import stock_attributes, stock_events, stock_name

VARIABLE = "HEADRACE_TRACE_CONVENTIONS"
OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
LATEST = "latest"
_SCHEMAS = "https://opentelemetry.io/schemas/"
_OURS = "headrace."
_INVOKE_AGENT = "invoke_agent"
_AGENT_NAME = "gen_ai.agent.name"
_AGENT_VERSION = "gen_ai.agent.version"
# What the newer versions have and 1.41 does not, and what 1.41 has and 1.36 does not.
_SINCE_1_43 = (names.WORKFLOW_NAME, names.REQUEST_STREAM, names.TIME_TO_FIRST_CHUNK)
_SINCE_1_37 = (names.PROVIDER_NAME, names.EMBEDDING_DIMENSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """One way of naming.

    Attributes:
        name: What it is chosen by.
        schema_url: OpenTelemetry's schema of the names; ``None`` where they are not OpenTelemetry's.
        attributes: The attributes of a span, given where its content may be written.
        span_name: The name of a span; ``None`` leaves it as it is.
        events: What it writes into the span as events.
        records: What it writes beside the span as events of their own.
    """

    name: str
    schema_url: str | None
    attributes: Callable[[SpanRecord, ContentPlaces], dict[str, Any]]
    span_name: Callable[[SpanRecord], str] | None = None
    events: Callable[[SpanRecord], tuple[tuple[str, int, Mapping[str, Any]], ...]] | None = None
    records: Callable[[SpanRecord, ContentPlaces], tuple[EventRecord, ...]] | None = None


def map_span(
    span: SpanRecord, chosen: Sequence[Conventions], places: ContentPlaces
) -> tuple[SpanRecord, tuple[EventRecord, ...]]:
    """A span as it leaves, and the events that leave beside it.

    Args:
        span: As it was recorded, its content redacted.
        chosen: At least one.
        places: Where content goes.
    """
    attributes = {name: value for name, value in span.attributes.items() if name.startswith(_OURS)}
    for name in (names.TREE_INPUT_TOKENS, names.TREE_OUTPUT_TOKENS):
        attributes.pop(name, None)
    if names.NODE not in attributes and names.OPERATION_NAME not in span.attributes:
        # A request or feedback: no convention for generative AI has names of its own for what they say.
        said = {name: value for name, value in span.attributes.items() if not name.startswith(_OURS)}
    else:
        said = {}
    events = span.events
    records: tuple[EventRecord, ...] = ()
    for conventions in chosen:
        attributes = {**conventions.attributes(span, places), **attributes}
        if conventions.events is not None and places.on_spans:
            events = (*events, *conventions.events(span))
        if conventions.records is not None and span.content:
            records = (*records, *conventions.records(span, places))
    attributes = {**said, **attributes}
    rename = chosen[0].span_name
    name = rename(span) if rename is not None else span.name
    return replace(span, name=name, attributes=attributes, events=events, content=None), records


def map_attributes(attributes: Mapping[str, Any], chosen: Sequence[Conventions]) -> dict[str, Any]:
    """Attributes of a metric as they leave."""
    span = SpanRecord(
        name="", trace_id="", span_id="", parent_id=None, start_ns=0, end_ns=0, attributes=attributes
    )
    mapped: dict[str, Any] = {}
    for conventions in chosen:
        if conventions.schema_url is not None:
            mapped = {**conventions.attributes(span, ContentPlaces()), **mapped}
    return mapped or dict(attributes)


def _latest(span: SpanRecord, places: ContentPlaces) -> dict[str, Any]:
    found = {name: value for name, value in span.attributes.items() if not name.startswith(_OURS)}
    if found.get(names.OPERATION_NAME) == names.INVOKE_WORKFLOW:
        found |= _agent(span)  # what Azure's pages of traces group by
    if places.on_spans and span.content:
        found |= written_messages(span.content, span.attributes)
    return found


def _version_1_41(span: SpanRecord, places: ContentPlaces) -> dict[str, Any]:
    found = _latest(span, places)
    if found.get(names.OPERATION_NAME) == names.INVOKE_WORKFLOW:
        found[names.OPERATION_NAME] = _INVOKE_AGENT
    return {name: value for name, value in found.items() if name not in _SINCE_1_43}


def _version_1_36(span: SpanRecord, places: ContentPlaces) -> dict[str, Any]:
    found = _version_1_41(span, ContentPlaces())
    if found.get(names.OPERATION_NAME) == names.RETRIEVAL:  # which that version does not know
        found[names.OPERATION_NAME] = names.EXECUTE_TOOL
    if found.get(names.PROVIDER_NAME) is not None:
        found.setdefault(names.SYSTEM, found[names.PROVIDER_NAME])
    if places.on_spans and span.content:
        written = written_messages(span.content, span.attributes)
        found |= {name: value for name, value in written.items() if name.startswith("headrace.")}
    found.pop(_AGENT_VERSION, None)
    return {name: value for name, value in found.items() if name not in _SINCE_1_37}


def _agent(span: SpanRecord) -> dict[str, Any]:
    attributes = span.attributes
    given = {
        _AGENT_NAME: attributes.get(names.FLOW),
        _AGENT_VERSION: attributes.get(names.FLOW_VERSION) or attributes.get(names.ARM),
    }
    return {name: value for name, value in given.items() if value is not None}


def _older_name(span: SpanRecord) -> str:
    """Versions without workflows call what runs a flow an agent."""
    if span.attributes.get(names.OPERATION_NAME) != names.INVOKE_WORKFLOW:
        return span.name
    return span.name.replace(names.INVOKE_WORKFLOW, _INVOKE_AGENT, 1)


def _renamed(make: Callable[[SpanRecord, bool], dict[str, Any]]) -> Any:
    return lambda span, places: make(span, places.on_spans)


CONVENTIONS: Mapping[str, Conventions] = {
    item.name: item
    for item in (
        Conventions(name=LATEST, schema_url=names.SCHEMA_URL, attributes=_latest, records=operation_details),
        Conventions(
            name="1.41",
            schema_url=f"{_SCHEMAS}1.41.0",
            attributes=_version_1_41,
            span_name=_older_name,
            records=operation_details,
        ),
        Conventions(
            name="1.36",
            schema_url=f"{_SCHEMAS}1.36.0",
            attributes=_version_1_36,
            span_name=_older_name,
            records=older_events,
        ),
        Conventions(name="openinference", schema_url=None, attributes=_renamed(openinference_attributes)),
        Conventions(
            name="promptflow",
            schema_url=None,
            attributes=_renamed(stock_attributes),
            span_name=stock_name,
            events=stock_events,
        ),
    )
}
"""All of them by the names that ``HEADRACE_TRACE_CONVENTIONS`` takes."""


def choose_conventions(environment: Mapping[str, str]) -> tuple[Conventions, ...]:
    """What the environment asks for: our variable by name, else the latest.

    ``OTEL_SEMCONV_STABILITY_OPT_IN`` with ``gen_ai_latest_experimental`` adds the latest to those that ours names.

    Raises:
        UsageError: C506 for a name that does not exist.
    """
    asked = [name.strip().lower() for name in environment.get(VARIABLE, "").split(",") if name.strip()]
    if "gen_ai_latest_experimental" in environment.get(OPT_IN, "") and LATEST not in asked:
        asked.insert(0, LATEST)
    unknown = [name for name in asked if name not in CONVENTIONS]
    if unknown:
        what = (
            f"The environment variable {VARIABLE} names conventions that do not exist: {', '.join(unknown)}."
        )
        fix = f"Name some of: {', '.join(CONVENTIONS)}; separate them by commas."
        raise UsageError(Problem(code="C506", what=what, fix=fix))
    return tuple(CONVENTIONS[name] for name in dict.fromkeys(asked)) or (CONVENTIONS[LATEST],)
