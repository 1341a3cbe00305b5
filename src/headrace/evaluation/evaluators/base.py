"""What an evaluator is: what it takes, what it can be told, which scores it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.domain.scores import Direction, Score
from headrace.errors import ExecutionError, Problem

Scores: TypeAlias = Mapping[str, Score]
"""Scores of one line by name; ``""`` stands for the name of the evaluator."""

Judge: TypeAlias = Callable[..., Scores]
"""An evaluator that has its options: it takes the inputs by name."""

MAIN = ""
"""Stands for the name of the evaluator, where a score has none of its own."""

PREDICTION = (
    "prediction",
    "answer",
    "output",
    "response",
    "label",
    "category",
    "result",
    "completion",
    "text",
)
"""Output names that mean the answer, the likeliest first."""

REFERENCE = (
    "reference", "ground_truth", "groundtruth", "expected", "expected_output", "target", "gold", "answer", "answers",
    "label", "truth",
)  # fmt: skip
"""Column names that mean the right answer, the likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorInput:
    """One input of an evaluator.

    Attributes:
        title: What it is, in a few words.
        outputs: Outputs of the run that mean it, the likeliest first.
        columns: Columns of the data that mean it, likewise.
        fact: What the run itself knows of it, such as "duration_ms"; empty for nothing.
        takes_only_output: Whether the only output of a run is meant, whatever its name.
        is_required: Whether the evaluator can do nothing without it.
    """

    name: str
    title: str
    outputs: Sequence[str] = ()
    columns: Sequence[str] = ()
    fact: str = ""
    takes_only_output: bool = False
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorOption:
    """One option of an evaluator: its name, the types it may have, its default and what it does."""

    name: str
    types: tuple[type, ...]
    default: Any
    title: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorOutput:
    """One score of an evaluator: its name (``""`` for that of the evaluator) and which way is better."""

    name: str
    title: str
    direction: Direction = "higher"
    kind: str = "graded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A built-in evaluator.

    Attributes:
        title: What it measures, in one sentence.
        make: ``module:name`` of what makes the judge of the options.
        aggregate: ``module:name`` of what makes metrics over all lines; empty for means only.
        package: Distribution that it needs; empty for none.
        texts: Names of further outputs, which are no scores.
        note: What happens to degenerate inputs.
        example: An entry of an experiment file.
    """

    name: str
    title: str
    make: str
    inputs: tuple[EvaluatorInput, ...]
    outputs: tuple[EvaluatorOutput, ...]
    options: tuple[EvaluatorOption, ...] = ()
    aggregate: str = ""
    package: str = ""
    texts: tuple[str, ...] = ()
    note: str = ""
    example: str = ""


class UnscorableError(ExecutionError):
    """A line of which an evaluator can say nothing: its score is missing, which is never a zero."""


def unscorable(what: str, fix: str) -> UnscorableError:
    """G921: ``what`` keeps the line from being scored."""
    return UnscorableError(Problem(code="G921", what=what, fix=fix))


def prediction_input(**changes: Any) -> EvaluatorInput:
    """The answer, as most evaluators take it."""
    return EvaluatorInput(
        **{
            "name": "prediction",
            "title": "the answer",
            "outputs": PREDICTION,
            "takes_only_output": True,
            **changes,
        }
    )


def reference_input(**changes: Any) -> EvaluatorInput:
    """The right answer, as most evaluators take it."""
    return EvaluatorInput(
        **{"name": "reference", "title": "the right answer", "columns": REFERENCE, **changes}
    )


def score(value: float, reason: str | None = None, label: str | None = None) -> Score:
    """A score with its reason and label."""
    return Score(value=float(value), label=label, reason=reason)


def flatten(scores: Scores, name: str) -> dict[str, Any]:
    """Scores as outputs of a line: ``S``, ``S_label`` and ``S_reason``; what there is none of is left out.

    Args:
        scores: By name.
        name: Of the evaluator.
    """
    outputs: dict[str, Any] = {}
    for own, found in scores.items():
        key = name if own == MAIN else own
        parts = {key: found.value, f"{key}_label": found.label, f"{key}_reason": found.reason}
        outputs |= {part: value for part, value in parts.items() if value is not None}
    return outputs


def only(value: float, reason: str | None = None, label: str | None = None) -> Scores:
    """The one score of an evaluator that has one only."""
    return {MAIN: score(value, reason, label)}
