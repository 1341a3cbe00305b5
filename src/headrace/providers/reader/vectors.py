"""Similarity of short texts, and hashed n-gram vectors. Counting, not learning: nothing here is neural."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from headrace.providers.reader.words import content_stems, inverse_document_frequency, words

_GRAM_LENGTH = 4
# Weight of the words' cosine in the mixed similarity; the rest is the character n-grams'.
_WORD_SHARE = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Index:
    """The unit-length tf-idf vectors of some texts, with the term weights that made them."""

    weights: Mapping[str, float]
    unseen: float
    vectors: tuple[Mapping[str, float], ...]


@lru_cache(maxsize=8192)
def _word_counts(text: str) -> Counter[str]:
    return Counter(content_stems(text))


@lru_cache(maxsize=8192)
def _gram_counts(text: str) -> Counter[str]:
    return Counter(_grams(words(text), _GRAM_LENGTH))


def _grams(found: Iterable[str], length: int) -> list[str]:
    padded = " " + " ".join(found) + " "
    return [padded[start : start + length] for start in range(max(1, len(padded) - length + 1))]


# A batch sends the same examples with every line: their vectors are made once.
@lru_cache(maxsize=128)
def _word_index(texts: tuple[str, ...]) -> _Index:
    return _index([_word_counts(text) for text in texts])


@lru_cache(maxsize=128)
def _gram_index(texts: tuple[str, ...]) -> _Index:
    return _index([_gram_counts(text) for text in texts])


def _index(counts: Sequence[Counter[str]]) -> _Index:
    weights = inverse_document_frequency(counts)
    unseen = math.log(1 + len(counts))
    return _Index(
        weights=weights,
        unseen=unseen,
        vectors=tuple(_unit_vector(count, weights, unseen) for count in counts),
    )


def _unit_vector(counts: Counter[str], weights: Mapping[str, float], unseen: float) -> dict[str, float]:
    vector = {term: (1 + math.log(count)) * weights.get(term, unseen) for term, count in counts.items()}
    length = _length(vector.values())
    return {term: value / length for term, value in vector.items()} if length else {}


def _length(values: Iterable[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values))


def _cosines(counts: Counter[str], index: _Index) -> list[float]:
    vector = _unit_vector(counts, index.weights, index.unseen)
    return [
        sum(value * other[term] for term, value in vector.items() if term in other) for other in index.vectors
    ]


def word_similarities(text: str, others: Sequence[str]) -> list[float]:
    """Cosine of tf-idf vectors of word stems between one text and each other text, each 0 to 1."""
    return _cosines(_word_counts(text), _word_index(tuple(others)))


def similarities(text: str, others: Sequence[str]) -> list[float]:
    """Mixed similarity of one text with each other text, each 0 to 1.

    The weighted mean of two cosines of tf-idf vectors: word stems, and character 4-grams, which
    forgive misspelling and inflection. Document frequencies come from the other texts; a term that
    none of them holds weighs as much as one that a single text holds.
    """
    by_word = word_similarities(text, others)
    by_gram = _cosines(_gram_counts(text), _gram_index(tuple(others)))
    return [
        _WORD_SHARE * word + (1 - _WORD_SHARE) * gram for word, gram in zip(by_word, by_gram, strict=True)
    ]


def embed(texts: Sequence[str], dimensions: int = 256) -> list[list[float]]:
    """Hashed n-gram vectors of texts: deterministic, not neural, equal on every machine.

    Word stems (weight 2) and character 3- to 5-grams (weight 1) are hashed with CRC-32 into
    `dimensions` buckets with a sign (the hashing trick), then the vector is scaled to length 1.
    Texts that share words or spellings lie close; meaning beyond spelling is not represented.

    Args:
        texts: any number of texts; a text without any word gives the zero vector.
        dimensions: length of every vector, at least 1.

    Returns:
        One vector of `dimensions` floats per text, in order.

    Raises:
        ValueError: `dimensions` is less than 1.
    """
    if dimensions < 1:
        message = f"dimensions must be at least 1, not {dimensions}"
        raise ValueError(message)
    return [_embedded(text, dimensions) for text in texts]


def _embedded(text: str, dimensions: int) -> list[float]:
    found = words(text)
    vector = [0.0] * dimensions
    if not found:
        return vector
    counts: Counter[str] = Counter()
    for term, count in _word_counts(text).items():
        counts["w" + term] += 2 * count
    for length in (3, 4, 5):
        counts.update("c" + gram for gram in _grams(found, length))
    for key, count in counts.items():
        digest = zlib.crc32(key.encode("utf-8"))
        sign = 1.0 if digest & 0x80000000 else -1.0
        vector[(digest & 0x7FFFFFFF) % dimensions] += sign * (1 + math.log(count))
    norm = _length(vector)
    return [value / norm for value in vector] if norm else vector
