"""What a look at a test with live traffic says: what each arm did, how it compares, and what is due.

Numbers come from evidence alone and are the same however often and whenever one looks. Everything about an effect is
per unit, of the arm that the unit was shown first; what requests cost and how they ended is per request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.comparison import Interval, Verdict, VerdictWord
from headrace.domain.traffic import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class AbMetric:
    """One metric in one arm.

    Attributes:
        metric: Its name.
        n: Units that count.
        n_said: Units whose window is over and of which something was said.
        n_missing: Units whose window is over and of which nothing was said; they count where the metric says as what.
        n_events: Of a rate: units that count as more than a half.
        mean: Over the units that count, values beyond the limits taken for these; ``None`` without units.
        variance: Of the same, with n - 1 below; ``None`` with fewer than two.
    """

    metric: str
    n: int = 0
    n_said: int = 0
    n_missing: int = 0
    n_events: int = 0
    mean: float | None = None
    variance: float | None = None

    @property
    def said_rate(self) -> float | None:
        """Share of the units whose window is over of which something was said; ``None`` before there is one."""
        whole = self.n_said + self.n_missing
        return self.n_said / whole if whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AbArm:
    """What one arm did.

    Attributes:
        arm: Its name.
        share: Share of all units that it has now, from 0 to 1; for a shadow the share that is mirrored to it.
        exposures: Requests for which its buckets chose it; for a shadow those mirrored to it.
        units: Units that were shown it first.
        completions: Exposures of which it is known how they ended.
        failures: Of these, how many failed in the arm, also where the baseline answered in its place.
        gone: Of these, how many clients had gone.
        latency_ms: Sum over completions that neither failed nor whose client had gone.
        cost_usd: Sum over completions whose cost is known.
        n_priced: How many those are.
        tokens: Sum of prompt and completion tokens where they are known.
        versions: Versions of the flow that answered, in order of appearance.
        metrics: One per metric of the test, in its order; empty for a shadow.
    """

    arm: str
    is_baseline: bool = False
    is_shadow: bool = False
    share: float = 0.0
    exposures: int = 0
    units: int = 0
    completions: int = 0
    failures: int = 0
    gone: int = 0
    latency_ms: float = 0.0
    cost_usd: float = 0.0
    n_priced: int = 0
    tokens: int = 0
    versions: tuple[str, ...] = ()
    metrics: tuple[AbMetric, ...] = ()

    def metric(self, name: str) -> AbMetric | None:
        """What it scored on the metric of that name."""
        return next((metric for metric in self.metrics if metric.metric == name), None)

    @property
    def failure_rate(self) -> float | None:
        """Failures per completion, clients that had gone left out; ``None`` without any."""
        whole = self.completions - self.gone
        return self.failures / whole if whole else None

    @property
    def mean_latency_ms(self) -> float | None:
        """Per completion that neither failed nor whose client had gone; ``None`` without any."""
        whole = self.completions - self.gone - self.failures
        return self.latency_ms / whole if whole else None

    @property
    def mean_cost_usd(self) -> float | None:
        """Per completion whose cost is known; ``None`` without any."""
        return self.cost_usd / self.n_priced if self.n_priced else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatio:
    """Whether units were split among the arms as the weights say.

    Attributes:
        log_e: Natural logarithm of the evidence that they were not.
        threshold: What it must reach, at some moment, for a mismatch.
        expected, observed: Units per arm.
        is_mismatch: Nothing is decided then: whatever lost units of one arm may have chosen which.
    """

    log_e: float
    threshold: float
    expected: Mapping[str, float]
    observed: Mapping[str, int]
    is_mismatch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AbMargin:
    """Whether an arm is shown to be no worse by the margin of the metric, and no better either.

    Attributes:
        margin: In units of the metric.
        log_e_no_worse: Evidence that the arm is worse by less than the margin.
        log_e_no_better: Evidence that it is better by less than the margin.
        threshold: What either has to reach.
    """

    margin: float
    log_e_no_worse: float
    log_e_no_better: float
    threshold: float

    @property
    def is_no_worse(self) -> bool:
        """Whether non-inferiority is shown."""
        return self.log_e_no_worse >= self.threshold

    @property
    def is_equivalent(self) -> bool:
        """Whether both are shown."""
        return self.is_no_worse and self.log_e_no_better >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class AbComparison:
    """An arm against the baseline on one metric.

    Attributes:
        n, n_baseline: Units that count.
        effect: Mean of the arm less that of the baseline; where shares changed during the test, weighted by inverse
            propensity. ``None`` before both have units.
        interval: Of the effect; may be looked at always. ``None`` before there is a spread.
        log_e: Natural logarithm of the evidence that there is a difference; decides.
        log_e_better, log_e_worse: The same for one side each.
        threshold: What ``log_e`` must reach: ln(number of comparisons / alpha).
        margin: ``None`` where the metric has none.
    """

    arm: str
    against: str
    metric: str
    direction: Direction
    n: int
    n_baseline: int
    effect: float | None
    interval: Interval | None
    log_e: float
    log_e_better: float
    log_e_worse: float
    threshold: float
    verdict: Verdict
    margin: AbMargin | None = None

    @property
    def word(self) -> VerdictWord:
        """The verdict in a word."""
        return self.verdict.word


@dataclass(frozen=True, slots=True, kw_only=True)
class AbGuardrail:
    """How one arm keeps one guardrail.

    Attributes:
        metric: Name of the metric that is guarded.
        log_e: Natural logarithm of the evidence against the arm.
        highest: The most that it was since the arm began, or began again.
        threshold: ln(1 / alpha).
        is_breached: ``highest`` has reached the threshold.
        n, n_baseline: Bad events, for a rate of rare ones; else units that count.
        observed, observed_baseline: Rate per completed unit, or mean; ``None`` without units.
        what: In words.
    """

    arm: str
    metric: str
    log_e: float
    highest: float
    threshold: float
    is_breached: bool
    n: int
    n_baseline: int
    observed: float | None
    observed_baseline: float | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonState:
    """Where a fixed horizon stands.

    Attributes:
        n: Units so far that count on the primary metric, over all arms.
        n_units: At the end.
        looks: Looks that are planned.
        looks_done: Looks that were taken.
        boundaries: Size of z that decides at each look.
        is_over: The last look was taken.
    """

    n: int
    n_units: int
    looks: int
    looks_done: int
    boundaries: tuple[float, ...]
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AbDecision:
    """Which arm to ship: a person's act.

    Attributes:
        arm: ``None`` where evidence cannot tell yet.
        reason: The sentence.
    """

    arm: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A rollback that is due: the arm has buckets and breaches a guardrail.

    Attributes:
        by: What asks for it, e.g. ``guardrail failures``.
        evidence: The guardrail that was breached first in the order of the file.
    """

    arm: str
    by: str
    evidence: AbGuardrail


