"""What simulations of an online test showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.domain.comparison import VerdictWord


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """When something was reached in one run.

    Attributes:
        after_s: Seconds since the test began.
        units: Units in the test by then, over all arms.
        requests: Requests by then that the arm in question answered.
    """

    after_s: float
    units: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A verdict, and when it was first reached; ``None`` for never."""

    word: VerdictWord = "inconclusive"
    at: Reached | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlay:
    """What became of one arm in one run.

    Attributes:
        called: By the rules of the test, on its first metric.
        peeked: By a z-test at 95 % at every look.
        planned: By a fixed horizon with planned looks.
        rolled_back: When a guardrail took it out; ``requests`` count from its last change on.
        rolled_back_by: Which one; empty for none.
    """

    arm: str
    called: Called = field(default_factory=Called)
    peeked: Called = field(default_factory=Called)
    planned: Called = field(default_factory=Called)
    rolled_back: Reached | None = None
    rolled_back_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One run.

    Attributes:
        arms: The arms that answer, without the baseline.
        units: In the test, over all arms.
        requests: In the test, over all arms.
        duration_s: How long it was played.
        is_mismatch: Whether units were found to be split otherwise than the weights say.
    """

    arms: tuple[ArmPlay, ...]
    units: int
    requests: int
    duration_s: float
    is_mismatch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How long something took: in half of the runs at most, and in nine of ten; ``None`` for longer than was played."""

    half: float | None
    nine_of_ten: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary:
    """Verdicts over all runs.

    Attributes:
        words: Verdict to the number of runs that reached it; "inconclusive" for those that reached none.
        n_false: Runs whose verdict is not true of the scenario; ``None`` where that changes during the test.
        days, units: To the verdict.
    """

    words: Mapping[VerdictWord, int]
    n_false: int | None
    days: Spans
    units: Spans


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSummary:
    """Rollbacks over all runs.

    Attributes:
        n: Runs with one.
        by: What asked for it to the number of runs.
        hours: From the arm's last change, else from the beginning, to the rollback, over the runs with one.
        requests: That the arm got in that time.
    """

    n: int
    by: Mapping[str, int]
    hours: Spans
    requests: Spans


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSimulation:
    """One arm over all runs.

    Attributes:
        difference: True mean of the first metric less the baseline's; ``None`` where it changes during the test.
        called, peeked, planned: See :class:`ArmPlay`.
    """

    arm: str
    difference: float | None
    called: CallSummary
    peeked: CallSummary
    planned: CallSummary
    rollbacks: RollbackSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A scenario played many times.

    Attributes:
        test: Name of the test.
        metric: The first one.
        runs: How often it was played.
        days: The longest that a run may last.
        requests_per_day, units_per_day: As supposed.
        look_s: Time between two looks.
        planned_units, planned_looks: Of the fixed horizon.
        units: In the test in half of the runs and in nine of ten, at most.
        n_mismatches: Runs in which units were found to be split otherwise than the weights say.
        share_in_time: Of what is said about the first metric, the share that is said within its window; 1 where nothing
            has to be said.
        arms: Without the baseline.
    """

    test: str
    metric: str
    baseline: str
    runs: int
    days: float
    requests_per_day: float
    units_per_day: float
    look_s: float
    planned_units: int
    planned_looks: int
    units: Spans
    n_mismatches: int
    share_in_time: float
    arms: tuple[ArmSimulation, ...]
