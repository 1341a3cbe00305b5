"""What the answers of HTTP/1.1 look like: heads and bodies in the bytes of a connection. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

END_OF_HEAD = b"\r\n\r\n"
_DIGITS = {10: frozenset("0123456789"), 16: frozenset("0123456789abcdefABCDEF")}


class NotHttpError(ValueError):
    """What arrived is not an HTTP answer."""


class Body:
    """The body of one answer, while it arrives (RFC 9112, 6.3)."""

    __slots__ = ("_length", "_parts", "headers", "is_chunked", "keeps_connection", "status")

    def __init__(self, status: int, headers: Mapping[str, str], *, keeps_connection: bool) -> None:
        self.status = status
        self.headers = headers
        self.is_chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
        self._length: int | None = None
        if status in (204, 304):
            self._length = 0
        elif not self.is_chunked and "content-length" in headers:
            self._length = _number(headers["content-length"], 10)
        self.keeps_connection = keeps_connection and not self.ends_with_connection
        self._parts: list[bytes] = []

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection says where the body ends."""
        return not self.is_chunked and self._length is None

    def take_arrived(self, buffer: bytearray) -> tuple[list[bytes], bool]:
        """What of the body has arrived since, removed from ``buffer``, and whether that was the end of it."""
        if self.is_chunked:
            is_over = self._take_chunks(buffer) is not None
            parts, self._parts = self._parts, []
            return parts, is_over
        most = len(buffer) if self._length is None else self._length
        part = bytes(buffer[:most])
        del buffer[:most]
        if self._length is not None:
            self._length -= len(part)
        return [part] if part else [], self._length == 0

    def take(self, buffer: bytearray) -> bytes | None:
        """The whole body once ``buffer`` holds its end, removed from there; else ``None``."""
        if self.is_chunked:
            return self._take_chunks(buffer)
        if self._length is None or len(buffer) < self._length:
            return None
        content = bytes(buffer[: self._length])
        del buffer[: self._length]
        return content

    def _take_chunks(self, buffer: bytearray) -> bytes | None:
        while True:
            end = buffer.find(b"\r\n")
            if end < 0:
                return None
            size = _number(buffer[:end].partition(b";")[0].decode("latin-1").strip(), 16)
            if size == 0:
                return self._take_trailers(buffer, end)
            start, stop = end + 2, end + 2 + size
            if len(buffer) < stop + 2:
                return None
            self._parts.append(bytes(buffer[start:stop]))
            del buffer[: stop + 2]

    def _take_trailers(self, buffer: bytearray, end: int) -> bytes | None:
        """What follows the last chunk: lines that nobody needs, and an empty one."""
        found = buffer.find(END_OF_HEAD, end)
        if found < 0:
            return None
        del buffer[: found + len(END_OF_HEAD)]
        return b"".join(self._parts)


def parse_head(text: str) -> Body:
    """Read the status line and the headers of an answer.

    Raises:
        NotHttpError: When it is not the head of an HTTP answer.
    """
    first, *lines = text.split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise NotHttpError
    headers = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator:
            raise NotHttpError
        headers[name.lower()] = value.strip()
    keeps = "close" not in headers.get("connection", "").lower() and version != "HTTP/1.0"
    return Body(_number(rest[:3], 10), headers, keeps_connection=keeps)


def decompressed(headers: Mapping[str, str], content: bytes) -> bytes:
    """The body as it was before it was packed.

    Raises:
        NotHttpError: It has no end.
        zlib.error: It is not what its header says.
    """
    if headers.get("content-encoding", "").lower() != "gzip":
        return content
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    unpacked = unpacker.decompress(content)
    if not unpacker.eof:
        raise NotHttpError
    return unpacked


def _number(text: str, base: int) -> int:
    # int() also takes signs, underscores and blanks, which HTTP does not.
    if not text or not _DIGITS[base].issuperset(text):
        raise NotHttpError
    return int(text, base)
