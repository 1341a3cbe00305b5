"""Which combinations of levels become arms: all of them, or a balanced fraction."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import prod

MAX_ARMS = 1_000
"""More arms than anyone has lines for; counted before any of them is built."""

_MAX_TRIED = 100_000
"""Words of defining relations that are looked at, over all sets of generators; those of most factors come first."""

Cell = tuple[int, ...]
"""For each factor the number of its level, from 0."""

_Word = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraction:
    """How a fraction of all cells is chosen.

    Attributes:
        prime: Levels are counted modulo this number.
        words: The defining relations: for each factor its coefficient; a cell belongs to the fraction where the sum
            of coefficients times levels of every word is zero modulo ``prime``.
        resolution: The fewest factors in any combination of the words.
    """

    prime: int
    words: tuple[_Word, ...]
    resolution: int


def count_cells(sizes: Sequence[int]) -> int:
    """How many combinations there are of factors with so many levels each."""
    return prod(sizes)


def prime_power(number: int) -> tuple[int, int] | None:
    """``(prime, exponent)`` of a number that is a power of one prime; ``None`` of any other."""
    if number < 2:
        return None
    prime = next((item for item in range(2, int(number**0.5) + 1) if number % item == 0), number)
    exponent = 0
    while number % prime == 0:
        number //= prime
        exponent += 1
    return (prime, exponent) if number == 1 else None


def find_fraction(sizes: Sequence[int], denominator: int, seed: int) -> Fraction | None:
    """The fraction ``1/denominator`` of the highest resolution that was found.

    Every level of every factor stands in it equally often, and so does every pair of levels of two factors. Among
    equally good ones the seed decides. A regular fractional factorial design: the last factors are set by sums of the
    others; see Box, Hunter and Hunter (2005), Statistics for Experimenters, 2nd ed., chapter 6; for primes above two
    Wu and Hamada (2009), Experiments, 2nd ed., section 6.4.

    Args:
        sizes: Levels of each factor.
        denominator: A power of a prime.
        seed: Settles ties.

    Returns:
        ``None`` where no such fraction can tell the effects of single factors apart (resolution below 3).
    """
    found = prime_power(denominator)
    if found is None:
        return None
    prime, n_words = found
    usable = [place for place, size in enumerate(sizes) if size % prime == 0]
    if len(usable) <= n_words:
        return None
    basic, generated = usable[:-n_words], usable[-n_words:]
    n_tried = max(1, _MAX_TRIED // prime**n_words)
    best: list[tuple[_Word, ...]] = []
    best_key = (0, 0)
    for sums in islice(combinations(_sums(len(basic), prime), n_words), n_tried):
        words = tuple(
            _word(len(sizes), basic, coefficients, place, prime)
            for coefficients, place in zip(sums, generated, strict=True)
        )
        key = _quality(words, prime)
        if key > best_key:
            best, best_key = [], key
        if key == best_key:
            best.append(words)
    if best_key[0] < 3:
        return None
    words = random.Random(seed).choice(best)  # noqa: S311 (a design, not a secret)
    return Fraction(prime=prime, words=words, resolution=best_key[0])


def cells(sizes: Sequence[int], fraction: Fraction | None = None) -> Iterator[Cell]:
    """The cells in order, the last factor changing fastest; the cell of all first levels comes first."""
    if fraction is None:
        yield from product(*(range(size) for size in sizes))
        return
    yield from _grow((), sizes, fraction)


def _grow(begun: Cell, sizes: Sequence[int], fraction: Fraction) -> Iterator[Cell]:
    """Level by level: a word decides about its last factor, so that no cell is made in vain."""
    place = len(begun)
    if place == len(sizes):
        yield begun
        return
    decided = [word for word in fraction.words if _last(word) == place]
    for level in range(sizes[place]):
        cell = (*begun, level)
        if all(_sum(word, cell) % fraction.prime == 0 for word in decided):
            yield from _grow(cell, sizes, fraction)


def _last(word: _Word) -> int:
    return max(place for place, coefficient in enumerate(word) if coefficient)


def _sum(word: _Word, cell: Cell) -> int:
    return sum(coefficient * level for coefficient, level in zip(word, cell, strict=False))


def _sums(n_basic: int, prime: int) -> list[_Word]:
    """What a generated factor may be the sum of, two others at least: those of most factors first."""
    free = min(n_basic, 10)  # of more, the others always take part
    padded = ((*item, *(1,) * (n_basic - free)) for item in product(range(prime), repeat=free))
    several = [item for item in padded if n_basic - item.count(0) > 1]
    return sorted(several, key=lambda item: item.count(0))


def _word(n: int, basic: Sequence[int], coefficients: _Word, generated: int, prime: int) -> _Word:
    word = [0] * n
    for place, coefficient in zip(basic, coefficients, strict=True):
        word[place] = coefficient
    word[generated] = prime - 1
    return tuple(word)


def _quality(words: Sequence[_Word], prime: int) -> tuple[int, int]:
    """Resolution, and how few words are that short (with a minus sign)."""
    span: list[_Word] = [(0,) * len(words[0])]
    for word in words:
        multiples = [tuple(times * item % prime for item in word) for times in range(1, prime)]
        span += [
            tuple((one + other) % prime for one, other in zip(combined, multiple, strict=True))
            for combined in span
            for multiple in multiples
        ]
    lengths = [len(word) - word.count(0) for word in span[1:]]
    shortest = min(lengths)
    return shortest, -lengths.count(shortest)
