"""Arms compared over the same lines: what goes in, what comes out, what a report needs beside it.

All numbers are finite; a number that the data cannot give is ``None``. A difference is always "arm
minus the arm it is compared against", in the unit of the metric; a ratio is "arm over baseline".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["higher", "lower"]
MetricKind: TypeAlias = Literal["binary", "graded", "unbounded", "auto"]
Family: TypeAlias = Literal["baseline", "exploratory", "none"]
VerdictWord: TypeAlias = Literal["better", "worse", "equivalent", "inconclusive"]


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
    """Every observation of one arm, by line id; several observations of a line are repeats."""

    arm: str
    lines: Mapping[str, tuple[LineObservation, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSpec:
    """What a score means.

    Attributes:
        kind: "binary" for 0 or 1, "graded" for [0, 1], "unbounded" for anything else, "auto" to
            decide from the scores.
        margin: Largest difference that does not matter, in the unit of the metric; without it no
            verdict says "equivalent".
    """

    name: str
    direction: Direction = "higher"
    kind: MetricKind = "auto"
    margin: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A confidence interval: its ends, its level (0.95) and the name of its method."""

    low: float
    high: float
    level: float
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the closed interval."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number with its interval and the count of independent lines behind it."""

    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """What one arm did and used, whatever the metric.

    Attributes:
        n_lines: Distinct lines with at least one observation.
        n_observations: Executions, repeats included.
        n_failed: Executions that failed.
        repeats: Largest number of observations of one line.
        prompt_tokens: Total over all executions, failed ones included.
        completion_tokens: Total over all executions, failed ones included.
        cost_usd: Total, or ``None`` as soon as one execution has no known price.
        latency_p50_ms: Median over executions that did not fail; interval from order statistics.
        latency_p95_ms: 95th percentile of the same; no interval where there are too few lines.
        latency_ratio: Geometric mean of duration against the baseline on paired lines.
        cost_ratio: Geometric mean of cost against the baseline on paired lines.
        token_ratio: Geometric mean of tokens against the baseline on paired lines.
    """

    arm: str
    n_lines: int
    n_observations: int
    n_failed: int
    repeats: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    latency_p50_ms: Estimate | None
    latency_p95_ms: Estimate | None
    latency_ratio: Estimate | None
    cost_ratio: Estimate | None
    token_ratio: Estimate | None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmScore:
    """One arm on one metric.

    Attributes:
        mean: Mean over lines (repeats averaged first); ``None`` when no line has a score.
        n_missing: Lines without a usable score, left out of the mean.
        n_failed_counted: Failed executions that count as the worst value in the mean.
        without_failed: The mean with failed executions left out; ``None`` when none are counted.
    """

    arm: str
    mean: Estimate | None
    n_missing: int
    n_failed_counted: int
    without_failed: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LineLoss:
    """A line on which an arm did worse than the arm it is compared against; ``loss`` > 0."""

    line_id: str
    loss: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One word about an arm and the sentence that justifies it.

    Attributes:
        is_borderline: The adjusted p and the interval disagree.
        is_judged: False where the data allow no judgement at all; the word is then "inconclusive".
    """

    word: VerdictWord
    reason: str
    is_borderline: bool = False
    is_judged: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedEffect:
    """One arm against another on one metric, over the lines that both have.

    Attributes:
        arm: The arm judged.
        against: The arm it is judged against, usually the baseline.
        n_pairs: Lines with a usable score on both sides.
        difference: Mean of arm minus against; ``None`` without pairs.
        without_failed: The same with failed executions left out; ``None`` when none are counted.
        p_raw: Two-sided p of "no difference"; ``None`` without pairs.
        p_adjusted: The same, adjusted over the family of comparisons.
        method_p: Name of the test.
        wins: Lines on which the arm scores better, in the direction of the metric.
        losses: Lines on which it scores worse.
        ties: Lines within 1e-9 of each other.
        probability_better: Probability that the arm is better, from a flat prior.
        n_for_observed: Paired lines that resolve the observed difference with 80 % power.
        detectable: Smallest difference that these lines resolve with 80 % power.
        worst_lines: The largest losses, largest first.
        unmatched_arm: Lines that only the arm has.
        unmatched_against: Lines that only the other arm has.
        unscored: Lines that both have but that lack a usable score on either side.
    """

    arm: str
    against: str
    n_pairs: int
    difference: Estimate | None
    without_failed: Estimate | None
    p_raw: float | None
    p_adjusted: float | None
    method_p: str
    wins: int
    losses: int
    ties: int
    probability_better: float | None
    n_for_observed: int | None
    detectable: float | None
    verdict: Verdict
    worst_lines: tuple[LineLoss, ...] = ()
    unmatched_arm: tuple[str, ...] = ()
    unmatched_against: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricComparison:
    """Every arm on one metric.

    Attributes:
        spec: The metric, its kind settled (never "auto").
        scores: One per arm, in the order of the comparison.
        effects: One per arm that is not the baseline, in the same order.
        leaders: Best arm against runner-up, where two or more arms beat the baseline.
        failed_count_as: Value given to failed executions; ``None`` where they are left out.
    """

    spec: MetricSpec
    scores: tuple[ArmScore, ...]
    effects: tuple[PairedEffect, ...]
    leaders: PairedEffect | None
    failed_count_as: float | None

    def score_of(self, arm: str) -> ArmScore:
        """The score of ``arm``.

        Raises:
            KeyError: The comparison has no such arm.
        """
        for score in self.scores:
            if score.arm == arm:
                return score
        raise KeyError(arm)

    def effect_of(self, arm: str) -> PairedEffect | None:
        """The effect of ``arm`` against the baseline; ``None`` for the baseline itself."""
        return next((effect for effect in self.effects if effect.arm == arm), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """How the numbers were made, so that they can be made again.

    Attributes:
        seed: Seed of the permutation draws.
        alpha: Family-wise error rate of the verdicts.
        family: Which comparisons are adjusted together.
        adjustment: Name of the adjustment of p.
        methods: Names of all methods used, sorted.
    """

    seed: int
    alpha: float
    family: Family
    adjustment: str
    methods: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Several arms over the same lines; the first metric is the one that decides."""

    baseline: str
    arms: tuple[ArmSummary, ...]
    metrics: tuple[MetricComparison, ...]
    warnings: tuple[str, ...]
    provenance: Provenance

    @property
    def primary(self) -> MetricComparison | None:
        """The metric that decides; ``None`` when no metric was asked for."""
        return self.metrics[0] if self.metrics else None

    def summary_of(self, arm: str) -> ArmSummary:
        """What ``arm`` did and used.

        Raises:
            KeyError: The comparison has no such arm.
        """
        for summary in self.arms:
            if summary.arm == arm:
                return summary
        raise KeyError(arm)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """Which arm to ship; ``arm`` is ``None`` when the data cannot tell."""

    arm: str | None
    reason: str


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
