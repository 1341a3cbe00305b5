"""How far the scores that a judge gives can be trusted: with itself, with other judges, and with people.

Coefficients need categories. Scores of graders are compared as the grades 1 to 5; where all labels are 0 or 1, people
and judge are compared as pass and fail, a score of at least 0.5 being a pass. What several repeats or people say about
one answer is averaged and taken as the nearest category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import floor
from statistics import fmean
from typing import TypeAlias

from headrace.domain.comparison import Agreement, JudgeQuality
from headrace.domain.scores import HumanLabel
from headrace.evaluation.stats.agreement import exact_agreement, kappa_of_ratings, krippendorff_alpha
from headrace.evaluation.stats.labelled import MIN_LABELS

GRADE_STEPS = 4
"""Steps between the worst and the best grade: a score is a grade from 0 to 4, over 4."""

AnswerKey: TypeAlias = tuple[str, str]
"""Arm and line id."""

_Ratings: TypeAlias = Mapping[str, Mapping[AnswerKey, float]]
"""Rater to answer to rating."""

_Said: TypeAlias = Mapping[str, Mapping[int, Mapping[AnswerKey, Sequence[float]]]]
"""Judge to repeat to answer to scores, of which there are several where positions were changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What one judge said once about one answer.

    Attributes:
        repeat: Counts from 0.
        position: Where the answer stood when two were compared: first or second; ``None`` otherwise.
        score: From 0 to 1.
    """

    arm: str
    line_id: str
    judge: str
    repeat: int
    position: str | None
    score: float


def measure_judge(
    metric: str,
    *,
    versions: Sequence[str],
    judged: Sequence[Judged],
    scores: Mapping[AnswerKey, float],
    labels: Sequence[HumanLabel],
) -> JudgeQuality:
    """What can be said about the judges of a metric.

    Args:
        metric: Name of the score.
        versions: Of its judges.
        judged: Everything that its judges said; empty where no model gives the score.
        scores: The score of each answer.
        labels: What people say about answers, those of other metrics among them.

    Returns:
        Agreements of what was measured at least twice, and the labels; a note where more labels are needed.
    """
    own = [label for label in labels if label.metric == metric]
    people = {
        person: _averaged((_key(label), label.value) for label in own if label.labeller == person)
        for person in sorted({label.labeller for label in own})
    }
    labelled = _averaged((_key(label), label.value) for label in own)
    n_random = len({_key(label) for label in own if label.is_random})
    said = _by_judge(judged)
    agreements = [
        *_with_itself(said),
        *_between_positions(judged),
        *_between_judges(said),
        *_between_people(people),
        *_with_people(scores, labelled),
    ]
    return JudgeQuality(
        evaluator=metric,
        versions=tuple(versions),
        agreements=tuple(agreements),
        n_labels=len(labelled),
        n_random_labels=n_random,
        note=_note(len(labelled), n_random),
    )


def _key(item: HumanLabel) -> AnswerKey:
    return item.arm, item.line_id


def _averaged(items: Iterable[tuple[AnswerKey, float]]) -> dict[AnswerKey, float]:
    found: dict[AnswerKey, list[float]] = {}
    for key, value in items:
        found.setdefault(key, []).append(value)
    return _means(found)


def _means(found: Mapping[AnswerKey, Sequence[float]]) -> dict[AnswerKey, float]:
    return {key: values[0] if len(values) == 1 else fmean(values) for key, values in found.items()}


def _by_judge(judged: Sequence[Judged]) -> _Said:
    found: dict[str, dict[int, dict[AnswerKey, list[float]]]] = {}
    for item in judged:
        of_repeat = found.setdefault(item.judge, {}).setdefault(item.repeat, {})
        of_repeat.setdefault((item.arm, item.line_id), []).append(item.score)
    return found


def _with_itself(said: _Said) -> Iterator[Agreement]:
    """Test and retest: what a judge says about one answer again, each repeat as a rater."""
    for judge, repeats in said.items():
        if len(repeats) > 1:
            ratings = {f"{judge} #{repeat + 1}": _means(repeats[repeat]) for repeat in sorted(repeats)}
            yield from _agreement("repeats", ratings, _grade)


def _between_positions(judged: Sequence[Judged]) -> Iterator[Agreement]:
    """Whether a judge prefers the same answer when both change places."""
    found: dict[str, dict[str, dict[AnswerKey, float]]] = {}
    for item in judged:
        if item.position is not None:
            places = found.setdefault(item.judge, {"first": {}, "second": {}})
            places[item.position][item.arm, f"{item.line_id}\0{item.repeat}"] = item.score
    for judge, places in found.items():
        ratings = {f"{judge}, {position}": said for position, said in places.items()}
        yield from _agreement("positions", ratings, _grade)


def _between_judges(said: _Said) -> Iterator[Agreement]:
    if len(said) < 2:
        return
    ratings: dict[str, dict[AnswerKey, float]] = {}
    for judge, repeats in said.items():
        scores: dict[AnswerKey, list[float]] = {}
        for of_repeat in repeats.values():
            for key, values in of_repeat.items():
                scores.setdefault(key, []).extend(values)
        ratings[judge] = _means(scores)
    yield from _agreement("judges", ratings, _grade)
    if len(ratings) > 2:
        for one, other in combinations(ratings, 2):
            yield from _agreement("judges", {one: ratings[one], other: ratings[other]}, _grade)


def _between_people(people: _Ratings) -> Iterator[Agreement]:
    if len(people) > 1:
        yield from _agreement("people", people, _categories(people.values()))


def _with_people(
    scores: Mapping[AnswerKey, float], labelled: Mapping[AnswerKey, float]
) -> Iterator[Agreement]:
    if labelled:
        ratings = {"judge": scores, "people": labelled}
        yield from _agreement("judge and people", ratings, _categories([labelled]))


def _categories(ratings: Iterable[Mapping[AnswerKey, float]]) -> Callable[[float], float]:
    is_pass_or_fail = all(value in (0.0, 1.0) for found in ratings for value in found.values())
    return _pass_or_fail if is_pass_or_fail else _grade


def _pass_or_fail(score: float) -> float:
    return float(score >= 0.5)


def _grade(score: float) -> float:
    """The nearest grade, halves upwards, as a score."""
    return floor(score * GRADE_STEPS + 0.5) / GRADE_STEPS


def _agreement(between: str, ratings: _Ratings, category: Callable[[float], float]) -> Iterator[Agreement]:
    """One agreement; nothing where no answer has two ratings."""
    counts = Counter(key for found in ratings.values() for key in found)
    units = [key for key, count in counts.items() if count > 1]
    if not units:
        return
    table = [[category(found[key]) if key in found else None for key in units] for found in ratings.values()]
    kappa = weighted = None
    if len(table) == 2:
        first = [value for value in table[0] if value is not None]
        second = [value for value in table[1] if value is not None]
        kappa = kappa_of_ratings(first, second)
        weighted = kappa_of_ratings(first, second, weights="quadratic")
    is_nominal = len({value for row in table for value in row if value is not None}) <= 2
    yield Agreement(
        between=between,
        raters=tuple(name or "(no name)" for name in ratings),
        n=len(units),
        exact=exact_agreement(table),
        kappa=kappa,
        weighted_kappa=weighted,
        alpha=krippendorff_alpha(table, level="nominal" if is_nominal else "ordinal"),
    )


def _note(n_labels: int, n_random: int) -> str:
    if not n_labels:
        return "No answer has a human label, so nothing says whether the scores are right."
    if n_random < MIN_LABELS:
        return (
            f"{n_random} of {MIN_LABELS} labels of answers drawn at random: too few to correct the scores by."
        )
    return ""
