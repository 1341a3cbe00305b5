"""A parity certificate: what two engines answered to the same lines of the same flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

ParityWord = Literal["equal", "varies", "different"]
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
class FlowParity:
    """One flow.

    Attributes:
        path: Relative to the project.
        digest: SHA-256 over the flow's files; empty when it cannot be read.
        data: Where the lines came from; empty when there were none.
        n_lines: Lines that were run.
        n_both_failed, n_only_ours_failed, n_only_theirs_failed: Lines on which every repeat of a side failed.
        reason: Why it was not tried.
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
        """Whether no flow that was tried differs."""
        return all(flow.word != "different" for flow in self.flows)
