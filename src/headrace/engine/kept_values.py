"""Outputs of nodes as text that reads back as the same value, types included: plain data, images and annotated texts.

Plain data is written as JSON. With an image or such a text in it, every mapping and list is written as what it is.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from headrace.domain.multimedia import Image, Text
from headrace.domain.values import MAX_INTEGER_BITS

_SCALARS = (str, int, float, bool, type(None))
_MEDIA = '{"":"media","value":'
"""How a text begins that is not plain JSON; a plain output that begins like this is written as one with media is."""


def write_kept(value: Any) -> str | None:
    """A value as text in ASCII; ``None`` when it would not read back as what it is."""
    try:
        text = _MEDIA if _look(value) else _encode(value)
        return _encode({"": "media", "value": _form(value)}) if text.startswith(_MEDIA) else text
    except (TypeError, RecursionError):
        return None


def read_kept(text: str) -> Any:
    """A value of its own for whoever asks."""
    value = json.loads(text)
    return _value(value["value"]) if text.startswith(_MEDIA) else value


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), check_circular=False)


def _look(value: Any) -> bool:
    """Whether there is more than plain data in a value.

    Raises:
        TypeError: Something inside cannot be written.
    """
    kind = type(value)
    if kind is int:
        if value.bit_length() > MAX_INTEGER_BITS:
            raise TypeError
        return False
    if kind in _SCALARS:
        return False
    if kind is list:
        # Not any(), which would not look behind the first image.
        return True in [_look(item) for item in value]
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise TypeError
        return True in [_look(item) for item in value.values()]
    if kind is Image:
        return True
    if kind is Text:
        _look(value.fingerprint_form())
        return True
    raise TypeError


def _form(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return {"list": [_form(item) for item in value]}
    if kind is dict:
        return {"dict": {key: _form(item) for key, item in value.items()}}
    if kind is Image:
        return {"image": value.to_base64(), "type": value.media_type, "address": value.source_url}
    if kind is Text:
        return {"text": value.fingerprint_form()}
    return value


def _value(form: Any) -> Any:
    if not isinstance(form, Mapping):
        return form
    if "list" in form:
        return [_value(item) for item in form["list"]]
    if "dict" in form:
        return {key: _value(item) for key, item in form["dict"].items()}
    if "image" in form:
        return Image(b64decode(form["image"]), form["type"], form["address"])
    return Text(*form["text"])
