"""The hashed n-gram vectors: deterministic, of length one, near where texts share words or spelling."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.providers.baseline import embed


def cosine(first: str, second: str) -> float:
    one, two = embed([first, second])
    return math.fsum(a * b for a, b in zip(one, two, strict=True))


@given(texts=st.lists(st.text("abé 1.…ß", max_size=40), max_size=4), dimensions=st.integers(1, 64))
def test_vectors_have_the_length_asked_for_and_norm_one(texts: list[str], dimensions: int) -> None:
    vectors = embed(texts, dimensions)
    assert len(vectors) == len(texts)
    assert embed(texts, dimensions) == vectors
    for vector in vectors:
        norm = math.fsum(value * value for value in vector)
        assert len(vector) == dimensions
        assert norm == pytest.approx(1.0) or not any(vector)


def test_default_dimensions_and_a_text_without_words() -> None:
    (vector,) = embed(["…"])
    assert vector == [0.0] * 256


def test_values_are_the_same_on_every_machine() -> None:
    (vector,) = embed(["retry"], 8)
    assert [round(value, 6) for value in vector] == RETRY


def test_near_texts_are_near() -> None:
    near = cosine("the retries of a failing node", "a node that fails is retried")
    spelled = cosine("configuration file", "configuraton files")
    far = cosine("the retries of a failing node", "invoices are paid by card")
    assert near > 0.3 > far
    assert spelled > 0.5


def test_at_least_one_dimension() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        embed(["a"], 0)


RETRY = [0.0, -0.303354, -0.606709, 0.0, -0.513624, 0.303354, -0.303354, 0.303354]
