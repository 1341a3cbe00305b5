"""What an experiment said of the arms of an online test, beside what live requests say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from headrace.domain.comparison import Estimate
from headrace.domain.scores import Direction

Agreement: TypeAlias = Literal["agree", "disagree", "cannot say yet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineEffect:
    """How an arm compared with the baseline in an experiment.

    Attributes:
        difference: Mean of the arm less that of the baseline; ``None`` without lines that both have.
    """

    arm: str
    metric: str
    direction: Direction
    difference: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineArms:
    """What an experiment said of arms.

    Attributes:
        experiment: Its id.
        baseline: What its arms are compared with here.
        effects: Of every arm but the baseline, on every metric.
        versions: Arm to the digests of the versions of the flow that it ran.
    """

    experiment: str
    baseline: str
    effects: tuple[OfflineEffect, ...]
    versions: Mapping[str, tuple[str, ...]]

    def effect(self, arm: str, metric: str) -> OfflineEffect | None:
        """The effect of an arm on a metric."""
        return next((item for item in self.effects if (item.arm, item.metric) == (arm, metric)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedEffect:
    """One arm on one metric, offline and online.

    Attributes:
        metric: Its name online.
        offline_metric: Its name offline.
        offline, online: Mean of the arm less that of the baseline; ``None`` where it is not known.
        reason: Why, as a clause.
    """

    arm: str
    metric: str
    offline_metric: str
    offline: Estimate | None
    online: Estimate | None
    agreement: Agreement
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedResults:
    """The offline results of an online test beside its own.

    Attributes:
        experiment: Id of the experiment; empty where none is found.
        effects: In the order of the metrics and arms of the traffic file.
        notes: What keeps both from being compared, as sentences.
    """

    experiment: str
    effects: tuple[JoinedEffect, ...] = ()
    notes: tuple[str, ...] = ()
