"""Images and texts as objects, and as they stand in results."""

from __future__ import annotations

import copy
import json
from base64 import b64encode

import pytest
from tests.support.images import BLUE, RED

from headrace.domain.multimedia import (
    BASIC,
    VISION,
    Image,
    MediaForm,
    Text,
    file_form,
    find_images,
    inline_media,
    media_form,
    replace_media,
)

RED_64 = b64encode(RED).decode()
ADDRESS = "https://example.org/red.png"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (RED, "image/png"),
        (RED[:33] + b"\x00\x00\x00\x08acTL", "image/apng"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/*"),
        (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
        (b"II*\x00", "image/*"),
        (b"\x00\x00\x01\x00", "image/x-icon"),
        (b"8BPS", "image/vnd.adobe.photoshop"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00heicmif1", "image/heic"),
        (b"<svg/>", "image/*"),
        (b"", "image/*"),
    ],
)
def test_the_media_type_is_told_from_the_first_bytes(content: bytes, media_type: str) -> None:
    assert Image(content).media_type == media_type


def test_an_image_is_its_bytes_and_prints_as_their_digest() -> None:
    image = Image(RED, "image/PNG", ADDRESS)
    assert image == RED
    assert str(image) == repr(image) == f"{image}" == "Image(2732f12a)"
    assert image.media_type == "image/png"
    assert image.source_url == ADDRESS
    assert image.to_base64() == RED_64
    assert image.to_base64(with_type=True) == f"data:image/png;base64,{RED_64}"
    assert image.serialize() == "Image(2732f12a)"
    assert image.serialize(lambda one: one.media_type) == "image/png"


def test_copies_keep_what_an_image_knows() -> None:
    image = copy.deepcopy(Image(RED, "image/x", ADDRESS))
    assert (type(image), image, image.media_type, image.source_url) == (Image, RED, "image/x", ADDRESS)


@pytest.mark.parametrize(
    ("data", "text", "again"),
    [
        ({"type": "text", "text": "a"}, Text("a"), {"type": "text", "text": "a"}),
        (
            {"type": "text", "text": {"value": "a", "annotations": [1]}},
            Text("a", annotations=[1]),
            {"type": "text", "text": {"value": "a", "annotations": [1]}},
        ),
        (
            {"type": "text", "text": {"value": "a"}},
            Text("a"),
            {"type": "text", "text": {"value": "a", "annotations": []}},
        ),
    ],
)
def test_a_text_is_read_and_written_as_an_item_of_a_message(
    data: dict[str, object], text: Text, again: dict[str, object]
) -> None:
    read = Text.deserialize(data)
    assert (type(read), read) == (Text, text)
    assert read.serialize() == again


@pytest.mark.parametrize(
    ("value", "message_format", "form"),
    [
        (Image(RED), BASIC, {"data:image/png;base64": RED_64}),
        (Image(RED, "image/*"), BASIC, {"data:image/*;base64": RED_64}),
        (Image(RED, None, ADDRESS), BASIC, {"data:image/png;url": ADDRESS}),
        (
            Image(RED),
            VISION,
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED_64}"}},
        ),
        (Image(RED, None, ADDRESS), VISION, {"type": "image_url", "image_url": {"url": ADDRESS}}),
        (Text("a"), VISION, {"type": "text", "text": "a"}),
        (Text("a"), BASIC, "a"),
    ],
)
def test_in_results_a_value_is_the_mapping_of_the_message_format(
    value: Image | Text, message_format: str, form: object
) -> None:
    found = media_form(value, message_format)
    assert found == form
    assert json.loads(json.dumps(found)) == form
    assert getattr(found, "value", value) is value


def test_files_stand_in_results_by_their_path() -> None:
    assert file_form(Image(RED), "a/b.png", BASIC) == {"data:image/png;path": "a/b.png"}
    assert file_form(Image(RED), "b.png", VISION) == {"type": "image_file", "image_file": {"path": "b.png"}}


def test_only_forms_are_replaced_and_the_data_is_not_touched() -> None:
    raw = {"data:image/png;base64": RED_64}
    data = {"a": [media_form(Image(RED), BASIC), "text", 1], "b": raw}
    assert replace_media(data, lambda form: form.value) == {"a": [RED, "text", 1], "b": raw}
    assert isinstance(data["a"][0], MediaForm)


@pytest.mark.parametrize("message_format", [BASIC, VISION])
def test_an_http_answer_holds_every_image_in_base64_and_texts_as_text(message_format: str) -> None:
    data = {
        "image": media_form(Image(RED, None, ADDRESS), message_format),
        "text": media_form(Text("a", annotations=[1]), message_format),
    }
    inline = media_form(Image(RED), message_format)
    assert inline_media(data, message_format) == {"image": inline, "text": "a"}


def test_images_are_found_wherever_they_are() -> None:
    value = {"a": [Image(RED), "x", {"b": (Image(BLUE),)}], "c": b"bytes", "d": Image(RED)}
    assert find_images(value) == [RED, BLUE, RED]
