"""From what tools return to plain data that can be recorded as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

from headrace.domain.multimedia import BASIC, Image, Text, media_form
from headrace.domain.values import MAX_INTEGER_BITS

_SCALARS = (str, int, float, bool, type(None))
_LONG_INTEGER = "whole number of thousands of digits"


class NotPlainError(TypeError):
    """A value has no plain form; ``args[0]`` is the name of its type."""


class TooLongError(NotPlainError):
    """An integer has so many digits that Python refuses to write it."""


def to_plain(value: Any, message_format: str = BASIC) -> Any:
    """Plain copy of ``value``: dataclasses become mappings, enums their value, dates ISO text, keys text.

    Images become the mappings of the message format, as :class:`~headrace.domain.multimedia.MediaForm`.

    Raises:
        NotPlainError: Something inside has no plain form.
    """
    kind = type(value)
    if kind in _SCALARS:
        if kind is int and value.bit_length() > MAX_INTEGER_BITS:
            raise TooLongError(_LONG_INTEGER)
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): to_plain(item, message_format) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, message_format) for item in value]
    return _unusual(value, message_format)


def _unusual(value: Any, message_format: str) -> Any:
    if isinstance(value, (Image, Text)):
        return media_form(value, message_format)
    if isinstance(value, Enum):
        return to_plain(value.value, message_format)
    for kind in (bool, int, float, str):  # subclasses of scalars, e.g. a prompt's text
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name), message_format) for field in fields}
    raise NotPlainError(type(value).__name__)


def to_record(value: Any, message_format: str = BASIC) -> Any:
    """Like :func:`to_plain`, but what has no plain form is kept as its ``repr``, cut at 1,000 characters."""
    try:
        return to_plain(value, message_format)
    except TooLongError:  # its repr cannot be written either
        return f"<{type(value).__name__} with a {_LONG_INTEGER}>"
    except NotPlainError:
        return repr(value)[:1000]
    except RecursionError:
        return f"<{type(value).__name__} that is nested too deeply>"


def to_piece(value: Any, message_format: str = BASIC) -> Any:
    """Like :func:`to_plain`, but what has no plain form is its text, as in the joined text of all pieces."""
    try:
        return to_plain(value, message_format)
    except (NotPlainError, RecursionError):
        return str(value)


def recorded_inputs(inputs: Mapping[str, Any], message_format: str = BASIC) -> dict[str, Any]:
    """The inputs of a line as they are recorded."""
    return {name: to_record(value, message_format) for name, value in inputs.items()}
