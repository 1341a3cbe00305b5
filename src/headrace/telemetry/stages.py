"""What happens to a finished span between the program that made it and the exporter, on the thread of the spool.

Counted for the metrics, sampled, redacted, named, and handed over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from headrace.domain.span import EventRecord, SpanRecord
from headrace.telemetry import attributes as names
from headrace.telemetry.content import ContentPolicy
from headrace.telemetry.conventions import Conventions, map_span
from headrace.telemetry.metrics import STOCK, Measurement, SpanMetrics
from headrace.telemetry.redaction import Redact
from headrace.telemetry.retrieval import MarkRetrieval
from headrace.telemetry.sampling import HeadSampler, TailSampler

_MAX_PARENTS = 20_000
Item = SpanRecord | EventRecord | Measurement


class Deliver(Protocol):
    """Hands over what leaves."""

    def span(self, span: SpanRecord) -> None:
        """Hand over one span."""
        ...

    def event(self, event: EventRecord) -> None:
        """Hand over one event."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings say about spans that leave.

    Attributes:
        conventions: How they are named; at least one.
        content: Whether and where their content is written.
        redact: Takes out of content what must not leave.
        head: Decides traces when they begin.
        tail: Decides them when they have ended; ``None`` keeps all.
        mark: Says which spans are retrievals.
    """

    conventions: Sequence[Conventions]
    content: ContentPolicy
    redact: Redact
    head: HeadSampler
    tail: TailSampler | None
    mark: MarkRetrieval


class SpanStages:
    """Takes what was made, one at a time, and hands over what leaves.

    Attributes:
        n_left_out: Spans that a sampler left out.
        n_unredacted: Spans, events and logs whose content was left away because it could not be redacted.
    """

    def __init__(self, rules: Rules, metrics: SpanMetrics | None, deliver: Deliver) -> None:
        self.n_unredacted = 0
        self._n_left_out = 0
        self._rules = rules
        self._metrics = metrics
        self._deliver = deliver
        self._sums = _TokenSums() if any(item.name == STOCK for item in rules.conventions) else None

    @property
    def n_left_out(self) -> int:
        """Spans that a sampler left out."""
        return self._n_left_out + (self._rules.tail.n_left_out if self._rules.tail is not None else 0)

    def handle(self, item: Item) -> None:
        """Take one span, event or measurement."""
        if isinstance(item, SpanRecord):
            self._handle_span(item)
        elif isinstance(item, EventRecord):
            self._deliver.event(self._redacted_event(item))
        elif self._metrics is not None:
            self._metrics.count(item)

    def flush(self) -> None:
        """Hand over what is held."""
        if self._rules.tail is not None:
            for span in self._rules.tail.flush():
                self._send(span)

    def _handle_span(self, span: SpanRecord) -> None:
        span = self._rules.mark(span)
        if self._sums is not None:
            span = self._sums.add(span)
        if self._metrics is not None:
            self._metrics.record(span)
        if not self._rules.head.keeps(span.trace_id, span.scope.is_sampled):
            self._n_left_out += 1
        elif self._rules.tail is None:
            self._send(span)
        else:
            for leaving in self._rules.tail.add(span):
                self._send(leaving)

    def _send(self, span: SpanRecord) -> None:
        mapped, events = map_span(self._redacted(span), self._rules.conventions, self._rules.content.places)
        self._deliver.span(mapped)
        for event in events:
            self._deliver.event(event)

    def _redacted_event(self, event: EventRecord) -> EventRecord:
        """Without keys, and what else is to be taken out, in what it says."""
        reason = event.attributes.get(names.EXPLANATION)
        if event.body is None and reason is None:
            return event
        redact = self._rules.redact
        try:
            said = {} if reason is None else {names.EXPLANATION: redact(reason)}
            body = None if event.body is None else redact(event.body)
        except Exception:  # noqa: BLE001, as for spans
            self.n_unredacted += 1
            said, body = {names.EXPLANATION: None}, None
        return replace(event, body=body, attributes={**event.attributes, **said})

    def _redacted(self, span: SpanRecord) -> SpanRecord:
        if not span.content:
            return span
        if not self._rules.content.is_taken:
            return replace(span, content=None)
        try:
            content: Any = {name: self._rules.redact(value) for name, value in span.content.items()}
        except Exception:  # noqa: BLE001, the user's function; what it was to take out must not leave
            self.n_unredacted += 1
            content = None
        return replace(span, content=content)


class _TokenSums:
    """Adds up tokens from model calls to the spans above them, which end later."""

    def __init__(self) -> None:
        self._below: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def add(self, span: SpanRecord) -> SpanRecord:
        """The span with the tokens of everything below it."""
        sent, answered = self._below.pop(span.span_id, (0, 0))
        sent += span.attributes.get(names.INPUT_TOKENS, 0)
        answered += span.attributes.get(names.OUTPUT_TOKENS, 0)
        if not sent and not answered:
            return span
        if span.parent_id is not None:
            above = self._below.get(span.parent_id, (0, 0))
            self._below[span.parent_id] = (above[0] + sent, above[1] + answered)
            if len(self._below) > _MAX_PARENTS:
                self._below.popitem(last=False)
        sums = {names.TREE_INPUT_TOKENS: sent, names.TREE_OUTPUT_TOKENS: answered}
        return replace(span, attributes={**span.attributes, **sums})
