"""A parity certificate: what two engines answered to the same lines of the same flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

ParityWord = Literal["equal", "varies", "different"]
QualityWord = Literal["no worse", "not shown", "not tried"]
FlowWord = Literal["equal", "varies", "different", "both failed", "not tried"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one engine answered to one line once: its outputs, or the error that it ended with."""

    outputs: Mapping[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAnswers:
    """All answers to one line; both sides have at least one.

    Attributes:
        line_number: Counts from 0.
        ours: headrace's, one per repeat.
        theirs: The other engine's.
    """

    line_number: int
    ours: tuple[Answer, ...]
    theirs: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line on which an output differs: the first answer of each side, or its error."""

    line_number: int
    field: str
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldParity:
    """One output of a flow over all lines.

    Attributes:
        n_equal: Lines on which every answer of both sides is the same.
        n_varying: Lines on which a side does not agree with itself.
        n_different: Lines on which each side agrees with itself and not with the other.
        p: Probability of a distance as large as seen on the varying lines if both sides answered alike; ``None``
            without varying lines.
    """

    name: str
    word: ParityWord
    n_equal: int
    n_varying: int
    n_different: int
    p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowQuality:
    """Whether the answers here are worse than those of the other engine, on one metric.

    Attributes:
        word: "no worse" where it is shown that they are worse by less than the margin, if at all.
        margin: In the unit of the metric.
        n_lines: Lines with a score of both sides.
        repeats: Answers per line and side.
        is_planned: Lines and repeats were planned from a small trial before.
        ours, theirs: Mean score over the lines, repeats averaged.
        difference: Ours minus theirs.
        bound: End of the one-sided interval that decides, in the unit of the metric.
        p: One-sided p of "worse by the margin or more".
        n_failed_ours, n_failed_theirs: Answers that failed; they count as the worst score where the metric has one.
        n_needed: Lines that would show it with 80 % power if the engines answered alike; ``None`` where it is shown, or
            where nothing is known of the spread.
        reason: Why it was not tried or cannot be shown.
    """

    metric: str
    evaluator: str
    margin: float
    word: QualityWord
    n_lines: int = 0
    repeats: int = 1
    is_planned: bool = False
    ours: float | None = None
    theirs: float | None = None
    difference: float | None = None
    bound: float | None = None
    p: float | None = None
    n_failed_ours: int = 0
    n_failed_theirs: int = 0
    n_needed: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowParity:
    """One flow.

    Attributes:
        path: Relative to the project.
        digest: SHA-256 over the flow's files; empty when it cannot be read.
        data: Where the lines came from; empty when there were none.
        n_lines: Lines that were run.
        n_both_failed, n_only_ours_failed, n_only_theirs_failed: Lines on which every repeat of a side failed.
        reason: Why it was not tried.
        quality: The test of a metric, where one was asked for; it then decides in place of the word.
    """

    path: str
    kind: str
    word: FlowWord
    digest: str = ""
    data: str = ""
    n_lines: int = 0
    n_both_failed: int = 0
    n_only_ours_failed: int = 0
    n_only_theirs_failed: int = 0
    fields: tuple[FieldParity, ...] = ()
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    quality: FlowQuality | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against this flow: it does not differ, or its answers are shown to be no worse."""
        return self.word != "different" if self.quality is None else self.quality.word == "no worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """All flows of a project, and what they were run with.

    Attributes:
        created_at: Aware, in UTC.
        ours, theirs: Name and version of the engines.
        repeats: How often each side answered each line.
    """

    project: str
    created_at: datetime
    ours: str
    theirs: str
    repeats: int
    flows: tuple[FlowParity, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against any flow."""
        return all(flow.is_clean for flow in self.flows)
