"""What projects call of promptflow's multimedia module; the expected values are stock's."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import RED, write_files

from headrace.compat.exceptions import ValidationException
from headrace.compat.multimedia import (
    BasicMultimediaProcessor,
    ImageProcessor,
    MultimediaProcessor,
    OpenaiVisionMultimediaProcessor,
    load_multimedia_data_recursively,
    persist_multimedia_data,
    resolve_multimedia_data_recursively,
)
from headrace.domain.multimedia import Image

RED_64 = b64encode(RED).decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_files(tmp_path, {"red.png": RED}))
    return tmp_path


def test_the_names_are_served(served_names: None) -> None:
    del served_names
    from promptflow._utils.multimedia_utils import ImageProcessor as Served  # noqa: PLC0415
    from promptflow.contracts.multimedia import Text  # noqa: PLC0415

    assert Served is ImageProcessor
    assert Text("a").serialize() == {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    "image",
    [
        lambda: ImageProcessor.create_image_from_file(Path("red.png")),
        lambda: ImageProcessor.create_image_from_file(Path("red.png"), mime_type="image/png"),
        lambda: ImageProcessor.create_image_from_base64(f"data:image/gif;base64,{RED_64}"),
        lambda: ImageProcessor.create_image_from_string("red.png"),
        lambda: ImageProcessor.create_image_from_string(RED_64),
        lambda: MultimediaProcessor.create().create_image({"data:image/png;path": "red.png"}),
    ],
)
def test_images_are_made(folder: Path, image: Any) -> None:
    assert (image(), image().media_type) == (RED, "image/png")


@pytest.mark.parametrize(
    "call",
    [
        lambda: ImageProcessor.create_image_from_base64("@@"),
        lambda: ImageProcessor.create_image_from_string(""),
        lambda: ImageProcessor.create_image_from_url("http://127.0.0.1/a.png"),
        lambda: MultimediaProcessor.create("openai-vision").create_image({"data:image/png;path": "red.png"}),
        lambda: load_multimedia_data_recursively([{"data:image/png;path": "none.png"}]),
    ],
)
def test_what_is_no_image_raises_promptflows_exception(folder: Path, call: Any) -> None:
    with pytest.raises(ValidationException) as caught:
        call()
    assert type(caught.value).__name__ == "InvalidImageInput"


def test_small_questions() -> None:
    assert ImageProcessor.is_base64(RED_64)
    assert not ImageProcessor.is_base64("abc")
    assert ImageProcessor.is_url("https://example.org/a.png")
    assert not ImageProcessor.is_url("a.png")
    assert ImageProcessor.get_extension_from_mime_type("image/png") == "png"
    assert ImageProcessor.get_extension_from_mime_type("image/*") is None
    assert ImageProcessor.get_multimedia_info("data:image/png;path") == ("png", "path")
    assert ImageProcessor.get_multimedia_info("zz") == (None, None)


@pytest.mark.parametrize(
    ("processor", "inline", "file"),
    [
        (
            BasicMultimediaProcessor(),
            {"data:image/png;base64": RED_64},
            lambda path: {"data:image/png;path": path},
        ),
        (
            OpenaiVisionMultimediaProcessor(),
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED_64}"}},
            lambda path: {"type": "image_file", "image_file": {"path": path}},
        ),
    ],
)
def test_data_goes_back_and_forth(
    folder: Path, processor: MultimediaProcessor, inline: dict[str, Any], file: Any
) -> None:
    data = {"a": [Image(RED), "t"]}
    assert processor.convert_multimedia_data_to_base64_dict(data) == {"a": [inline, "t"]}
    assert processor.convert_multimedia_data_to_string(data) == {"a": ["Image(2732f12a)", "t"]}
    assert processor.load_multimedia_data_recursively({"a": [inline, "t"]}) == data
    assert processor.is_multimedia_dict(inline)
    saved = processor.persist_multimedia_data(data, folder, Path("images"))
    (path,) = (folder / "images").iterdir()
    assert saved == {"a": [file(f"images/{path.name}"), "t"]}
    assert persist_multimedia_data(data, folder, Path("images"), True, processor) == {
        "a": [file(str(path)), "t"]
    }
    assert processor.resolve_multimedia_data_recursively(folder, saved) == {"a": [file(str(path)), "t"]}


def test_the_functions_speak_the_basic_format(folder: Path) -> None:
    saved = persist_multimedia_data([Image(RED)], folder)
    assert resolve_multimedia_data_recursively(Path("/there"), saved) == [
        {"data:image/png;path": f"/there/{next(iter(saved[0].values()))}"}
    ]
    assert load_multimedia_data_recursively(saved) == [RED]
