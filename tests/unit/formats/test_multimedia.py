"""Images read from every form that prompt flow knows, and written as files. The expected values are stock's."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import BLUE, RED, write_files

from headrace.domain.dataset import Dataset, Line
from headrace.domain.multimedia import BASIC, VISION, Image, ImageError, MediaForm, Text, media_form
from headrace.formats.lines import read_dataset
from headrace.formats.multimedia import (
    ImageReader,
    image_problem,
    place_images,
    read_prompt_images,
    recall_media,
    save_images,
)

RED_64 = b64encode(RED).decode()
URI = f"data:image/jpeg;base64,{RED_64}"
ADDRESS = "https://example.org/a.png"
PATH = {"data:image/png;path": "red.png"}
FILE = {"type": "image_file", "image_file": {"path": "red.png"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path, {"red.png": RED, "sub/blue.png": BLUE, "notes.txt": "plain", "abcd": RED})


def reader(folder: Path, message_format: str = BASIC) -> ImageReader:
    return ImageReader(
        message_format=message_format, folders=(folder, folder / "sub"), fetch=lambda url: url.encode()
    )


def seen(value: Any) -> Any:
    """An image by its bytes, media type and address; a text with its annotations."""
    if isinstance(value, Image):
        return bytes(value), value.media_type, value.source_url
    if isinstance(value, Text):
        return "text", str(value), value.serialize()["text"]
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items()}
    return [seen(item) for item in value] if isinstance(value, list) else value


PNG = (RED, "image/png", None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (RED_64, PNG),
        (URI, PNG),  # the content decides, not what the data URI says
        (f"data:image/svg+xml;base64,{RED_64}", PNG),
        ("red.png", PNG),
        ("blue.png", (BLUE, "image/png", None)),  # found in the second folder
        ("abcd", (b"i\xb7\x1d", "image/*", None)),  # base64 is tried before a file of that name
        ("notes.txt", (b"plain", "image/*", None)),
        (ADDRESS, (ADDRESS.encode(), "image/*", ADDRESS)),
        ("HTTP://example.org/a", (b"HTTP://example.org/a", "image/*", "HTTP://example.org/a")),
        (["red.png", PATH], ["red.png", PNG]),
        (Image(RED, "image/x"), (RED, "image/x", None)),
    ],
)
def test_an_image_input_is_base64_an_address_or_a_path(folder: Path, value: Any, expected: Any) -> None:
    assert seen(reader(folder).read(value, "image")) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (PATH, PNG),
        ({"data:image/jpg;path": "red.png"}, (RED, "image/jpg", None)),
        ({"data:image/PNG;path": "red.png"}, PNG),
        ({"data:image/*;path": "red.png"}, (RED, "image/*", None)),
        ({"data:image/png;base64": RED_64}, PNG),
        ({"data:image/gif;base64": URI}, (RED, "image/gif", None)),
        ({"data:image/png;base64": "aGVsbG8="}, (b"hello", "image/png", None)),
        ({"data:image/png;url": ADDRESS}, (ADDRESS.encode(), "image/png", ADDRESS)),
    ],
)
@pytest.mark.parametrize("type_name", ["image", "object"])
def test_basic_mappings(folder: Path, form: dict[str, Any], expected: Any, type_name: str) -> None:
    assert seen(reader(folder).read(form, type_name)) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (FILE, PNG),
        ({"type": "image_file", "image_file": {"path": "red.png", "extra": 1}}, PNG),
        ({"type": "image_url", "image_url": {"url": URI}}, PNG),
        ({"type": "image_url", "image_url": {"url": URI, "detail": "low"}}, PNG),
        ({"type": "image_url", "image_url": {"url": ADDRESS}}, (ADDRESS.encode(), "image/*", ADDRESS)),
    ],
)
@pytest.mark.parametrize("type_name", ["image", "object"])
def test_vision_mappings(folder: Path, form: dict[str, Any], expected: Any, type_name: str) -> None:
    assert seen(reader(folder, VISION).read(form, type_name)) == expected


@pytest.mark.parametrize(
    ("message_format", "form"),
    [
        (BASIC, {"data:image/png;path": "red.png", "z": 1}),
        (BASIC, {"data:audio/mp3;path": "red.png"}),
        (BASIC, {"Data:image/png;path": "red.png"}),
        (BASIC, {"data:image/png;file": "red.png"}),
        (BASIC, FILE),
        (BASIC, {"type": "text", "text": "a"}),
        (VISION, PATH),
        (VISION, {**FILE, "extra": 1}),
        (VISION, {"type": "image_url", "image_url": URI}),
        (VISION, {"type": "text", "text": 5}),
        (VISION, {"type": "text", "text": {"no value": 1}}),
        (VISION, {"type": "audio", "audio": {}}),
        (BASIC, {}),
        (BASIC, {1: "a"}),
    ],
)
def test_other_mappings_stand_for_nothing(folder: Path, message_format: str, form: dict[Any, Any]) -> None:
    here = reader(folder, message_format)
    assert here.read(form, "object") == form
    assert not here.has_images(form, "object")
    if not (message_format == VISION and form.get("type") == "text"):
        with pytest.raises(ImageError, match=f"message format {message_format}"):
            here.read(form, "image")


def test_lists_and_objects_are_looked_through_and_other_types_are_not(folder: Path) -> None:
    value = ["what?", PATH, {"deep": [PATH, {"type": "text", "text": "b"}]}, 5]
    read = reader(folder).read(value, "list")
    assert seen(read) == ["what?", PNG, {"deep": [PNG, {"type": "text", "text": "b"}]}, 5]
    assert value[1] == PATH
    assert reader(folder).read(value, "string") is value
    message = [
        FILE,
        {"type": "text", "text": {"value": "a", "annotations": [1]}},
        {"type": "text", "text": "b"},
    ]
    assert seen(reader(folder, VISION).read(message, "list")) == [
        PNG,
        ("text", "a", {"value": "a", "annotations": [1]}),
        ("text", "b", "b"),
    ]


@pytest.mark.parametrize(
    ("value", "type_name", "reason"),
    [
        ("", "image", "empty"),
        (5, "image", "neither text nor a mapping"),
        (None, "image", "neither text nor a mapping"),
        (True, "image", "neither text nor a mapping"),
        ("none.png", "image", "No such file"),
        (".", "image", "directory"),
        ("a\x00b", "image", "no path"),
        ("data:image/png;path: red.png", "image", "No such file"),
        ({"data:image/png;path": "none.png"}, "object", "No such file"),
        ({"data:image/png;path": 5}, "object", "path is no text"),
        ({"data:image/png;base64": "@@"}, "object", "not base64"),
        ({"data:image/png;base64": "abc"}, "object", "not base64"),
    ],
)
def test_what_cannot_be_read_says_why_and_never_what_it_is(
    folder: Path, value: Any, type_name: str, reason: str
) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        reader(folder).read(value, type_name)
    problem = image_problem(caught.value, "The flow input 'x'", None, ())
    assert (problem.code, bool(problem.fix)) == ("T210", True)
    assert str(value) not in problem.what or value in ("", ".")


def test_a_reader_of_nobody_fetches_no_address(folder: Path) -> None:
    with pytest.raises(ImageError) as caught:
        ImageReader(message_format=BASIC, folders=(folder,)).read(ADDRESS, "image")
    assert image_problem(caught.value, "It", None, ()).code == "C509"


def test_paths_in_mappings_of_a_data_file_begin_at_its_folder(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "data/a.jsonl": '{"x": {"data:image/png;path": "a.png"}, "y": ["t", {"data:image/png;path": "/r/b.png"}]}\n'
            '{"x": "plain.png", "y": {"data:image/png;url": "u"}}\n',
            "data/sub/b.jsonl": '{"x": {"data:image/png;path": "../c.png"}}\n',
        },
    )
    data = tmp_path / "data"
    dataset = read_dataset(data, "data/")
    placed = place_images(dataset, data, BASIC)
    assert [line.columns for line in placed.lines] == [
        {"x": {"data:image/png;path": f"{data}/a.png"}, "y": ["t", {"data:image/png;path": "/r/b.png"}]},
        {"x": "plain.png", "y": {"data:image/png;url": "u"}},
        {"x": {"data:image/png;path": f"{data}/sub/../c.png"}},
    ]
    single = place_images(read_dataset(data / "a.jsonl"), data / "a.jsonl", BASIC)
    assert single.first.columns == placed.first.columns
    unchanged = place_images(dataset, data, VISION)
    assert list(unchanged.lines) == list(dataset.lines)


def test_images_of_data_named_by_a_pattern_begin_at_the_file_that_they_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/d.jsonl").write_text('{"i": {"data:image/png;path": "a.png"}}\n')
    monkeypatch.chdir(tmp_path)
    dataset = read_dataset(Path("data/**/*.jsonl"))
    (line,) = place_images(dataset, tmp_path / "data/**/*.jsonl", BASIC).lines
    assert line.columns == {"i": {"data:image/png;path": str(tmp_path / "data/deep/a.png")}}


def test_paths_of_vision_items_begin_at_the_data_folder_too(tmp_path: Path) -> None:
    line = Line(number=0, columns={"x": [FILE, {"type": "text", "text": "a"}]})
    dataset = Dataset(path="d.jsonl", lines=(line,), columns=("x",), digest="")
    (placed,) = place_images(dataset, tmp_path / "d.jsonl", VISION).lines
    path = str(tmp_path / "red.png")
    assert placed.columns == {
        "x": [{"type": "image_file", "image_file": {"path": path}}, {"type": "text", "text": "a"}]
    }


def test_images_of_a_result_become_files(tmp_path: Path) -> None:
    data = {
        "one": media_form(Image(RED), BASIC),
        "same": [media_form(Image(RED), BASIC)],
        "unknown": media_form(Image(b"?", "image/*"), BASIC),
        "far": media_form(Image(RED, None, ADDRESS), BASIC),
        "raw": {"data:image/png;base64": RED_64},
    }
    folder = tmp_path / "output"
    saved = save_images(data, folder, BASIC)
    (path,) = saved["one"].values()
    (unknown,) = saved["unknown"].values()
    assert Path(path).parent == folder
    assert (Path(path).read_bytes(), Path(path).suffix) == (RED, ".png")
    assert (Path(unknown).read_bytes(), Path(unknown).suffix) == (b"?", "")
    assert saved["same"] == [saved["one"]]
    assert saved["far"] == {"data:image/png;url": ADDRESS}
    assert saved["raw"] == data["raw"]
    assert len(list(folder.iterdir())) == 2
    beside = save_images(data, folder, BASIC, shown="intermediate")
    assert beside["one"] == {"data:image/png;path": f"intermediate/{Path(path).name}"}
    bare = save_images([media_form(Image(RED), VISION)], folder, VISION, shown="")
    assert bare == [{"type": "image_file", "image_file": {"path": Path(path).name}}]


def test_a_media_type_cannot_lead_a_file_out_of_its_folder(tmp_path: Path) -> None:
    data = media_form(Image(RED, "image/../../x;y"), BASIC)
    (path,) = save_images(data, tmp_path / "out", BASIC).values()
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert Path(path).suffix == ".xy"


def test_nothing_is_made_where_there_is_no_image(tmp_path: Path) -> None:
    assert save_images({"a": [1]}, tmp_path / "out", BASIC) == {"a": [1]}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("message_format", [BASIC, VISION])
def test_recorded_images_know_themselves_again(tmp_path: Path, message_format: str) -> None:
    record = {"a": [dict(media_form(Image(RED), message_format)), "t"], "b": {"n": 1}}
    recalled = recall_media(record, message_format)
    assert recalled == record
    assert isinstance(recalled["a"][0], MediaForm)
    assert seen(recalled["a"][0].value) == PNG
    files = [PATH, FILE, dict(media_form(Image(RED, None, ADDRESS), message_format))]
    assert recall_media(files, message_format) == files
    assert not any(isinstance(item, MediaForm) for item in recall_media(files, message_format))


def test_a_recorded_text_knows_its_annotations_again() -> None:
    form = {"type": "text", "text": {"value": "a", "annotations": [1]}}
    recalled = recall_media([form], VISION)[0]
    assert seen(recalled.value) == ("text", "a", form["text"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("data:image/png;path: red.png", PNG),
        ("data:image/png;path:red.png\n", PNG),
        (f"data:image/gif;base64: {RED_64}", (RED, "image/gif", None)),
        (f"data:image/png;url: {ADDRESS}", (ADDRESS.encode(), "image/png", ADDRESS)),
        (f"data:image/png;base64,{RED_64}", f"data:image/png;base64,{RED_64}"),
        (" data:image/png;path: red.png", " data:image/png;path: red.png"),
        ("data:image/png;path: red.png\nand more", "data:image/png;path: red.png\nand more"),
        ("red.png", "red.png"),
        (PATH, PATH),
        (["data:image/png;path: red.png"], ["data:image/png;path: red.png"]),
    ],
)
def test_a_prompty_reads_images_from_texts_of_one_form(folder: Path, value: Any, expected: Any) -> None:
    read, failed = read_prompt_images({"x": value}, folder, lambda url: url.encode())
    assert (seen(read["x"]), failed) == (expected, ())


def test_a_prompty_keeps_what_is_no_image_and_says_why(folder: Path) -> None:
    text = "data:image/png;path: none.png"
    read, ((name, error),) = read_prompt_images({"x": text}, folder, lambda url: url.encode())
    assert (read, name) == ({"x": text}, "x")
    assert "No such file" in str(error)
