from __future__ import annotations

from random import Random

import pytest

from headrace.domain.race import RaceSpec
from headrace.domain.scores import LineObservation, MetricSpec
from headrace.evaluation.race import Field, draw_order, find_standing, order_digest, score_line, settle_batch
from headrace.evaluation.stats.betting import mean_log_e
from headrace.evaluation.stats.racing import (
    Tally,
    ballot_p,
    lead_p,
    lead_spread,
    race,
    sequential_mcnemar_log_e,
)

HIGHER = MetricSpec(name="m")
LOWER = MetricSpec(name="m", direction="lower")


def observed(value: float | None, *, is_failed: bool = False) -> LineObservation:
    return LineObservation(scores={"m": value}, is_failed=is_failed)


def test_the_order_is_the_same_everywhere_and_another_for_another_seed() -> None:
    assert draw_order(8, 0) == (7, 4, 3, 2, 6, 0, 5, 1)
    assert draw_order(50, 1) != draw_order(50, 2)
    assert order_digest(draw_order(50, 1)) == order_digest(draw_order(50, 1))
    assert order_digest((0, 1)) != order_digest((1, 0))


@pytest.mark.parametrize(
    ("observations", "metric", "score_range", "expected"),
    [
        ([observed(0.75)], HIGHER, None, 0.75),
        ([observed(0.75)], LOWER, None, 0.25),
        ([observed(0.9, is_failed=True)], HIGHER, None, 0.0),
        ([observed(0.9, is_failed=True)], LOWER, None, 0.0),
        ([observed(7.0)], LOWER, 10.0, -7.0),
        ([observed(7.0, is_failed=True)], HIGHER, 10.0, None),
        ([observed(None)], HIGHER, None, None),
        ([observed(1.0), observed(0.0)], HIGHER, None, 0.5),
        ([observed(1.0), observed(None)], HIGHER, None, None),
        ([], HIGHER, None, None),
    ],
)
def test_what_a_line_counts(
    observations: list[LineObservation], metric: MetricSpec, score_range: float | None, expected: float | None
) -> None:
    assert score_line(observations, metric, score_range) == expected


def test_a_block_is_decided_once_every_arm_has_done_all_of_it() -> None:
    field = Field(spec=RaceSpec(batch=20), arms=("a", "b"), order=tuple(range(60)))
    good = dict.fromkeys(range(20), 1.0)
    bad = dict.fromkeys(range(19), 0.0)
    standing = find_standing(field, {"a": good, "b": bad})
    assert (standing.blocks, standing.next_lines) == (0, tuple(range(20)))
    standing = find_standing(field, {"a": good, "b": {**bad, 19: 0.0}})
    assert (standing.blocks, standing.alive, standing.leader, standing.is_over) == (1, ("a",), "a", True)
    assert standing.drops["b"].deficit == 20
    assert standing.drops["b"].ahead == "a"


def test_a_line_without_a_score_of_one_arm_counts_for_none() -> None:
    field = Field(spec=RaceSpec(batch=20), arms=("a", "b"), order=tuple(range(60)))
    scores = dict.fromkeys(range(20), 1.0)
    standing = find_standing(field, {"a": scores, "b": {**scores, 3: None}})
    assert standing.left_out == (3,)
    assert standing.alive == ("a", "b")


def test_the_standing_is_that_of_the_replay() -> None:
    random = Random(3)
    for _ in range(20):
        matrix = [[float(random.random() < rate) for _ in range(100)] for rate in (0.5, 0.6, 0.8)]
        order = draw_order(100, random.randrange(1000))
        field = Field(spec=RaceSpec(batch=10), arms=("a", "b", "c"), order=order)
        scores = {arm: dict(enumerate(row)) for arm, row in zip("abc", matrix, strict=True)}
        found = {arm: drop.n_lines for arm, drop in find_standing(field, scores).drops.items()}
        replay = race(matrix, order, batch=10)
        assert found == {"abc"[arm]: n for arm, n in replay.dropped_at.items() if n < 100}


@pytest.mark.parametrize(
    ("n_at_once", "n_lines", "batch"),
    [(64, 50, 10), (64, 200, 10), (64, 500, 25), (64, 5000, 64), (4, 500, 10)],
)
def test_blocks_are_a_twentieth_of_the_lines(n_at_once: int, n_lines: int, batch: int) -> None:
    assert settle_batch(RaceSpec(), n_at_once, n_lines).batch == batch
    assert settle_batch(RaceSpec(batch=3), n_at_once, n_lines).batch == 3


def test_the_lead_rule_follows_the_ballot_theorem() -> None:
    # Looks after every line of many: the approximation is near the exact chance.
    for lead in (5, 8, 12):
        spread = 100.0
        assert lead_p(lead, spread, batch=1, n_lines=10_000) == pytest.approx(ballot_p(lead, 100), rel=0.12)
    assert lead_p(0.0, 10.0, batch=1, n_lines=10) == 1.0
    assert lead_spread(6.0, 18, 200) == pytest.approx(8.0 * 200 / 20)


def test_evidence_grows_with_losses_and_is_finite_for_thousands_of_wins() -> None:
    assert sequential_mcnemar_log_e(0, 9) > sequential_mcnemar_log_e(1, 9) > sequential_mcnemar_log_e(5, 9)
    assert -1e5 < sequential_mcnemar_log_e(5000, 0) < 0
    assert mean_log_e([1.0] * 20) > 3.0 > mean_log_e([1.0, -1.0] * 20)


def test_evidence_that_is_kept_between_looks_is_that_of_all_lines() -> None:
    random = Random(7)
    tally, leads = Tally(2, keeps_lines=True), []
    for line in range(1, 61):
        scores = {0: random.random(), 1: random.random()}
        tally.add(scores)
        leads.append(scores[1] - scores[0])
        if line % 20 == 0:
            assert tally.log_e(0, 1, 1.0) == pytest.approx(mean_log_e(leads), rel=1e-12)


def test_a_race_needs_arms_with_the_same_lines() -> None:
    with pytest.raises(ValueError, match="same lines"):
        race([[1.0], [1.0, 0.0]])
