"""Values that are more than plain data: images. Projects import them as ``promptflow.contracts.multimedia``."""

from __future__ import annotations

import base64
import hashlib

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)


class Image(bytes):
    """The bytes of an image, with its media type and, when it came from one, its address.

    It prints as ``Image(<first 8 hexadecimal digits of the SHA-1 of its bytes>)``, never as its content.
    """

    _mime_type: str
    _source_url: str | None
    _digest: str

    def __new__(cls, value: bytes, mime_type: str | None = None, source_url: str | None = None) -> Image:
        """Wrap ``value``; without ``mime_type`` the media type is told from the first bytes, else ``image/*``."""
        image = super().__new__(cls, value)
        image._mime_type = (mime_type or _guess_media_type(value)).lower()
        image._source_url = source_url
        image._digest = hashlib.sha1(value, usedforsecurity=False).hexdigest()[:8]
        return image

    @property
    def source_url(self) -> str | None:
        """Where the image came from, if it was an address."""
        return self._source_url

    def to_base64(self, with_type: bool = False) -> str:  # noqa: FBT001, FBT002 - the signature that projects call
        """The content in base64; ``with_type`` makes it a data URI."""
        text = base64.b64encode(self).decode("ascii")
        return f"data:{self._mime_type};base64,{text}" if with_type else text

    def __str__(self) -> str:
        return f"Image({self._digest})"

    __repr__ = __str__


def _guess_media_type(content: bytes) -> str:
    for signature, media_type in _SIGNATURES:
        if content.startswith(signature):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return "image/*"
