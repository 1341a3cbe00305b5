"""Arms compared over the same lines: what comes out.

All numbers are finite; a number that the data cannot give is ``None``. A difference is always "arm
minus the arm it is compared against", in the unit of the metric; a ratio is "arm over baseline".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from headrace.domain.scores import MetricSpec

Family: TypeAlias = Literal["baseline", "exploratory", "none"]
VerdictWord: TypeAlias = Literal["better", "worse", "equivalent", "inconclusive"]
MarginQuestion: TypeAlias = Literal["superior", "non-inferior", "equivalent"]


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
    def total_tokens(self) -> int | None:
        """Prompt and completion tokens together; ``None`` where something was asked that does not tell."""
        total = self.prompt_tokens + self.completion_tokens
        is_known = total > 0 or self.cost_usd is not None or self.n_observations == 0
        return total if is_known else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tries:
    """What several answers to a line are worth, as means over lines.

    Attributes:
        k: Answers to a line.
        pass_at_k: Chance that at least one of them passes.
        pass_hat_k: Chance that all of them pass (pass^k).
    """

    k: int
    pass_at_k: float
    pass_hat_k: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmScore:
    """One arm on one metric.

    Attributes:
        mean: Mean over lines (repeats averaged first); ``None`` when no line has a score.
        n_missing: Lines without a usable score, left out of the mean.
        n_failed_counted: Failed executions that count as the worst value in the mean.
        without_failed: The mean with failed executions left out; ``None`` when none are counted.
        shrunken: The mean drawn towards the other arms' by as much as noise explains: what to expect of an arm that
            was picked for being the best.
        p_best: Probability that the arm is the best of all, from the same shrunken estimates.
        p_in_best_set: Adjusted p of "no arm is better"; the arm is in the best set unless it is small.
        in_best_set: Whether the arm may be the best.
        corrected: The mean that human labels give together with the evaluator's scores of all lines.
        tries: ``None`` where not every line of every arm is repeated, or a score is neither 0 nor 1.
    """

    arm: str
    mean: Estimate | None
    n_missing: int
    n_failed_counted: int
    without_failed: Estimate | None
    shrunken: Estimate | None = None
    p_best: float | None = None
    p_in_best_set: float | None = None
    in_best_set: bool | None = None
    corrected: Estimate | None = None
    tries: Tries | None = None


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
class MarginTest:
    """A one-sided test against the margin of the metric.

    Attributes:
        question: "superior": better by more than the margin; "non-inferior": worse by less than it; "equivalent":
            neither better nor worse by as much.
        bound: The end of the interval that decides, in the unit of the metric; ``None`` without an interval.
        p_raw: ``None`` without pairs.
        p_adjusted: Over the arms, as the p of the difference is.
        holds: Whether ``p_adjusted`` and the interval both say so.
    """

    question: MarginQuestion
    margin: float
    bound: float | None
    p_raw: float | None
    p_adjusted: float | None
    holds: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Where the noise of a paired difference comes from.

    Attributes:
        between_lines: Variance of the true difference over lines (omega squared).
        within_lines: Variance of one repeat's difference around it (sigma squared); ``None`` without repeats.
        correlation: Of the two arms' scores over lines; ``None`` where one has no spread.
    """

    between_lines: float
    within_lines: float | None
    correlation: float | None


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
        relative: Difference over the size of the other arm's mean, with its own sign; ``None`` where that is zero.
        margin_tests: One per question, where the metric has a margin.
        spread: ``None`` with fewer than two pairs, and in slices.
        worst_case: The difference if every missing score had gone against the arm, and if it had gone for it; ``None``
            where nothing is missing or the metric has no limits.
        corrected: The difference that human labels give together with the evaluator's scores.
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
    relative: float | None = None
    margin_tests: tuple[MarginTest, ...] = ()
    spread: Spread | None = None
    worst_case: tuple[float, float] | None = None
    corrected: Estimate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """The lines of one value of one column; p is adjusted over all slices and arms of the metric."""

    column: str
    value: str
    n_lines: int
    scores: tuple[ArmScore, ...]
    effects: tuple[PairedEffect, ...]

    def mean_of(self, arm: str) -> Estimate | None:
        """The mean of ``arm`` on these lines; ``None`` where it has none."""
        return next((score.mean for score in self.scores if score.arm == arm), None)

    def effect_of(self, arm: str) -> PairedEffect | None:
        """The effect of ``arm`` against the baseline; ``None`` where there is none."""
        return next((effect for effect in self.effects if effect.arm == arm), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class InteractionEffect:
    """Whether a variant helps one model more than another, or one level of any factor one of another factor.

    Attributes:
        variant: The level of the first factor; of factors other than variant and model as ``factor=level``.
        model: The level of the second factor, likewise.
        baseline_variant: The level of the first factor that the baseline has.
        baseline_model: The level of the second factor that the baseline has.
        difference: (variant minus baseline variant) on ``model`` minus the same on ``baseline_model``; the mean of this
            over all settings of the other factors, where there are any.
        p_adjusted: Over all interaction effects of the metric.
        factors: Names of the two factors.
    """

    variant: str
    model: str
    baseline_variant: str
    baseline_model: str
    difference: Estimate | None
    p_raw: float | None
    p_adjusted: float | None
    factors: tuple[str, str] = ("variant", "model")


@dataclass(frozen=True, kw_only=True, slots=True)
class MainEffect:
    """What a level of a factor is worth by itself.

    Attributes:
        factor: Name of the factor.
        level: The level.
        baseline_level: The level that the baseline has.
        n_arms: Arms that it was measured with, those of both levels.
        difference: Mean of the arms with the level less mean of those with the baseline's, paired by line.
        p_adjusted: Over all main effects of the metric.
    """

    factor: str
    level: str
    baseline_level: str
    n_arms: int
    difference: Estimate | None
    p_raw: float | None
    p_adjusted: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far two or more raters agree about the same answers.

    Attributes:
        between: What is compared: "repeats", "positions", "judges", "people" or "judge and people".
        raters: Their names, in order.
        n: Answers that at least two of them rated.
        exact: Share of pairs of ratings that are the same.
        kappa: Cohen's kappa of two raters.
        weighted_kappa: The same with quadratic weights, for grades.
        alpha: Krippendorff's alpha, ordinal for grades and nominal for two values.
    """

    between: str
    raters: tuple[str, ...]
    n: int
    exact: float | None
    kappa: float | None
    weighted_kappa: float | None
    alpha: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeQuality:
    """How far the scores of a metric that a model gives can be trusted.

    Attributes:
        evaluator: Name of the evaluator.
        versions: Version of the judge and its models, such as "groundedness@1 · my_connection/gpt-4o".
        agreements: What was measured.
        n_labels: Answers with a human label.
        n_random_labels: Of these, answers that were drawn at random.
        label_weight: How much the judge's scores count beside the labels (lambda of PPI++), 0 to 1.
        note: What was not done and why, such as too few labels; empty where all was.
    """

    evaluator: str
    versions: tuple[str, ...]
    agreements: tuple[Agreement, ...] = ()
    n_labels: int = 0
    n_random_labels: int = 0
    label_weight: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricComparison:
    """Every arm on one metric.

    Attributes:
        spec: The metric, its kind settled (never "auto").
        scores: One per arm, in the order of the comparison.
        effects: One per arm that is not the baseline, in the same order.
        leaders: Best arm against runner-up, where two or more arms beat the baseline.
        failed_count_as: Value given to failed executions; ``None`` where they are left out.
        n_lines: Distinct lines with a usable score of any arm.
        repeats: Largest number of scores of one line of one arm.
        n_clusters: ``None`` where lines stand for themselves.
        intraclass_correlation: How alike lines of one cluster are, over the arms' mean scores.
        design_effect: How many times larger the clusters make the variance of the mean.
        slices: One per value of each column that was asked for.
        main_effects: Where arms are combinations of two or more factors, one per level that is not the baseline's.
        interaction: Where arms are variants crossed with models, or other factors with each other.
        judge: ``None`` where no model gives the scores.
    """

    spec: MetricSpec
    scores: tuple[ArmScore, ...]
    effects: tuple[PairedEffect, ...]
    leaders: PairedEffect | None
    failed_count_as: float | None
    n_lines: int = 0
    repeats: int = 1
    n_clusters: int | None = None
    intraclass_correlation: float | None = None
    design_effect: float | None = None
    slices: tuple[Slice, ...] = ()
    main_effects: tuple[MainEffect, ...] = ()
    interaction: tuple[InteractionEffect, ...] = ()
    judge: JudgeQuality | None = None

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
        data_digest: SHA-256 over arms, line ids and scores, so that two comparisons can be told to be the same.
        statistics_version: Raised whenever a method changes a number.
    """

    seed: int
    alpha: float
    family: Family
    adjustment: str
    methods: tuple[str, ...]
    data_digest: str = ""
    statistics_version: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Several arms over the same lines; the first metric is the one that decides.

    Attributes:
        guardrails: Names of metrics on which an arm must not be worse by their margins to be shipped.
    """

    baseline: str
    arms: tuple[ArmSummary, ...]
    metrics: tuple[MetricComparison, ...]
    warnings: tuple[str, ...]
    provenance: Provenance
    guardrails: tuple[str, ...] = ()

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
class GuardrailCheck:
    """Whether one arm keeps one guardrail.

    Attributes:
        test: Of being no worse than the baseline by the margin; ``None`` where nothing could be tested.
        is_broken: The interval says that the arm is worse by more than the margin.
    """

    arm: str
    metric: str
    test: MarginTest | None
    is_broken: bool

    @property
    def holds(self) -> bool:
        """Whether the arm is shown to be no worse by the margin."""
        return self.test is not None and self.test.holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """Which arm to ship; ``arm`` is ``None`` when the data cannot tell.

    Attributes:
        guardrails: Those of the arm that is shipped, or that would be were it not for them.
    """

    arm: str | None
    reason: str
    guardrails: tuple[GuardrailCheck, ...] = ()
