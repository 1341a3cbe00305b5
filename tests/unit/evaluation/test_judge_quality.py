"""What is said about judges: published coefficients, and nothing where nothing was measured."""

from __future__ import annotations

import random

import pytest

from headrace.domain.comparison import Agreement
from headrace.domain.scores import HumanLabel
from headrace.evaluation.judge_quality import Judged, measure_judge

# Cohen's kappa of two raters in a 2 x 2 table 20, 5, 10, 15: 0.40 (statistics-oracles, textbook).
TABLE = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15


def said(judge: str, scores: list[float], *, repeat: int = 0, position: str | None = None) -> list[Judged]:
    return [
        Judged(arm="a", line_id=str(number), judge=judge, repeat=repeat, position=position, score=score)
        for number, score in enumerate(scores)
    ]


def labels_of(values: list[float], *, person: str = "Ada", is_random: bool = True) -> list[HumanLabel]:
    return [
        HumanLabel(metric="q", arm="a", line_id=str(n), value=value, labeller=person, is_random=is_random)
        for n, value in enumerate(values)
    ]


def agreements(judged: list[Judged], labels: list[HumanLabel] | None = None) -> dict[str, Agreement]:
    scores = {(item.arm, item.line_id): item.score for item in judged}
    found = measure_judge("q", versions=("q@1",), judged=judged, scores=scores, labels=labels or [])
    return {item.between: item for item in found.agreements}


def test_repeats_agree_as_two_raters_do() -> None:
    judged = said("m", [a for a, _ in TABLE]) + said("m", [b for _, b in TABLE], repeat=1)
    found = agreements(judged)["repeats"]
    assert found.raters == ("m #1", "m #2")
    assert (found.n, found.exact) == (50, pytest.approx(0.7))
    assert found.kappa == pytest.approx(0.4)
    assert found.weighted_kappa == pytest.approx(0.4)
    # Two raters, 2 values, no gaps: alpha = 1 - (1 - pi)(2n - 1) / 2n with Scott's pi.
    share = 55 / 100
    pi = (0.7 - (share**2 + (1 - share) ** 2)) / (1 - (share**2 + (1 - share) ** 2))
    assert found.alpha == pytest.approx(1 - (1 - pi) * 99 / 100)


def test_a_judge_that_always_prefers_the_first_place_has_no_position_consistency() -> None:
    rng = random.Random(1)
    winners = [rng.choice((0.0, 1.0)) for _ in range(40)]
    honest = said("m", winners, position="first") + said("m", winners, position="second")
    assert agreements(honest)["positions"].exact == 1.0
    biased = said("m", [1.0] * 40, position="first") + said("m", [0.0] * 40, position="second")
    assert agreements(biased)["positions"].exact == 0.0
    assert "repeats" not in agreements(biased)


def test_judges_of_a_panel_are_compared_all_together_and_in_pairs() -> None:
    judged = (
        said("x", [0.0, 0.5, 1.0, 1.0]) + said("y", [0.0, 0.5, 1.0, 0.75]) + said("z", [0.0, 0.5, 1.0, 0.75])
    )
    found = measure_judge("q", versions=(), judged=judged, scores={}, labels=[]).agreements
    assert [(item.between, item.raters) for item in found] == [
        ("judges", ("x", "y", "z")),
        ("judges", ("x", "y")),
        ("judges", ("x", "z")),
        ("judges", ("y", "z")),
    ]
    assert found[0].kappa is None
    assert found[0].alpha is not None
    assert found[0].alpha < 1.0
    assert found[3].kappa == found[3].alpha == 1.0


def test_people_are_compared_with_each_other_and_with_the_judge() -> None:
    judge = said("m", [0.0, 0.25, 1.0, 0.75, 0.5])
    people = labels_of([0.0, 0.0, 1.0, 1.0, 0.0]) + labels_of([0.0, 0.0, 1.0], person="Bo")
    found = agreements(judge, people)
    assert found["people"].raters == ("Ada", "Bo")
    assert (found["people"].n, found["people"].exact) == (3, 1.0)
    # Pass and fail: the judge passes lines 2, 3 and 4, people 2 and 3.
    assert found["judge and people"].n == 5
    assert found["judge and people"].exact == pytest.approx(0.8)
    graded = agreements(judge, labels_of([0.0, 0.25, 1.0, 0.75, 0.25]))["judge and people"]
    assert graded.exact == pytest.approx(0.8)
    assert graded.weighted_kappa is not None
    assert graded.kappa is not None
    assert graded.weighted_kappa > graded.kappa


@pytest.mark.parametrize(
    ("labels", "counts", "note"),
    [
        ([], (0, 0), "No answer has a human label"),
        (labels_of([1.0] * 49), (49, 49), "49 of 50 labels"),
        (labels_of([1.0] * 60, is_random=False), (60, 0), "0 of 50 labels"),
        (labels_of([1.0] * 50), (50, 50), ""),
        (labels_of([1.0] * 50) + labels_of([0.0] * 50, person="Bo"), (50, 50), ""),
    ],
)
def test_labels_are_counted_by_answers_and_too_few_are_said(
    labels: list[HumanLabel], counts: tuple[int, int], note: str
) -> None:
    found = measure_judge("q", versions=(), judged=[], scores={}, labels=labels)
    assert (found.n_labels, found.n_random_labels) == counts
    assert found.note.startswith(note)
    assert bool(found.note) == bool(note)


def test_labels_of_other_metrics_and_of_answers_without_a_score_compare_nothing() -> None:
    other = [HumanLabel(metric="other", arm="a", line_id="0", value=1.0)]
    found = measure_judge("q", versions=(), judged=[], scores={("a", "0"): 1.0}, labels=other)
    assert (found.agreements, found.n_labels) == ((), 0)
    found = measure_judge("q", versions=(), judged=[], scores={}, labels=labels_of([1.0]))
    assert found.agreements == ()


def test_the_same_rating_throughout_has_no_coefficients() -> None:
    judged = said("m", [1.0] * 5) + said("m", [1.0] * 5, repeat=1)
    found = agreements(judged)["repeats"]
    assert (found.exact, found.kappa, found.weighted_kappa, found.alpha) == (1.0, None, None, None)
