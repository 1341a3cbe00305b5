"""What a simulation supposes of live traffic: how much there is, what arms do, and what people say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, expm1, log
from typing import Final

_Z_95: Final = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Positive values with a long tail: lognormal, as latencies and costs of models are.

    Attributes:
        median: Half of the values are smaller.
        p95: 95 % are; at least the median.
    """

    median: float
    p95: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return log(self.p95 / self.median) / _Z_95

    @property
    def mean(self) -> float:
        """The average."""
        return self.median * exp(self.sigma**2 / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What an arm scores on a metric that feedback reports.

    Attributes:
        mean: Of a rate the share of ones.
        deviation: Standard deviation of one answer; 0 for a rate, which has none of its own.
    """

    mean: float
    deviation: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What an arm does from some moment on.

    Attributes:
        failures: Share of requests that fail.
        spreads: ``latency_ms``, ``first_token_ms``, ``cost_usd`` and ``total_tokens`` of a request, where known.
        metrics: Metric to what is said of an answer.
    """

    failures: float
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    metrics: Mapping[str, Level] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Live traffic as a simulation makes it up.

    Attributes:
        days: The longest that the test may run.
        requests_per_day: Requests that meet the conditions of the test, its coverage not yet taken off.
        requests_per_unit: On average; at least 1, geometrically distributed.
        pause_s: Mean time between two requests of a unit.
        likeness: Chance that what is said of a request of a unit is what is said of all its requests.
        feedback_share: Share of the requests of which something is said.
        feedback_delay_s: Mean time from an answer to what is said of it, exponentially distributed.
        arms: Arm to what it does, and since when in seconds, in order of time from 0 on.
    """

    days: float
    requests_per_day: float
    requests_per_unit: float
    pause_s: float
    likeness: float
    feedback_share: float
    feedback_delay_s: float
    arms: Mapping[str, tuple[tuple[float, Levels], ...]]

    @property
    def units_per_day(self) -> float:
        """New units in a day."""
        return self.requests_per_day / self.requests_per_unit

    def share_said_within(self, window_s: float) -> float:
        """Share of the requests of which something is said within a window after their answer, on average."""
        if not self.feedback_delay_s:
            return self.feedback_share
        return self.feedback_share * -expm1(-window_s / self.feedback_delay_s)

    @property
    def last_change_s(self) -> float:
        """When an arm changes for the last time; 0 where none does."""
        return max(since_s for levels in self.arms.values() for since_s, _ in levels)

    def levels(self, arm: str, at_s: float) -> Levels:
        """What an arm does at a moment."""
        return next(levels for since_s, levels in reversed(self.arms[arm]) if since_s <= at_s)
