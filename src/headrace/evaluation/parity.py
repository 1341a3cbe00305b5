"""Whether two engines give the same answers, and whether answers that vary differ by more than they vary anyway.

A line on which each side always repeats itself is decided by equality. On the others a difference may be chance: for
them the answers of both sides are compared as samples. The distance of a line is its share of unequal pairs across
the sides, less the mean share of unequal pairs within them (the energy distance of Székely and Rizzo for the metric
"equal or not"); its sum over the lines is judged by permuting the answers of each line between the sides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from headrace.domain.certificate import Answer, Difference, FieldParity, LineAnswers
from headrace.evaluation.stats.multiple import holm

ALPHA = 0.05
DRAWS = 2000
MAX_DIFFERENCES = 10
"""Lines shown per flow."""

_FAILED = "<failed>"


def is_failed(answers: Sequence[Answer]) -> bool:
    """Whether every repeat of a side failed."""
    return all(answer.outputs is None for answer in answers)


def compare_fields(lines: Sequence[LineAnswers], *, seed: int = 0) -> tuple[FieldParity, ...]:
    """Every output over all lines, in order of first appearance; p values are adjusted over the outputs (Holm).

    Lines on which both sides failed every time say nothing about outputs and are left out.

    Args:
        lines: Answers of both sides.
        seed: Of the permutations.
    """
    told = [line for line in lines if not (is_failed(line.ours) and is_failed(line.theirs))]
    names = dict.fromkeys(
        name for line in told for answer in (*line.ours, *line.theirs) for name in answer.outputs or ()
    )
    counted = {name: _count(told, name, seed) for name in names}
    varying = [name for name, (*_, p) in counted.items() if p is not None]
    adjusted = dict(zip(varying, holm([counted[name][3] or 0.0 for name in varying]), strict=True))
    return tuple(_judge(name, counted[name], adjusted.get(name)) for name in names)


def _judge(name: str, counts: tuple[int, int, int, float | None], p: float | None) -> FieldParity:
    n_equal, n_varying, n_different, _ = counts
    is_different = n_different > 0 or (p is not None and p < ALPHA)
    return FieldParity(
        name=name,
        word="different" if is_different else "varies" if n_varying else "equal",
        n_equal=n_equal,
        n_varying=n_varying,
        n_different=n_different,
        p=p,
    )


def _count(lines: Sequence[LineAnswers], name: str, seed: int) -> tuple[int, int, int, float | None]:
    n_equal = n_different = 0
    samples: list[tuple[list[str], list[str]]] = []
    for line in lines:
        ours, theirs = _texts(line.ours, name), _texts(line.theirs, name)
        if len(set(ours)) > 1 or len(set(theirs)) > 1:
            samples.append((ours, theirs))
        elif ours[0] == theirs[0]:
            n_equal += 1
        else:
            n_different += 1
    return n_equal, len(samples), n_different, permutation_p(samples, seed=seed) if samples else None


def _texts(answers: Sequence[Answer], name: str) -> list[str]:
    return [_FAILED if answer.outputs is None else _text(answer.outputs, name) for answer in answers]


def _text(outputs: Mapping[str, Any], name: str) -> str:
    return json.dumps(outputs[name], sort_keys=True, default=str) if name in outputs else ""


def permutation_p(samples: Sequence[tuple[Sequence[str], Sequence[str]]], *, seed: int = 0) -> float:
    """Probability of a distance at least as large as between the samples, were their labels arbitrary.

    Args:
        samples: Per line, the answers of the two sides.
        seed: Of the permutations.
    """
    observed = sum(_distance(ours, theirs) for ours, theirs in samples)
    random = Random(seed)  # noqa: S311 - permutations, not secrets
    n_reached = 0
    for _ in range(DRAWS):
        total = 0.0
        for ours, theirs in samples:
            pool = [*ours, *theirs]
            random.shuffle(pool)
            total += _distance(pool[: len(ours)], pool[len(ours) :])
        n_reached += total >= observed - 1e-12
    return (1 + n_reached) / (1 + DRAWS)


def _distance(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return _unequal(ours, theirs) - (_unequal(ours, ours) + _unequal(theirs, theirs)) / 2


def _unequal(first: Sequence[str], second: Sequence[str]) -> float:
    return sum(one != other for one in first for other in second) / (len(first) * len(second))


def find_differences(lines: Sequence[LineAnswers]) -> tuple[Difference, ...]:
    """The first lines on which the sides differ for certain, or failed: outputs, or the errors."""
    found: list[Difference] = []
    for line in lines:
        ours, theirs = line.ours[0], line.theirs[0]
        if is_failed(line.ours) or is_failed(line.theirs):
            found.append(
                Difference(line_number=line.line_number, field="", ours=_shown(ours), theirs=_shown(theirs))
            )
            continue
        for name in dict.fromkeys((*(ours.outputs or ()), *(theirs.outputs or ()))):
            texts = {*_texts(line.ours, name)}, {*_texts(line.theirs, name)}
            if len(texts[0]) == len(texts[1]) == 1 and texts[0] != texts[1]:
                found.append(
                    Difference(
                        line_number=line.line_number,
                        field=name,
                        ours=(ours.outputs or {}).get(name),
                        theirs=(theirs.outputs or {}).get(name),
                    )
                )
    return tuple(found[:MAX_DIFFERENCES])


def _shown(answer: Answer) -> Any:
    return answer.outputs if answer.outputs is not None else answer.error
