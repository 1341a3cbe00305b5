from __future__ import annotations

from itertools import combinations
from random import Random

from headrace.evaluation.example_selection import cover, draw, half


def test_the_line_that_most_others_are_like_comes_first_and_then_one_of_another_kind() -> None:
    likeness = [
        [1.0, 0.9, 0.9, 0.0],
        [0.9, 1.0, 0.2, 0.0],
        [0.9, 0.2, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
    assert cover(likeness, ["x"] * 4, 2, among=range(4)) == (0, 3)
    assert cover(likeness, ["x"] * 4, 2, among=(1, 2)) == (1, 2)
    assert cover(likeness, ["x"] * 4, 9, among=range(4)) == (0, 3, 1, 2)
    assert cover(likeness, ["x"] * 4, 1, among=(1, 3), of=(3,)) == (3,)


def test_every_answer_is_shown_before_one_is_shown_twice() -> None:
    likeness = [[1.0 if i == j else 0.5 for j in range(6)] for i in range(6)]
    answers = ["a", "a", "a", "b", "b", "c"]
    chosen = cover(likeness, answers, 4, among=range(6))
    assert {answers[place] for place in chosen[:3]} == {"a", "b", "c"}


def test_greedy_covering_is_within_its_bound_of_the_best() -> None:
    random = Random(1)
    for _ in range(20):
        points = [(random.random(), random.random()) for _ in range(9)]
        likeness = [[1.0 - min(1.0, abs(a - c) + abs(b - d)) for c, d in points] for a, b in points]

        def value(places: tuple[int, ...], likeness: list[list[float]] = likeness) -> float:
            return sum(max(likeness[line][place] for place in places) for line in range(9))

        best = max(value(places) for places in combinations(range(9), 3))
        assert value(cover(likeness, [0] * 9, 3, among=range(9))) >= 0.632 * best


def test_draws_are_the_same_for_the_same_seed_only() -> None:
    places = tuple(range(40))
    assert draw(places, "1", 5) == draw(places, "1", 5) != draw(places, "2", 5)
    assert len(set(draw(places, "1", 5))) == 5
    assert draw((3, 4), "1", 5) in {(3, 4), (4, 3)}
    assert half(places, "1", 5) == half(places, "1", 5) != half(places, "2", 5)
    assert len(half(places, "1", 5)) == 20
    assert len(half(tuple(range(6)), "1", 5)) == 5
