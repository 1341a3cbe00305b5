from __future__ import annotations

from math import sqrt
from random import Random

import pytest
from tests.unit.evaluation.builders import an_arm, in_clusters

from headrace.domain.scores import MetricSpec
from headrace.evaluation.sample_size import (
    Pilot,
    detectable_difference,
    lines_needed,
    measure_pilot,
    plan_sample,
)

ACCURACY = MetricSpec(name="accuracy")


def _grades(random: Random, n: int, repeats: int) -> list[list[float]]:
    levels = [random.uniform(0.3, 0.7) for _ in range(n)]
    return [[level + random.uniform(-0.2, 0.2) for _ in range(repeats)] for level in levels]


def test_a_yes_or_no_pilot_is_read_by_its_disagreements() -> None:
    pilot = measure_pilot(
        [an_arm("old", [1.0] * 60 + [0.0] * 40), an_arm("new", [0.0] * 10 + [1.0] * 70 + [0.0] * 20)],
        ACCURACY, "new", "old", {},
    )  # fmt: skip
    assert pilot is not None
    assert (pilot.n_discordant, pilot.discordance, pilot.within_lines) == (30, 0.3, None)
    # Connor (1987) with psi = 0.3, delta = 0.1: ((1.95996 sqrt(.3) + .84162 sqrt(.3 - .01)) / .1)^2 = 233.1.
    assert lines_needed(pilot, 0.1) == 234
    assert lines_needed(pilot, 0.1, assurance=0.8) > 234


def test_variances_over_lines_and_repeats_are_told_apart() -> None:
    random = Random(3)
    pilot = measure_pilot(
        [an_arm("old", _grades(random, 400, 4)), an_arm("new", _grades(random, 400, 4))],
        ACCURACY, "new", "old", {},
    )  # fmt: skip
    assert pilot is not None
    within = 2 * 0.4**2 / 12  # two arms with uniform noise of width 0.4
    assert pilot.within_lines == pytest.approx(within, rel=0.1)
    assert pilot.between_lines == pytest.approx(within, rel=0.2)  # two levels, uniform over as much
    assert pilot.variance_at(1, None) == pytest.approx(2 * within, rel=0.15)
    assert pilot.variance_at(10, None) < pilot.variance_at(4, None) < pilot.variance_at(1, None)
    plan = plan_sample(pilot, 0.02, line_cost=8.0)
    assert [item.repeats for item in plan.needs] == list(range(1, 11))
    assert plan.needs[0].n_lines > plan.needs[9].n_lines > plan.needs[0].n_lines / 2.5
    assert plan.needs[0].n_answers < plan.needs[9].n_answers
    assert plan.best_repeats == pytest.approx(sqrt(pilot.within_lines * 8.0 / (pilot.between_lines * 2.0)))
    assert plan.noise_floor[100] == pytest.approx(1.96 * sqrt(within / 100), rel=0.1)


def test_lines_of_one_cluster_count_for_less() -> None:
    old, new = [1.0, 1.0, 0.0, 0.0] * 25, [1.0, 1.0, 1.0, 1.0] * 10 + [0.0, 0.0, 0.0, 0.0] * 15
    arms = [an_arm("old", old), an_arm("new", new)]
    alone = measure_pilot(arms, ACCURACY, "new", "old", {})
    pairs = measure_pilot(
        arms, ACCURACY, "new", "old", in_clusters([f"cluster-{number // 2}" for number in range(100)])
    )
    assert alone is not None
    assert pairs is not None
    assert alone.design_effect == 1.0
    assert pairs.design_effect == pytest.approx(2.0, abs=0.1)  # twins bring nothing
    assert lines_needed(pairs, 0.1) == pytest.approx(2 * lines_needed(alone, 0.1), rel=0.1)
    assert detectable_difference(pairs, 200) == pytest.approx(detectable_difference(alone, 100), rel=0.05)


@pytest.mark.parametrize(
    "pilot",
    [
        Pilot(n_lines=0, variance=0.25, discordance=0.25),
        Pilot(n_lines=0, variance=0.09),
        Pilot(n_lines=50, variance=0.09),
    ],
)
@pytest.mark.parametrize("difference", [0.02, 0.05, 0.1])
def test_the_lines_of_a_plan_find_its_difference(pilot: Pilot, difference: float) -> None:
    plan = plan_sample(pilot, difference)
    n = plan.needs[0].n_lines
    found = detectable_difference(pilot, n, assurance=plan.assurance)
    assert found == pytest.approx(difference, rel=0.03)
    assert plan.assurance == (None if not pilot.n_lines else 0.9)


def test_a_pilot_of_arms_that_agree_still_leaves_doubt() -> None:
    same = [0.5] * 40
    pilot = measure_pilot([an_arm("old", same), an_arm("new", same)], ACCURACY, "new", "old", {})
    assert pilot is not None
    assert pilot.variance > 0.0
    assert lines_needed(pilot, 0.05, assurance=0.9) > 40


def test_too_few_lines_are_no_pilot() -> None:
    assert measure_pilot([an_arm("old", [1.0]), an_arm("new", [0.0])], ACCURACY, "new", "old", {}) is None
    with pytest.raises(ValueError, match="above zero"):
        lines_needed(Pilot(n_lines=0, variance=0.1), 0.0)
