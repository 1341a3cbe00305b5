"""``headrace.plan``: how many lines and repeats find a difference, from answers that were compared."""

from __future__ import annotations

from typing import Any

from headrace.operations.plan_experiment import ExperimentPlan, PlanRequest, plan_from_pilot
from headrace.sdk.compare import compare
from headrace.sdk.compared import ComparedArms


def plan(
    pilot: Any,
    *,
    mde: float | None = None,
    lines: int | None = None,
    metric: str | None = None,
    arm: str | None = None,
    power: float = 0.8,
    assurance: float | None = None,
    repeats: int | None = None,
    line_cost: float | None = None,
) -> ExperimentPlan:
    """Say how many lines and repeats find a difference; docs/planning.md says more.

    Args:
        pilot: What ``headrace.compare`` returned, or scores that it takes.
        mde: Smallest difference that is to be found, in the unit of the score; default the margin of the metric.
        lines: Lines that there will be, in place of ``mde``: the plan then says what they find.
        metric: Score; default the one that decides.
        arm: Arm of the pilot; default the one that needs the most lines.
        power: Chance to find the difference.
        assurance: Chance that the plan reaches the power; default 0.85 for yes-or-no scores, 0.9 for others.
        repeats: Answers to each line; default as few as will do.
        line_cost: What one more line costs beside its answers, in answers of an arm.

    Raises:
        UsageError: C507 for numbers that make no sense, G901 and V305 for a metric or arm that is not there, G965 for a
            pilot that says too little.
        HeadraceError: As ``headrace.compare``, for scores.
    """
    compared = pilot if isinstance(pilot, ComparedArms) else compare(pilot)
    request = PlanRequest(
        metric=metric,
        difference=mde,
        lines=lines,
        power=power,
        assurance=assurance,
        repeats=repeats,
        line_cost=line_cost,
        arm=arm,
    )
    return plan_from_pilot(compared.result, request)
