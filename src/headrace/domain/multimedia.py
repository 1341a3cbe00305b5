"""Values that are more than plain data: images, and texts with annotations (promptflow-format: 5).

Projects import them as ``promptflow.contracts.multimedia``. While a flow runs they are objects; in its results each
stands as the mapping that the flow's message format writes, a :class:`MediaForm`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

BASIC: Final = "basic"
VISION: Final = "openai-vision"
MESSAGE_FORMATS: Final = (BASIC, VISION)

_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"II\xbc", "image/vnd.ms-photo"),
)
_TIFF = (b"II*\x00", b"MM\x00*")


class ImageError(ValueError):
    """A value is no image that can be read. The text says why, without the value.

    Attributes:
        fix: What to do about it.
        is_refused: The value is the address of an image that may not be fetched.
    """

    def __init__(self, *, reason: str, fix: str, is_refused: bool = False) -> None:
        super().__init__(reason)
        self.fix = fix
        self.is_refused = is_refused


class Image(bytes):
    """The bytes of an image, with its media type and, when it came from one, its address.

    It prints as ``Image(<first 8 hexadecimal digits of the SHA-1 of its bytes>)``, never as its content.
    """

    _mime_type: str
    _source_url: str | None
    _hash: str

    def __new__(cls, value: bytes, mime_type: str | None = None, source_url: str | None = None) -> Image:
        """Wrap ``value``; without ``mime_type`` the media type is told from the first bytes, else ``image/*``."""
        image = super().__new__(cls, value)
        image._mime_type = (mime_type or _guess_media_type(value)).lower()
        image._source_url = source_url
        image._hash = hashlib.sha1(value, usedforsecurity=False).hexdigest()[:8]
        return image

    @property
    def source_url(self) -> str | None:
        """Where the image came from, if it was an address."""
        return self._source_url

    @property
    def media_type(self) -> str:
        """For instance ``image/png``; ``image/*`` when it is not known."""
        return self._mime_type

    def to_base64(self, with_type: bool = False) -> str:  # noqa: FBT001, FBT002 - the signature that projects call
        """The content in base64; ``with_type`` makes it a data URI."""
        text = base64.b64encode(self).decode("ascii")
        return f"data:{self._mime_type};base64,{text}" if with_type else text

    def fingerprint_form(self) -> list[Any]:
        """Everything that tells one image from another, without its content."""
        return [hashlib.sha256(self).hexdigest(), self._mime_type, self._source_url]

    def serialize(self, encoder: Callable[[Image], Any] | None = None) -> Any:
        """What ``encoder`` makes of the image; without one, its short text."""
        return encoder(self) if encoder is not None else str(self)

    def __str__(self) -> str:
        return f"Image({self._hash})"

    __repr__ = __str__


class Text(str):
    """A text of a message in the format ``openai-vision``, with its annotations."""

    __slots__ = ("_annotations",)

    _annotations: list[Any] | None

    def __new__(cls, value: str, annotations: list[Any] | None = None) -> Text:
        """Wrap a text."""
        text = super().__new__(cls, value)
        text._annotations = annotations
        return text

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> Text:
        """Read the form that :meth:`serialize` writes."""
        text = data.get("text")
        if isinstance(text, Mapping):
            return cls(text.get("value", ""), annotations=text.get("annotations", []))
        return cls(text or "")

    def fingerprint_form(self) -> list[Any]:
        """Everything that tells one text from another."""
        return [str(self), self._annotations]

    def serialize(self) -> dict[str, Any]:
        """The item of a message that this text is."""
        if self._annotations is None:
            return {"type": "text", "text": str(self)}
        return {"type": "text", "text": {"value": str(self), "annotations": self._annotations}}


class MediaForm(dict[str, Any]):
    """An image or a text in a result: the mapping that the message format writes, which knows the value behind it.

    It is plain data like any mapping; who writes results as files finds the image in it.
    """

    __slots__ = ("value",)

    def __init__(self, form: Mapping[str, Any], value: Image | Text) -> None:
        super().__init__(form)
        self.value = value


def media_form(value: Image | Text, message_format: str) -> MediaForm | str:
    """How a value stands in a result: an image that has an address by its address, any other in base64.

    A text is a mapping in the format ``openai-vision`` only.
    """
    if isinstance(value, Text):
        return MediaForm(value.serialize(), value) if message_format == VISION else str(value)
    if value.source_url is not None:
        return MediaForm(_address_form(value, message_format), value)
    return MediaForm(inline_form(value, message_format), value)


def inline_form(image: Image, message_format: str) -> dict[str, Any]:
    """An image with its content in base64."""
    if message_format == VISION:
        return {"type": "image_url", "image_url": {"url": image.to_base64(with_type=True)}}
    return {f"data:{image.media_type};base64": image.to_base64()}


def file_form(image: Image, path: str, message_format: str) -> dict[str, Any]:
    """An image by the path of a file that holds it."""
    if message_format == VISION:
        return {"type": "image_file", "image_file": {"path": path}}
    return {f"data:{image.media_type};path": path}


def replace_media(data: Any, replace: Callable[[MediaForm], Any]) -> Any:
    """A copy of plain data in which every :class:`MediaForm` is what ``replace`` makes of it."""
    if isinstance(data, MediaForm):
        return replace(data)
    if isinstance(data, Mapping):
        return {name: replace_media(item, replace) for name, item in data.items()}
    if isinstance(data, list):
        return [replace_media(item, replace) for item in data]
    return data


def media_values(data: Any) -> Any:
    """A copy of plain data in which every image and text is the object again."""
    return replace_media(data, lambda form: form.value)


def inline_media(data: Any, message_format: str) -> Any:
    """A copy of plain data as an HTTP answer holds it: every image in base64, also one that has an address."""

    def inline(form: MediaForm) -> Any:
        value = form.value
        return inline_form(value, message_format) if isinstance(value, Image) else str(value)

    return replace_media(data, inline)


def find_images(value: Any) -> list[Image]:
    """Every image in a value, also inside lists and mappings, in order."""
    if isinstance(value, Image):
        return [value]
    items = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    )
    return [image for item in items for image in find_images(item)]


def _address_form(image: Image, message_format: str) -> dict[str, Any]:
    if message_format == VISION:
        return {"type": "image_url", "image_url": {"url": image.source_url}}
    return {f"data:{image.media_type};url": image.source_url}


def _guess_media_type(content: bytes) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[37:41] == b"acTL":
        return "image/apng"
    for signature, media_type in _SIGNATURES:
        if content.startswith(signature):
            return media_type
    if content[:4] == b"RIFF" and content[8:14] == b"WEBPVP":
        return "image/webp"
    if content[:4] in _TIFF and len(content) >= 8:
        return "image/tiff"
    if content[4:8] == b"ftyp" and b"heic" in content[8:32]:
        return "image/heic"
    return "image/*"
