"""What counts of a flow and what does not: the canonical forms that a version's id is made of.

Two flows have the same id when nothing that can change an answer differs between them, wherever they lie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from hashlib import sha256
from typing import Any

from headrace.domain.version import VersionFile

FORMAT = 1
"""Counts in every id; raised when what counts changes."""

LEFT_OUT = "left-out"
"""Stands for a key or password."""

_TELLING = (
    r"(?:[A-Za-z0-9]+[_-])*(?:(?:api|subscription|access|account|secret|private)[_-]?key|apikey|password|passwd"
    r"|secret|(?:access|auth|bearer|aad|refresh)[_-]?token|connection[_-]?string)"
)
_IS_SECRET = re.compile(_TELLING, re.IGNORECASE)
_SECRET_TEXT = re.compile(rf"""({_TELLING})(["']?\s*[:=]\s*)(["'])([^"'\s]{{8,}})\3""", re.IGNORECASE)
_PLAIN_SECRET = re.compile(
    rf"""^(\s*(?:-\s+)?["']?{_TELLING}["']?\s*[:=]\s*)([^"'\s#${{\[][^"'\s#]{{7,}})""",
    re.IGNORECASE | re.MULTILINE,
)
_TOKENS = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{20,})"
)
_ELSEWHERE = re.compile(r"\$\{|\{\{")
_LEAST_SECRET = 8


def canonical_form(value: Any) -> str:
    """Plain data as text, the same for equal data: keys in order, ``1`` no ``1.0`` and no ``"1"``.

    Raises:
        TypeError: The data is not plain.
    """
    return json.dumps(_ordered(value), ensure_ascii=True, separators=(",", ":"))


def _ordered(value: Any) -> Any:
    if value is None or isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, Mapping):
        pairs = [[canonical_form(key), _ordered(item)] for key, item in value.items()]
        return {"": sorted(pairs, key=lambda pair: str(pair[0]))}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, date):  # also one with a time: what YAML takes for one is no text
        return {"date": value.isoformat()}
    what = f"a {type(value).__name__} is not plain data"
    raise TypeError(what)


def even_text(data: bytes) -> bytes:
    """A file without regard to line ends and byte order mark; one that is no text stays as it is."""
    if b"\0" in data:
        return data
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_digest(data: Any, body: str = "") -> str:
    """SHA-256 of what a flow file holds, keys and passwords excepted.

    Args:
        data: Its YAML, read.
        body: The prompt below the front matter of a prompty.
    """
    form = canonical_form(without_secrets(data))
    return sha256(f"{form}\0{body}".encode("utf-8", "surrogatepass")).hexdigest()


def version_digest(files: Iterable[VersionFile], entry: str = "") -> str:
    """The id of a version: SHA-256 over the digests of its files, by path; hexadecimal.

    Args:
        files: In any order.
        entry: ``module:callable`` of a flow without a file.
    """
    listed = sorted([file.path, file.digest] for file in files)
    return sha256(canonical_form([FORMAT, entry, listed]).encode()).hexdigest()


def secret_values(data: Any) -> frozenset[str]:
    """Texts of at least 8 characters that stand under names such as ``api_key`` and are no references."""
    found: set[str] = set()
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found.update(item for key, item in value.items() if _is_secret(key, item))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return frozenset(found)


def without_secrets(data: Any) -> Any:
    """Plain data with :data:`LEFT_OUT` in place of every key and password."""
    if isinstance(data, Mapping):
        return {
            key: LEFT_OUT if _is_secret(key, item) else without_secrets(item) for key, item in data.items()
        }
    if isinstance(data, list):
        return [without_secrets(item) for item in data]
    return _TOKENS.sub(LEFT_OUT, data) if isinstance(data, str) else data


def _is_secret(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and len(value) >= _LEAST_SECRET
        and not any(character.isspace() for character in value)
        and _ELSEWHERE.search(value) is None
        and _IS_SECRET.fullmatch(key) is not None
    )


def hide_secrets(
    data: bytes, known: Iterable[str] = (), *, is_code: bool = False, is_settings: bool = False
) -> bytes:
    """A file with :data:`LEFT_OUT` in place of keys and passwords.

    Args:
        data: The file; one that is no text stays as it is.
        known: Texts that are secret. Tokens of well-known forms are as well.
        is_code: So are quoted texts under names such as ``api_key``.
        is_settings: So are texts without quotes under such names, as in YAML.
    """
    if b"\0" in data:
        return data
    try:
        text = before = data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, LEFT_OUT)
    text = _TOKENS.sub(LEFT_OUT, text)
    if is_code or is_settings:
        text = _SECRET_TEXT.sub(_hide_quoted, text)
    if is_settings:
        text = _PLAIN_SECRET.sub(lambda match: f"{match[1]}{LEFT_OUT}", text)
    return data if text == before else text.encode("utf-8")


def _hide_quoted(match: re.Match[str]) -> str:
    name, between, quote, value = match.groups()
    return match[0] if _ELSEWHERE.search(value) else f"{name}{between}{quote}{LEFT_OUT}{quote}"
