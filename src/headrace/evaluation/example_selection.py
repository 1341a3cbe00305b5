"""Which lines to show as examples: those that stand for most others, those that go wrong, or any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from random import Random

Likeness = Sequence[Sequence[float]]
"""How alike any two lines are, from 0 to 1; as many rows as columns."""


def cover(
    likeness: Likeness,
    answers: Sequence[Hashable],
    n: int,
    *,
    among: Sequence[int],
    of: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The ``n`` lines that all others are most alike to, so that they are typical and differ from each other.

    Greedy facility location: each line that is added is the one that raises the sum over all lines of their likeness
    to the nearest chosen line most. Answers that few chosen lines have come first, so that every answer of a
    classification is shown before one is shown twice.

    Args:
        likeness: Of all lines.
        answers: The answer of each line.
        n: How many are chosen; fewer where there are no more.
        among: Places of the lines that can be chosen.
        of: Places of the lines that are to be stood for; ``None`` for ``among``.

    Returns:
        Places, in the order of choice; the first of equal ones is taken.

    Source: Nemhauser, Wolsey and Fisher (1978), Mathematical Programming 14:265: within 1 - 1/e of the best sum.
    """
    wanted = among if of is None else of
    nearest = dict.fromkeys(wanted, 0.0)
    shown: Counter[Hashable] = Counter()
    chosen: list[int] = []
    left = list(among)
    while left and len(chosen) < n:
        fewest = min(shown[answers[place]] for place in left)
        offered = [place for place in left if shown[answers[place]] == fewest]
        best = max(
            offered,
            key=lambda place: sum(max(0.0, likeness[line][place] - nearest[line]) for line in wanted),
        )
        chosen.append(best)
        left.remove(best)
        shown[answers[best]] += 1
        for line in wanted:
            nearest[line] = max(nearest[line], likeness[line][best])
    return tuple(chosen)


def half(places: Sequence[int], seed: str, at_least: int) -> tuple[int, ...]:
    """A random half of some places, in their order; more where a half has fewer than ``at_least``."""
    random = Random(seed)  # noqa: S311 - reproducible draws, not a secret
    size = min(len(places), max(at_least, (len(places) + 1) // 2))
    return tuple(sorted(random.sample(list(places), size)))


def draw(places: Sequence[int], seed: str, n: int) -> tuple[int, ...]:
    """``n`` random places, in the order in which they are drawn; all where there are fewer."""
    random = Random(seed)  # noqa: S311 - reproducible draws, not a secret
    return tuple(random.sample(list(places), min(n, len(places))))
