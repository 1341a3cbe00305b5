"""What a report of a comparison says beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOutput:
    """What one arm answered to one line."""

    arm: str
    text: str
    score: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLine:
    """One line shown in a report, with the answers of the arms."""

    line_id: str
    inputs: str
    reference: str | None
    outputs: tuple[SampleOutput, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportContext:
    """What a report says beside the numbers.

    Attributes:
        created_at: Aware, in UTC.
        commands: Commands that make the comparison again, in order.
        model_note: What the reader must know about the models, e.g. that none was a neural one.
        sample_lines: Lines worth reading, most telling first.
        metric_notes: One paragraph per metric name: what it measures.
    """

    title: str
    flow: str
    dataset: str
    created_at: datetime
    commands: tuple[str, ...] = ()
    model_note: str = ""
    sample_lines: tuple[SampleLine, ...] = ()
    metric_notes: Mapping[str, str] = field(default_factory=dict)
