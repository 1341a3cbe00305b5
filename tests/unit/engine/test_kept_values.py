"""Outputs of nodes that are kept: read back as they were, types included, or not kept at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.images import RED

from headrace.domain.multimedia import Image, Text
from headrace.engine.kept_values import read_kept, write_kept

IMAGES = st.builds(
    Image,
    st.binary(max_size=40),
    st.sampled_from(["image/png", "image/x-icon", None]),
    st.sampled_from([None, "https://example.com/a.png"]),
)
TEXTS = st.builds(Text, st.text(max_size=10), st.sampled_from([None, [], [{"type": "cite", "at": [1, 2]}]]))
NAMES = st.one_of(
    st.sampled_from(["", "media", "value", "list", "dict", "image", "text"]), st.text(max_size=3)
)
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
VALUES = st.recursive(
    st.one_of(PLAIN, IMAGES, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


def told(value: Any) -> Any:
    """Everything about a value that Python's own comparison does not look at."""
    if isinstance(value, (Image, Text)):
        return (
            type(value),
            bytes(value) if isinstance(value, Image) else str(value),
            value.fingerprint_form(),
        )
    if type(value) is list:
        return [told(item) for item in value]
    if type(value) is dict:
        return [(key, told(item)) for key, item in value.items()]
    return (type(value), value)


@given(VALUES)
def test_what_is_kept_reads_back_as_it_was(value: Any) -> None:
    text = write_kept(value)
    assert text is not None
    assert text.isascii()
    assert told(read_kept(text)) == told(value)


@given(PLAIN)
def test_plain_data_is_plain_json(value: Any) -> None:
    text = write_kept(value)
    assert text is not None
    if type(value) is not dict or next(iter(value), None) != "":
        assert json.loads(text) == value


def test_a_mapping_that_looks_like_kept_media_reads_back() -> None:
    for value in ({"": "media", "value": {"list": []}}, {"": "media", "value": 1, "more": Image(RED)}):
        text = write_kept(value)
        assert text is not None
        assert read_kept(text) == value


def test_an_image_keeps_its_type_and_address() -> None:
    text = write_kept(
        {"shown": [Image(RED, "image/png", "https://example.com/a.png"), "and", Text("a", [1])]}
    )
    assert text is not None
    image, word, note = read_kept(text)["shown"]
    assert (type(image), image, image.media_type, image.source_url) == (
        Image,
        RED,
        "image/png",
        "https://example.com/a.png",
    )
    assert (word, type(note), note.fingerprint_form()) == ("and", Text, ["a", [1]])


class Words(str):
    """A text that is more than a text."""

    __slots__ = ()


class Photo(Image):
    """An image that is more than an image."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        (1,),
        {1: "a"},
        Words("a"),
        Photo(RED),
        [{"a": {1}}],
        [Image(RED), {1}],
        Text("a", [object()]),
        b"a",
        10**5000,
        nested(100_000),
        [nested(100_000), Image(RED)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_read_back_is_not_kept(value: Any) -> None:
    assert write_kept(value) is None


def test_numbers_that_json_has_not_read_back() -> None:
    text = write_kept({"a": [1, 2.5, None, True, "é\ud800", float("nan"), {}]})
    assert text is not None
    assert repr(read_kept(text)) == repr({"a": [1, 2.5, None, True, "é\ud800", float("nan"), {}]})
