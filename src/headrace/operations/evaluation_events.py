"""What an evaluation found, as OpenTelemetry's event ``gen_ai.evaluation.result``: kept with its line, and sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.domain.run import LineResult, RunSpec
from headrace.domain.span import EventRecord, SpanRecord
from headrace.operations.collect_scores import EVALUATOR_TAG, as_score
from headrace.operations.workspace import Workspace
from headrace.telemetry.attributes import (
    ARM,
    EVALUATION_RESULT,
    LINE_NUMBER,
    RESPONSE_ID,
    RUN,
    evaluation_attributes,
)
from headrace.telemetry.setup import captures_content

_BESIDE = ("_label", "_reason")


class EvaluationEvents:
    """Makes the events of one evaluation run.

    Args:
        workspace: For the store, and for where events go.
        spec: The evaluation run.
        source_run: The run that it evaluates.
    """

    def __init__(self, workspace: Workspace, spec: RunSpec, source_run: str) -> None:
        self._workspace = workspace
        self._evaluator = spec.tags.get(EVALUATOR_TAG, spec.flow_name)
        self._source_run = source_run
        self._has_content = captures_content(workspace.settings)

    def note(self, results: Sequence[LineResult]) -> list[LineResult]:
        """The lines with their events on the first span of each; what leaves the process is sent.

        A sent event belongs to the span of the line that was evaluated, with the run, the arm and the line beside it.
        """
        return [self._note(result) for result in results]

    def _note(self, result: LineResult) -> LineResult:
        found = list(self._found(result))
        if self._workspace.span_sink.takes_events and found:
            self._send(result, found)
        events = tuple((EVALUATION_RESULT, result.end_ns, attributes) for attributes in found)
        spans = tuple(
            replace(span, events=(*span.events, *events)) if span.parent_id is None else span
            for span in result.spans
        )
        return replace(result, spans=spans)

    def _found(self, result: LineResult) -> Iterator[dict[str, Any]]:
        """Attributes of one event for each score, or of one for the failure."""
        if result.problem is not None:
            yield evaluation_attributes(self._evaluator, error_type=result.problem.name)
            return
        for name, value in result.outputs.items():
            number = as_score(value)
            if name.endswith(_BESIDE) or not (value is None or number is not None):
                continue
            label, reason = (result.outputs.get(name + end) for end in _BESIDE)
            if label is None and isinstance(value, str):
                label = value
            yield evaluation_attributes(
                name,
                value=number,
                label=str(label) if label is not None else None,
                explanation=str(reason) if reason is not None and self._has_content else None,
            )

    def _send(self, result: LineResult, found: Sequence[Mapping[str, Any]]) -> None:
        spans = self._workspace.store.read_spans(self._source_run, result.line_number)
        root = next((span for span in spans if span.parent_id is None), None)
        about: dict[str, Any] = {RUN: self._source_run, LINE_NUMBER: result.line_number}
        if root is not None and ARM in root.attributes:
            about[ARM] = root.attributes[ARM]
        response = _response_id(spans)
        if response is not None:
            about[RESPONSE_ID] = response
        for attributes in found:
            self._workspace.span_sink.take_event(
                EventRecord(
                    name=EVALUATION_RESULT,
                    trace_id=root.trace_id if root else None,
                    span_id=root.span_id if root else None,
                    time_ns=result.end_ns,
                    attributes={**about, **attributes},
                )
            )


def _response_id(spans: Sequence[SpanRecord]) -> str | None:
    """The service's id of the answer, where a single one was asked for."""
    found = {span.attributes[RESPONSE_ID] for span in spans if RESPONSE_ID in span.attributes}
    return str(found.pop()) if len(found) == 1 else None
