from __future__ import annotations

from random import Random

import pytest

import headrace
from headrace.domain.scores import MetricSpec
from headrace.errors import UsageError
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.compare_scores import Judgement, compare_scores
from headrace.operations.plan_experiment import PlanRequest, plan_from_pilot


def _pilot(repeats: int = 1, margin: float | None = None) -> ComparisonResult:
    random = Random(5)  # noqa: S311 - scores of a test
    scores = {
        arm: {f"line-{line}": [random.uniform(0.0, width) for _ in range(repeats)] for line in range(60)}
        for arm, width in (("old", 0.5), ("new", 0.6), ("wild", 1.0))
    }
    return compare_scores(scores, Judgement(metrics=[MetricSpec(name="score", margin=margin)]))


def test_the_arm_that_varies_most_decides() -> None:
    plan = plan_from_pilot(_pilot(), PlanRequest(difference=0.05))
    assert (plan.arm, plan.baseline, plan.metric) == ("wild", "old", "score")
    assert plan.by_arm["wild"] == plan.n_lines > plan.by_arm["new"]
    assert plan_from_pilot(_pilot(), PlanRequest(difference=0.05, arm="new")).n_lines == plan.by_arm["new"]


def test_the_margin_is_the_difference_where_none_is_asked_for() -> None:
    assert plan_from_pilot(_pilot(margin=0.04), PlanRequest()).sample.difference == 0.04


def test_lines_can_be_given_and_the_difference_asked_for() -> None:
    plan = plan_from_pilot(_pilot(), PlanRequest(lines=400))
    assert plan.n_lines == 400
    assert plan.sample.needs[0].n_lines == pytest.approx(400, rel=0.02)


def test_as_few_repeats_as_do_are_chosen() -> None:
    pilot = _pilot(repeats=3)
    needs = plan_from_pilot(pilot, PlanRequest(difference=0.05)).sample.needs
    plan = plan_from_pilot(pilot, PlanRequest(difference=0.05), n_available=needs[2].n_lines)
    assert (plan.repeats, plan.n_lines) == (3, needs[2].n_lines)
    assert plan_from_pilot(pilot, PlanRequest(difference=0.05, repeats=5)).repeats == 5
    assert plan_from_pilot(pilot, PlanRequest(difference=0.05, line_cost=1000.0)).repeats == 10


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PlanRequest(), "C507"),
        (PlanRequest(difference=0.0), "C507"),
        (PlanRequest(difference=0.1, power=1.0), "C507"),
        (PlanRequest(difference=0.1, metric="scor"), "G901"),
        (PlanRequest(difference=0.1, arm="newer"), "V305"),
        (PlanRequest(difference=0.1, repeats=2), "G965"),
        (PlanRequest(difference=1e-9), "C507"),
        (PlanRequest(difference=1e-99), "C507"),
        (PlanRequest(difference=1e-200), "C507"),
        (PlanRequest(difference=0.1, deviation=1e200), "C507"),
        (PlanRequest(lines=20_000_000), "C507"),
    ],
)
def test_what_cannot_be_planned_is_refused(request_: PlanRequest, code: str) -> None:
    with pytest.raises(UsageError) as error:
        plan_from_pilot(_pilot(), request_)
    assert [problem.code for problem in error.value.problems] == [code]


def test_plans_are_made_from_python() -> None:
    scores = {
        arm: {str(line): float((line * step) % 7 < 4) for line in range(50)}
        for arm, step in (("a", 1), ("b", 3))
    }
    compared = headrace.compare(scores)
    plan = headrace.plan(compared, mde=0.1)
    assert plan.n_lines == headrace.plan(scores, mde=0.1).n_lines
    assert plan.sample.assurance == 0.85
