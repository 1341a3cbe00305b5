"""Images in the forms that prompt flow knows: read into objects, and written as files.

A flow says with ``message_format`` which mappings stand for images (promptflow-format: 5): ``basic`` knows
``{"data:image/png;path": …}`` with ``path``, ``base64`` or ``url``, ``openai-vision`` the items of a model's message.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from headrace.domain.dataset import Dataset, LazyLines, Line
from headrace.domain.flow import DAG, Flow
from headrace.domain.multimedia import (
    BASIC,
    MESSAGE_FORMATS,
    VISION,
    Image,
    ImageError,
    MediaForm,
    Text,
    file_form,
    replace_media,
)
from headrace.errors import Problem
from headrace.formats.paths import is_file
from headrace.source import Pointer, Span

FetchImage = Callable[[str], bytes]
"""Fetches the content of an address; blocks; raises :class:`~headrace.domain.multimedia.ImageError`."""

TYPES_WITH_IMAGES: Final = ("image", "list", "object")
"""Types of flow inputs and parameters whose values are looked through for images."""

_KEY = re.compile(r"data:image/(.*);(path|base64|url)")
_DATA_URI = re.compile(r"data:image/[^;,]*;base64,")
_PROMPT_FORM = re.compile(r"data:image/(.*);(path|base64|url):\s*(.*)$")
_UNSAFE = re.compile(r"[^a-z0-9.+-]")

_BASIC_FORM = '{"data:image/<type>;path": …}, with path, base64 or url'
_VISION_FORM = (
    '{"type": "image_file", "image_file": {"path": …}} or {"type": "image_url", "image_url": {"url": …}}'
)


def refuse_addresses(_: str) -> bytes:
    """Fetches nothing: for readers outside of a workspace."""
    raise ImageError(
        reason="addresses are not fetched here", fix="Give the image as a file or in base64.", is_refused=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReader:
    """Reads images out of values.

    Attributes:
        message_format: ``basic`` or ``openai-vision``.
        folders: Where relative paths begin; the first folder that has the file counts.
        fetch: Fetches addresses.
    """

    message_format: str
    folders: tuple[Path, ...]
    fetch: FetchImage = refuse_addresses

    def read(self, value: Any, type_name: str) -> Any:
        """A value of a declared type with its images read.

        An ``image`` is a mapping of the message format or a text: base64, an address, or a path. In a ``list`` and an
        ``object`` every mapping of the message format is read, however deep; other types are left alone.

        Raises:
            ImageError: Something that must be an image cannot be read as one.
        """
        if type_name == "image":
            return self._read_image(value)
        return self.read_inside(value) if type_name in TYPES_WITH_IMAGES else value

    def unread_inputs(self, flow: Flow, inputs: Mapping[str, Any]) -> list[str]:
        """Names of the flow inputs that :meth:`read` has something to do for.

        Only a DAG flow has images among its inputs: a flex flow's entry gets what was given, and a prompty reads its
        texts itself (promptflow-format: 5, 7.3).
        """
        if flow.kind != DAG:
            return []
        declared = flow.inputs
        return [
            name
            for name, value in inputs.items()
            if name in declared and self.has_images(value, declared[name].type)
        ]

    def read_inputs(self, flow: Flow, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Flow inputs with their images read.

        Raises:
            ImageError: The first value that cannot be read.
        """
        names = self.unread_inputs(flow, inputs)
        return {**inputs, **{name: self.read(inputs[name], flow.inputs[name].type) for name in names}}

    def has_images(self, value: Any, type_name: str) -> bool:
        """Whether :meth:`read` has anything to do."""
        if type_name == "image":
            return not isinstance(value, Image)
        return type_name in TYPES_WITH_IMAGES and has_forms(value, self.message_format)

    def read_inside(self, value: Any) -> Any:
        """A copy of lists and mappings in which every mapping of the message format is the image or text it means."""
        if isinstance(value, Mapping):
            if self._is_form(value):
                return self._read_form(value)
            return {name: self.read_inside(item) for name, item in value.items()}
        return [self.read_inside(item) for item in value] if isinstance(value, list) else value

    def find_file(self, path: str) -> Path:
        """Where a path leads; in the first folder when there is no such file."""
        files = [folder / path for folder in self.folders]
        return next((file for file in files if is_file(file)), files[0])

    def _read_image(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._read_text(value)
        if isinstance(value, (Image, list)):
            return self.read_inside(value)
        if isinstance(value, Mapping) and self._is_form(value):
            return self._read_form(value)
        form = _VISION_FORM if self.message_format == VISION else _BASIC_FORM
        what = (
            "the mapping is none that"
            if isinstance(value, Mapping)
            else "it is neither text nor a mapping that"
        )
        raise ImageError(
            reason=f"{what} stands for an image in the message format {self.message_format}",
            fix=f"Write {form}, or a text: base64, an address, or a path.",
        )

    def _read_text(self, text: str) -> Image:
        """Base64, an address or a path, tried in this order."""
        if not text:
            raise ImageError(reason="the text is empty", fix="Give base64, an address, or a path.")
        content = decode_base64(text)
        if content is not None:
            return Image(content)
        if is_address(text):
            return Image(self.fetch(text), source_url=text)
        return Image(self._read_file(text))

    def _is_form(self, value: Mapping[str, Any]) -> bool:
        return is_media_form(value, self.message_format)

    def _read_form(self, form: Mapping[str, Any]) -> Image | Text:
        if self.message_format == VISION and form["type"] == "text":
            return Text.deserialize(form)
        media_type, kind, content = _parts(form, self.message_format)
        if not isinstance(content, str):
            raise ImageError(reason=f"the {kind} is no text", fix=f"Write the {kind} as text.")
        if kind == "path":
            return Image(self._read_file(content), media_type)
        if kind == "url":
            return Image(self.fetch(content), media_type, content)
        decoded = decode_base64(content)
        if decoded is None:
            raise ImageError(reason="its content is not base64", fix="Give the bytes of the image in base64.")
        return Image(decoded, media_type)

    def _read_file(self, path: str) -> bytes:
        try:
            return self.find_file(path).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no path"
            raise ImageError(
                reason=f"no file can be read at its path ({reason})",
                fix="Check the path. A relative one begins at the flow's folder, in a mapping of a data file at that "
                "file's folder.",
            ) from error


def is_media_form(value: Mapping[str, Any], message_format: str) -> bool:
    """Whether a mapping stands for an image, or for a text in the format ``openai-vision``."""
    if message_format != VISION:
        return (
            len(value) == 1 and isinstance(key := next(iter(value)), str) and _KEY.fullmatch(key) is not None
        )
    kind = value.get("type")
    if len(value) != 2 or kind not in ("image_file", "image_url", "text"):
        return False
    inner = value.get(kind)
    if kind == "text":
        return isinstance(inner, str) or (isinstance(inner, Mapping) and "value" in inner)
    return isinstance(inner, Mapping) and isinstance(
        inner.get("path" if kind == "image_file" else "url"), str
    )


def image_problem(error: ImageError, owner: str, span: Span | None, pointer: Pointer) -> Problem:
    """T210, or C509 for an address that may not be fetched; ``owner`` begins the sentence."""
    if error.is_refused:
        what = f"{owner} is the address of an image that is not fetched: {error}."
        return Problem(code="C509", what=what, span=span, pointer=pointer, fix=error.fix)
    what = f"{owner} cannot be read as an image: {error}."
    return Problem(code="T210", what=what, span=span, pointer=pointer, fix=error.fix)


def check_sent_images(flow: Flow, values: Mapping[str, Any]) -> tuple[Problem, ...]:
    """T210 for every value that names a file, for inputs that come from another machine.

    Who sends them has no business with the files here; base64 and addresses are fine. A text such as
    ``data:image/png;path: cat.png`` is refused in every kind of flow, because a prompty that its code calls would read
    the file; so are the mappings of both message formats where the code decides what it reads.
    """
    problems = []
    for name, value in values.items():
        declared = flow.inputs.get(name)
        if declared is None:
            continue
        formats: tuple[str, ...] = MESSAGE_FORMATS
        if flow.kind == DAG:
            formats = (flow.message_format,) if declared.type in TYPES_WITH_IMAGES else ()
        is_path = flow.kind == DAG and declared.type == "image" and _is_path(value)
        if is_path or _names_file(value, formats):
            error = ImageError(reason="it names a file of the server", fix="Send base64, or an address.")
            pointer = ("inputs", name)
            place = flow.source_map.span(pointer)
            problems.append(image_problem(error, f"The flow input {name!r}", place, pointer))
    return tuple(problems)


def _is_path(value: Any) -> bool:
    """Whether a value for an image is neither base64 nor an address."""
    return isinstance(value, str) and bool(value) and decode_base64(value) is None and not is_address(value)


def _names_file(value: Any, formats: Sequence[str]) -> bool:
    if isinstance(value, str):
        found = _PROMPT_FORM.match(value)
        return found is not None and found[2] == "path"
    if isinstance(value, Mapping):
        for message_format in formats:
            if is_media_form(value, message_format) and value.get("type") != "text":
                return _parts(value, message_format)[1] == "path"
        return any(_names_file(item, formats) for item in value.values())
    return isinstance(value, list) and any(_names_file(item, formats) for item in value)


def place_images(dataset: Dataset, path: Path, message_format: str) -> Dataset:
    """Data in which the relative paths of image mappings begin at the folder of the file that they stand in.

    Args:
        dataset: As read.
        path: The absolute path of the data file, of the folder of data files, or of their pattern.
        message_format: Which mappings stand for images.
    """
    is_folder, is_pattern = path.is_dir(), not path.exists()

    def place(line: Line) -> Line:
        if not has_forms(line.columns, message_format):
            return line
        folder = path.parent
        if is_folder and line.span is not None:
            folder = (path / Path(line.span.file).relative_to(dataset.path)).parent
        elif is_pattern and line.span is not None and str(path).endswith(dataset.path):
            folder = Path(str(path).removesuffix(dataset.path), line.span.file).parent
        return replace(line, columns=place_paths(line.columns, folder, message_format))

    lines = dataset.lines
    return replace(dataset, lines=LazyLines(lambda: map(place, lines), len(lines)))


def has_forms(value: Any, message_format: str) -> bool:
    """Whether there is a mapping of the message format in a value."""
    if isinstance(value, str):  # most are, and asking whether it is a Mapping takes longer
        return False
    if isinstance(value, Mapping):
        inner = any(has_forms(item, message_format) for item in value.values())
        return inner or is_media_form(value, message_format)
    return isinstance(value, list) and any(has_forms(item, message_format) for item in value)


def place_paths(value: Any, folder: Path, message_format: str) -> Any:
    """A copy of data in which the relative paths of image mappings begin at ``folder``."""
    if isinstance(value, Mapping):
        if is_media_form(value, message_format):
            return _place_path(value, folder, message_format)
        return {name: place_paths(item, folder, message_format) for name, item in value.items()}
    return [place_paths(item, folder, message_format) for item in value] if isinstance(value, list) else value


def read_prompt_images(
    values: Mapping[str, Any], folder: Path, fetch: FetchImage
) -> tuple[dict[str, Any], tuple[tuple[str, ImageError], ...]]:
    """The arguments of a prompty with their images read: texts of the form ``data:image/png;path: cat.png``.

    Only whole arguments count, not what is inside lists and mappings (promptflow-format: 7.3).

    Args:
        values: By name.
        folder: The prompty's folder, where relative paths begin.
        fetch: Fetches addresses.

    Returns:
        The values, and the names of those that are no image with the reason.
    """
    reader = ImageReader(message_format=BASIC, folders=(folder,), fetch=fetch)
    read: dict[str, Any] = dict(values)
    failed: list[tuple[str, ImageError]] = []
    for name, value in values.items():
        found = _PROMPT_FORM.match(value) if isinstance(value, str) else None
        if found is None:
            continue
        try:
            read[name] = reader.read_inside({f"data:image/{found[1]};{found[2]}": found[3].strip()})
        except ImageError as error:
            failed.append((name, error))
    return read, tuple(failed)


def save_images(data: Any, folder: Path, message_format: str, *, shown: str | None = None) -> Any:
    """Write the images of a result to files.

    Args:
        data: Plain data with :class:`~headrace.domain.multimedia.MediaForm` in it; images that have an address keep it.
        folder: Where the files go; made when there is an image. An image is written once, whatever its number.
        message_format: How the flow writes images.
        shown: What stands before the names of the files in the result, e.g. ``intermediate``; an empty text for the
            bare names, by default the absolute path of ``folder``.

    Returns:
        A copy of ``data`` in which images are the mappings with the paths of their files.

    Raises:
        OSError: A file cannot be written.
    """
    before = folder.resolve() if shown is None else Path(shown)

    def save(form: MediaForm) -> Any:
        image = form.value
        if not isinstance(image, Image) or image.source_url is not None:
            return dict(form)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / _file_name(image)
        if not file.exists() or file.stat().st_size != len(image):
            file.write_bytes(image)
        return file_form(image, str(before / file.name), message_format)

    return replace_media(data, save)


def recall_media(data: Any, message_format: str) -> Any:
    """A copy of recorded data in which images in base64 are forms that know their image again."""
    if isinstance(data, Mapping):
        if is_media_form(data, message_format):
            return _recall(data, message_format)
        return {name: recall_media(item, message_format) for name, item in data.items()}
    return [recall_media(item, message_format) for item in data] if isinstance(data, list) else data


def _recall(form: Mapping[str, Any], message_format: str) -> Any:
    """A form that holds its content; one that names a file or an address stays what it is."""
    if form.get("type") == "text" and message_format == VISION:
        return MediaForm(form, Text.deserialize(form))
    media_type, kind, content = _parts(form, message_format)
    decoded = decode_base64(content) if kind == "base64" and isinstance(content, str) else None
    return form if decoded is None else MediaForm(form, Image(decoded, media_type))


def _place_path(form: Mapping[str, Any], folder: Path, message_format: str) -> Mapping[str, Any]:
    if message_format == VISION:
        if form["type"] != "image_file":
            return form
        inner = form["image_file"]
        return {**form, "image_file": {**inner, "path": str(folder / inner["path"])}}
    ((key, path),) = form.items()
    is_path = key.endswith(";path") and isinstance(path, str)
    return {key: str(folder / path)} if is_path else form


def _parts(form: Mapping[str, Any], message_format: str) -> tuple[str | None, str, Any]:
    """Media type (``None`` where the form has none), kind (path, base64 or url) and content of an image's form."""
    if message_format != VISION:
        ((key, content),) = form.items()
        found = _KEY.fullmatch(key)
        return (f"image/{found[1]}", found[2], content) if found else (None, "", content)
    if form["type"] == "image_file":
        return None, "path", form["image_file"]["path"]
    url = form["image_url"]["url"]
    return None, "url" if is_address(url) else "base64", url


def decode_base64(text: str) -> bytes | None:
    """The bytes that a text in base64, or a data URI, holds; ``None`` for any other text."""
    found = _DATA_URI.match(text)
    content = text[found.end() :] if found else text
    try:
        return base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def is_address(text: str) -> bool:
    """Whether a text is an address, of whatever scheme."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _file_name(image: Image) -> str:
    """Named after the content, in the form of prompt flow's names, so that the same image is the same file."""
    ending = _UNSAFE.sub("", image.media_type.partition("/")[2]).strip(".")
    name = str(UUID(hashlib.sha256(image).hexdigest()[:32]))
    return f"{name}.{ending}" if ending else name
