"""Counting the tokens of a prompt with the package ``tiktoken``, where it is installed and has its encoding."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.config import load_settings
from headrace.errors import Problem, UsageError
from headrace.providers.loading import load_by_name

_ENCODING = "cl100k_base"
_SOURCE = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
_PER_MESSAGE = 3
_PER_NAME = 1
_PER_ANSWER = 3
_USUAL_SIZE = (1024, 1024)


def count_tokens(prompt: Sequence[Mapping[str, Any]] | str, max_tokens: Any) -> int:
    """Tokens of chat messages, by the rule of OpenAI's cookbook, or of a completion's text; plus those of the answer.

    Prompt flow counts with one encoding whatever the model is, and so do we.

    Args:
        prompt: Messages or text.
        max_tokens: What the prompty sets, ``None`` for nothing.

    Raises:
        UsageError: C505 when the package or its encoding is not there, T201 for ``max_tokens``.
    """
    answer = _answer_tokens(max_tokens)
    encoding = _open_encoding()
    if isinstance(prompt, str):
        return len(encoding.encode(prompt)) + answer
    return sum(_message_tokens(message, encoding) for message in prompt) + _PER_ANSWER + answer


def _answer_tokens(max_tokens: Any) -> int:
    if max_tokens is None:
        return 0
    is_number = isinstance(max_tokens, int) and not isinstance(max_tokens, bool)
    if not is_number or max_tokens <= 1:
        what = "The parameter max_tokens should be a whole number above 1."
        raise UsageError(Problem(code="T201", what=what, fix="Correct max_tokens, or take it out."))
    return int(max_tokens)


def _open_encoding() -> Any:
    """The encoding; only where it is kept on this machine, because the package would fetch it otherwise."""
    try:
        get_encoding = load_by_name("tiktoken:get_encoding")
    except ModuleNotFoundError as error:
        what = "Tokens are counted by the Python package tiktoken, which is not installed."
        fix = "Install it: pip install tiktoken."
        raise UsageError(Problem(code="C505", what=what, fix=fix)) from error
    folder = _kept_encodings()
    name = hashlib.sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest()
    if not (folder / name).is_file():
        what = (
            f"The package tiktoken has no copy of the encoding {_ENCODING}, and headrace does not fetch one."
        )
        fix = (
            f"Let the package fetch it once: python -c \"import tiktoken; tiktoken.get_encoding('{_ENCODING}')\"; "
            "TIKTOKEN_CACHE_DIR says where it is kept."
        )
        raise UsageError(Problem(code="C505", what=what, fix=fix))
    return get_encoding(_ENCODING)


def _kept_encodings() -> Path:
    """Where the package keeps encodings."""
    environment = load_settings().environment
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if environment.get(variable):
            return Path(environment[variable])
    return Path(tempfile.gettempdir(), "data-gym-cache")


def _message_tokens(message: Mapping[str, Any], encoding: Any) -> int:
    count = _PER_MESSAGE + (_PER_NAME if "name" in message else 0)
    for value in message.values():
        items = value if isinstance(value, list) else [{"type": "text", "text": value}]
        count += sum(_item_tokens(item, encoding) for item in items)
    return count


def _item_tokens(item: Any, encoding: Any) -> int:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "text" and isinstance(item["text"], str):
        return len(encoding.encode(item["text"]))
    return _image_tokens(item["image_url"]["url"]) if kind == "image_url" else 0


def _image_tokens(url: str) -> int:
    """What OpenAI counts for an image in high detail: a base, and more for each tile of 512 pixels.

    One whose size cannot be told from its first bytes, or that stands somewhere else, counts as 1024 by 1024.
    """
    width, height = _image_size(url) or _USUAL_SIZE
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return 85 + 170 * tiles


def _image_size(url: str) -> tuple[int, int] | None:
    _, is_data, text = url.partition(";base64,")
    try:
        content = base64.b64decode(text) if is_data else b""
        return _read_size(content)
    except (binascii.Error, struct.error, ZeroDivisionError):
        return None


def _read_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the head of a PNG, GIF or JPEG file."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
    elif content.startswith(b"GIF"):
        width, height = struct.unpack("<HH", content[6:10])
    elif content.startswith(b"\xff\xd8"):
        width, height = _read_jpeg_size(content)
    else:
        return None
    return (width, height) if width and height else None


def _read_jpeg_size(content: bytes) -> tuple[int, int]:
    """The size in the frame header, which stands behind segments of any kind (ITU-T T.81, annex B)."""
    place = 2
    while True:
        marker, length = struct.unpack(">HH", content[place : place + 4])
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height
        place += 2 + length
