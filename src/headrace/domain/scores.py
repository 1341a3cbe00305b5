"""Scores of lines: what evaluators say, what a metric means, and what goes into a comparison of arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["higher", "lower"]
MetricKind: TypeAlias = Literal["binary", "graded", "unbounded", "auto"]
WORD_VALUES: Mapping[str, float] = {
    **dict.fromkeys(("pass", "passed", "yes", "true", "correct"), 1.0),
    **dict.fromkeys(("fail", "failed", "no", "false", "incorrect"), 0.0),
}
"""Words that evaluators give in place of a number, in lower case, and what they are worth."""

Goal: TypeAlias = Literal["superiority", "non_inferiority", "equivalence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What one evaluator says about one answer.

    Attributes:
        value: The number that is compared; ``None`` where there is none, which never counts as zero.
        label: The evaluator's word for it, such as "pass".
        reason: Why, in a sentence.
        cost_usd: What the evaluation cost, ``None`` where prices are not known.
        error: Code and sentence of the problem that ended the evaluation, ``None`` where it went well.
    """

    value: float | None
    label: str | None = None
    reason: str | None = None
    cost_usd: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSpec:
    """What a score means.

    Attributes:
        kind: "binary" for 0 or 1, "graded" for [0, 1], "unbounded" for anything else, "auto" to
            decide from the scores.
        margin: Largest difference that does not matter, in the unit of the metric, above zero; without it no
            verdict says "equivalent" and nothing is tested for being no worse.
        labels: Arm to the data column that holds what people say about that arm's answers; labels that were taken
            in the terminal need no column.
        goal: What an arm must show to be shipped: "superiority": to be better than the baseline; "non_inferiority":
            not to be worse by the margin; "equivalence": neither. The last two need a margin.
    """

    name: str
    direction: Direction = "higher"
    kind: MetricKind = "auto"
    margin: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    goal: Goal = "superiority"

    @property
    def is_bare(self) -> bool:
        """Whether nothing but its name was said."""
        return self == MetricSpec(name=self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class LineObservation:
    """One recorded execution of one line by one arm, with its scores.

    Attributes:
        scores: Score per metric name; ``None``, NaN, infinities and numbers beyond
            1e100 count as missing.
        is_failed: The line ended with a Problem; its scores are not used.
        duration_ms: Wall time; zero means not measured.
        cost_usd: ``None`` where prices are not known.
    """

    scores: Mapping[str, float | None]
    is_failed: bool = False
    duration_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmLines:
    """Every observation of one arm, by line id; several observations of a line are repeats.

    Attributes:
        variant: The variant that the arm is made of, ``None`` where it has none.
        model: Name of the model that the arm is made of, likewise.
        factors: Factor to the level that the arm has of it; empty where it is no cell of a design.
    """

    arm: str
    lines: Mapping[str, tuple[LineObservation, ...]]
    variant: str | None = None
    model: str | None = None
    factors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LineFacts:
    """What is known of a line whatever the arm.

    Attributes:
        cluster: Lines of one cluster are not independent, such as questions about one document; ``None`` where
            every line stands for itself.
        slices: Value per column that the results are broken down by.
    """

    cluster: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class HumanLabel:
    """What a person says about one answer, in the unit of the metric.

    Attributes:
        metric: Name of the metric that the label is about.
        is_random: The answer was drawn at random. Only such labels may correct a judge's estimate.
        labeller: Who said it, so that the agreement between people can be measured; may be empty.
    """

    metric: str
    arm: str
    line_id: str
    value: float
    is_random: bool = True
    labeller: str = ""