@dataclass(frozen=True, slots=True, kw_only=True)
class AbReport:
    """One look at a test.

    Attributes:
        at_ns: When one looked, nanoseconds since the Unix epoch.
        revision: Number of the revision that holds; 0 before the first.
        place: Of the last arrival that was taken; 0 before any.
        arms: In the order of the file, shadows among them.
        comparisons: Of each metric, in the order of the file, each arm that answers with the baseline.
        rollbacks: Due now.
        horizon: ``None`` where one may always look.
        held_out, forced, outside: Exposures that are no evidence.
        orphans: Completions and feedback whose exposure has not arrived.
        caveats: What a reader has to know, as sentences.
    """

    test: str
    at_ns: int
    revision: int
    place: int
    baseline: str
    alpha: float
    arms: tuple[AbArm, ...]
    sample_ratio: SampleRatio
    comparisons: tuple[AbComparison, ...]
    guardrails: tuple[AbGuardrail, ...]
    decision: AbDecision
    rollbacks: tuple[Rollback, ...] = ()
    horizon: HorizonState | None = None
    held_out: int = 0
    forced: int = 0
    outside: int = 0
    orphans: int = 0
    caveats: tuple[str, ...] = ()

    def arm(self, name: str) -> AbArm:
        """What the arm of that name did.

        Raises:
            KeyError: The test has no such arm.
        """
        for arm in self.arms:
            if arm.arm == name:
                return arm
        raise KeyError(name)

    def comparison(self, arm: str, metric: str) -> AbComparison | None:
        """How the arm compares on the metric; ``None`` for the baseline itself."""
        return next((one for one in self.comparisons if one.arm == arm and one.metric == metric), None)
