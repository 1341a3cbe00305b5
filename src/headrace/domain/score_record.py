"""One score with everything that is known of it, as it leaves headrace in a table or for another program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRecord:
    """What one evaluator said about one answer: one row of a table of scores.

    Attributes:
        line: Id of the line: that of its column, or its number.
        repeat: Counts from 0.
        value: ``None`` where there is no usable number, which never counts as zero.
        label: The evaluator's word for it, such as "pass".
        reason: Why, in a sentence.
        cost_usd: What the evaluation of this answer cost, for all its metrics together; ``None`` where not known.
        error: Code and sentence of the problem that ended the evaluation or, where ``failed``, the line itself.
        failed: Whether the arm had no answer to evaluate.
        evaluator: Who gave the score; empty where it is not known.
        run: Run of the arm; empty where there is none.
        evaluation_run: Run of the evaluator, likewise.
    """

    arm: str
    line: str
    repeat: int
    metric: str
    value: float | None
    label: str | None = None
    reason: str | None = None
    cost_usd: float | None = None
    error: str | None = None
    failed: bool = False
    evaluator: str = ""
    run: str = ""
    evaluation_run: str = ""
