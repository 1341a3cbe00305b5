"""Plain YAML scalars under YAML 1.2 rules, as prompt flow's own loader reads them.

``yes``, ``no``, ``on`` and ``off`` are text, ``012`` is twelve, ``0o12`` is ten, ``1e3`` is a float, a
date is a date and ``12:30:45`` is text. Underscores in numbers are allowed and ignored. The rules were
compared with the loader that prompt flow uses; tests/unit/formats/test_scalars.py holds the table.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_STARTS = frozenset("0123456789+-.")

_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*|_*[0-9][0-9_]*)", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?",
    re.ASCII,
)
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?"
    r"(?:[ \t]*(?:(Z)|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?",
    re.ASCII,
)


def resolve_plain(text: str) -> Any:
    """The value of an unquoted scalar: None, bool, int, float, date, datetime or the text itself."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _FLOAT.fullmatch(text) or _SPECIAL_FLOAT.fullmatch(text):
        return read_float(text)
    if _INT.fullmatch(text):
        return read_int(text)
    return _read_time(text)


def read_int(text: str) -> int | str:
    """Read an integer in any of the notations; text that holds no digit stays text."""
    plain = text.replace("_", "")
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
    if base != 10:
        digits = digits[2:]
    try:
        return sign * int(digits, base)
    except ValueError:
        return text


def read_float(text: str) -> float | str:
    """Read a floating-point number; text that is none stays text."""
    special = _SPECIAL_FLOAT.fullmatch(text)
    plain = text.replace("_", "")
    if special:
        plain = f"{special[1] or ''}{text[-3:]}"
    try:
        return float(plain)
    except ValueError:
        return text


def _read_time(text: str) -> date | datetime | str:
    """A date, a date with time (aware only when the text names a zone), or the text itself."""
    day = _DATE.fullmatch(text)
    moment = _DATETIME.fullmatch(text)
    try:
        if day:
            return date(int(day[1]), int(day[2]), int(day[3]))
        if moment:
            return _moment(moment)
    except ValueError:
        return text
    return text


def _moment(found: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction, zulu, sign, zone_hour, zone_minute = found.groups()
    zone = timezone.utc if zulu else None  # noqa: UP017 — UTC is an alias of it from 3.11 on
    if sign:
        offset = timedelta(hours=int(zone_hour), minutes=int(zone_minute or 0))
        zone = timezone(offset if sign == "+" else -offset)
    microsecond = round(float(f"0.{fraction or 0}") * 1_000_000)
    whole = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=zone)
    return whole + timedelta(microseconds=microsecond)
