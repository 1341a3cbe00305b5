"""How live requests are split among arms: what a traffic file says, and what holds of it now.

A test has rules, which people write (:class:`Traffic`), and revisions, which say what holds from some moment on
(:class:`Revision`). Whatever moves traffic makes a new revision: a step of a ramp, a change of the file, an allocation
by a bandit, a rollback, a stop, a promotion. Servers follow the latest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from headrace.domain.values import JsonValue
from headrace.domain.variant import Arm
from headrace.source import SourceMap, Span

RESOLUTION = 10_000
"""Buckets of a test: no share is finer than one in so many (statistics: 4.3)."""

UnitPlace: TypeAlias = Literal["header", "cookie", "field", "session"]
Operator: TypeAlias = Literal["is", "in", "not_in", "at_least", "at_most", "matches", "exists"]
Direction: TypeAlias = Literal["higher", "lower"]
MetricKind: TypeAlias = Literal["rate", "mean"]
Allocation: TypeAlias = Literal["fixed", "thompson"]
Horizon: TypeAlias = Literal["anytime", "fixed"]
Reason: TypeAlias = Literal[
    "started", "changed", "ramped", "allocated", "rolled back", "stopped", "promoted", "resumed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSource:
    """Where the unit of a request stands: whoever keeps one arm for all of their requests.

    Attributes:
        place: Where to look.
        name: Of the header, the cookie, the field of the body or, for "session", of the field that names it.
    """

    place: UnitPlace
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficArm:
    """An arm that takes live requests.

    Attributes:
        name: As it was called offline.
        source: What answers: a flow folder or file, the name of a stored version, or an address; empty for the flow
            that the test is about.
        arm: Variant, model and overrides, as offline.
        weight: Share of the requests in the test, from 0 to 1; those of all arms that answer add up to 1.
        shadow_share: Share of the requests in the test that are mirrored to this arm, which never answers; ``None``
            for an arm that answers.
        span: Its place in the file.
    """

    name: str
    arm: Arm
    source: str = ""
    weight: float = 0.0
    shadow_share: float | None = None
    span: Span | None = None

    @property
    def is_shadow(self) -> bool:
        """Whether it is mirrored to only."""
        return self.shadow_share is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What an attribute of a request has to be for the request to be in the test; see :data:`UnitSource.place`."""

    attribute: UnitSource
    operator: Operator
    value: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Keeps tests apart that must not share units: the test has the units whose hash in the namespace lies in a range.

    Attributes:
        name: Seed of the hash, common to the tests that exclude each other.
        start, end: The range, from 0 to 1; ``end`` is not in it.
    """

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """From when on how much of the traffic is in the test.

    Attributes:
        after_s: Seconds since the test began.
        coverage: Share of all units that are in the test; the others get the baseline.
    """

    after_s: float
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineMetric:
    """What is measured of a unit.

    Attributes:
        name: Unique in the test.
        source: ``failures``, ``latency_ms``, ``first_token_ms``, ``cost_usd``, ``total_tokens``, or the name of a
            metric that feedback, an evaluator or a judge reports.
        kind: "rate" for 0 or 1 per unit, "mean" for a number.
        direction: Which way is better.
        low, high: Values beyond are taken for these; a mean needs both for its evidence.
        window_s: How long after its first exposure what is said of a unit counts; it enters the evidence when that time
            is over, so that nothing depends on how fast people answer. 0 for what is known with the answer.
        missing: What a unit counts of which nothing was said; ``None`` leaves it out, and arms are watched for
            answering at different rates.
        margin: How much worse is still as good, in units of the metric; ``None`` asks for better.
        offline: Metric of the offline experiment that it is shown beside; empty for that of the same name.
    """

    name: str
    source: str
    kind: MetricKind = "rate"
    direction: Direction = "higher"
    low: float = 0.0
    high: float = 1.0
    window_s: float = 0.0
    missing: float | None = None
    margin: float | None = None
    offline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineGuardrail:
    """What may not become worse in an arm, else it is rolled back.

    Attributes:
        metric: Its name.
        max_ratio: For a rate of rare bad events: how many times the baseline's rate is still accepted, at least 1.
        margin: For a mean: how much worse than the baseline is still accepted, in units of the metric.
        alpha: Chance of rolling back an arm that keeps to it, however often one looks.
    """

    metric: str
    max_ratio: float | None = None
    margin: float | None = None
    alpha: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """How the test is decided.

    Attributes:
        alpha: Chance of a wrong verdict, over all arms and looks.
        horizon: "anytime" may be looked at always; "fixed" looks ``looks`` times over ``n_units``, and not in between.
        n_units: Units in the test at the end of a fixed horizon.
        looks: Looks of a fixed horizon.
        min_units: Units per arm before anything is decided.
        min_events: Events and non-events per arm before anything is decided about a rate.
        every_s: How often evidence is looked at, seconds.
    """

    alpha: float = 0.05
    horizon: Horizon = "anytime"
    n_units: int | None = None
    looks: int = 5
    min_units: int = 50
    min_events: int = 10
    every_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRule:
    """Who chooses the weights: people, or Thompson sampling on the primary metric.

    Attributes:
        floor: Smallest share of an arm under Thompson sampling.
        every_s: How often it may move traffic, seconds.
    """

    method: Allocation = "fixed"
    floor: float = 0.05
    every_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """Which requests are kept with what went in and came out.

    Attributes:
        share: Of the requests in the test, by unit.
        consent: What a request has to say for it; ``None`` where nobody has to be asked.
        redact: Fields of inputs and outputs that are not kept.
    """

    share: float = 0.0
    consent: Condition | None = None
    redact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineEvaluator:
    """An evaluator or a judge that scores logged requests, away from them.

    Attributes:
        name: Metric that it reports.
        entry: The evaluator as an experiment file names it (``builtin``, ``judge``, ``flow``, ``python``), as written.
        share: Of the logged requests, by unit.
        max_usd: The most that it may spend in a day; ``None`` for no limit.
    """

    name: str
    entry: Mapping[str, JsonValue]
    share: float = 1.0
    max_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The rules of a test as a traffic file gives them.

    Attributes:
        name: Of the test; unique in a store.
        path: The file.
        flow: Name or path of the served flow that it is about; empty where one flow is served.
        arms: At least one that answers.
        baseline: Name of the arm that the others are compared with, and that answers whoever is not in the test.
        units: Where the unit stands, in order of preference; a request without any is a unit of its own.
        seed: Of the hash; another one assigns anew.
        coverage: Share of all units that are in the test, where there is no ramp.
        holdout: Share of all units that always get the baseline and never take part.
        namespace: See :class:`Namespace`.
        target: Conditions, all of which a request must meet to be in the test.
        forced_by: Header by which a tester chooses an arm; empty for none. Such requests are no evidence.
        falls_back: Whether the baseline answers when another arm fails; that is still a failure of the arm.
        ramp: In order of time.
        metrics: The first one is primary.
        guardrails, decision, allocation, log, evaluators: See there.
        webhook: Address that hears of revisions; empty for none.
        experiment: Name of the offline experiment that the arms come from; empty for none.
        digest: SHA-256 over what the file says, hexadecimal: the same for another order of keys.
    """

    name: str
    path: str
    arms: tuple[TrafficArm, ...]
    baseline: str
    digest: str
    flow: str = ""
    units: tuple[UnitSource, ...] = ()
    seed: str = ""
    coverage: float = 1.0
    holdout: float = 0.0
    namespace: Namespace | None = None
    target: tuple[Condition, ...] = ()
    forced_by: str = ""
    falls_back: bool = False
    ramp: tuple[RampStep, ...] = ()
    metrics: tuple[OnlineMetric, ...] = ()
    guardrails: tuple[OnlineGuardrail, ...] = ()
    decision: DecisionRule = field(default_factory=DecisionRule)
    allocation: AllocationRule = field(default_factory=AllocationRule)
    log: RequestLog = field(default_factory=RequestLog)
    evaluators: tuple[OnlineEvaluator, ...] = ()
    webhook: str = ""
    experiment: str = ""
    source_map: SourceMap | None = None

    def arm(self, name: str) -> TrafficArm | None:
        """The arm of that name, if there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def answering(self) -> tuple[TrafficArm, ...]:
        """The arms that answer, in the order of the file."""
        return tuple(arm for arm in self.arms if not arm.is_shadow)

    def coverage_after(self, elapsed_s: float) -> float:
        """Share of all units that are in the test so many seconds after it began."""
        if not self.ramp:
            return self.coverage
        due = [step.coverage for step in self.ramp if step.after_s <= elapsed_s]
        return due[-1] if due else 0.0  # before the first step nobody is in it


BucketRange: TypeAlias = tuple[int, int]
"""Buckets from the first to the one before the second, of :data:`RESOLUTION`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What holds of a test from some moment on.

    Attributes:
        test: Name of the test.
        number: Counts from 1 within the test; the highest one holds.
        at: When it was made, in UTC.
        reason: Why.
        ranges: Arm to its buckets, in order; units in no bucket get the baseline and are not in the test.
        is_over: The test takes no more units: everybody gets ``answering``.
        answering: The arm that answers whoever is in no bucket: the baseline, or the arm that was promoted.
        by: Who or what made it, e.g. ``guardrail failures``.
        evidence: What it was decided by, as JSON; see :attr:`arm` and :attr:`moves`.
        definition: What the traffic file said then, as JSON, without secrets.
        digest: Of the traffic file.
    """

    test: str
    number: int
    at: datetime
    reason: Reason
    ranges: Mapping[str, tuple[BucketRange, ...]]
    answering: str
    digest: str
    is_over: bool = False
    by: str = ""
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)
    definition: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def arm(self) -> str:
        """The arm that it is about, by ``arm`` of its evidence; empty where it is about the test."""
        return str(self.evidence.get("arm", ""))

    @property
    def moves(self) -> tuple[Mapping[str, JsonValue], ...]:
        """Whom it moved, by ``moves`` of its evidence: ``from``, ``to`` (empty for outside the test) and ``share``."""
        moves = self.evidence.get("moves")
        return tuple(move for move in moves if isinstance(move, Mapping)) if isinstance(moves, list) else ()

    def share(self, arm: str) -> float:
        """Share of all units that the arm has."""
        return sum(end - start for start, end in self.ranges.get(arm, ())) / RESOLUTION

    def propensity(self, arm: str) -> float:
        """Chance of the arm for a unit that is in the test; 0 where none is."""
        whole = sum(self.share(name) for name in self.ranges)
        return self.share(arm) / whole if whole else 0.0
