"""Parts that the sections of a traffic file share: shares, durations, switches, and places in a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, cast, get_args

from headrace.domain.traffic import UnitPlace, UnitSource
from headrace.formats.experiment_parts import no_mapping, refuse
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

PLACES: Final[tuple[UnitPlace, ...]] = get_args(UnitPlace)

DURATION: Final = r"^([0-9]+(\.[0-9]+)?[smhd])+$"
"""A duration: ``30s``, ``10m``, ``1h30m``, ``7d``."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""What names of headers and of cookies are made of: RFC 9110, 5.6.2, and RFC 6265, 4.1.1."""

_DURATION = re.compile(DURATION)
_PART = re.compile(r"([0-9.]+)([smhd])")
_LONGEST_S = 36_500 * 86_400
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def read_share(block: Block, key: str, *, default: float) -> float:
    """The share at ``key``, from 0 to 1; F005 for anything else."""
    return read_limited(block, key, default=default, low=0.0, high=1.0, wanted="a share from 0 to 1")


def read_limited(
    block: Block, key: str, *, default: float, low: float, high: float, wanted: str, is_open: bool = False
) -> float:
    """The number at ``key`` from ``low`` to ``high``; F005 for anything else.

    Args:
        block: Where to look.
        key: The key.
        default: What counts where nothing stands there.
        low: The lower limit.
        high: The upper limit.
        wanted: What should stand there, for people.
        is_open: Whether the limits themselves are too much.
    """
    number = block.number(key)
    if number is None:
        return default
    if not isfinite(number) or not low <= number <= high or (is_open and number in (low, high)):
        refuse(block, key, wanted)
        return default
    return float(number)


def read_flag(block: Block, key: str) -> bool:
    """Whether ``key`` is true; F005 for what is neither true nor false."""
    value = block.data.get(key)
    if value is not None and not isinstance(value, bool):
        refuse(block, key, "true or false")
    return value is True


def read_duration(block: Block, key: str, *, default: float, is_positive: bool = False) -> float:
    """The duration at ``key`` in seconds; F005 for what is none.

    Args:
        block: Where to look.
        key: The key.
        default: Seconds where nothing stands there.
        is_positive: Whether nothing is too short.
    """
    value = block.data.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        refuse(block, key, "a duration as in 30s, 10m, 2h or 1d")
        return default
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    if seconds > _LONGEST_S:
        refuse(block, key, "a duration of at most 36500d")
        return default
    if is_positive and not seconds:
        refuse(block, key, "a duration above 0s")
        return default
    return seconds


def read_header(block: Block, key: str) -> str:
    """The name of a header in small letters; empty where there is none."""
    text = block.text(key)
    if text is not None and not _TOKEN.fullmatch(text):
        refuse(block, key, "the name of a header")
        return ""
    return (text or "").lower()


def read_unit(pointer: Pointer, value: Any, findings: Findings) -> UnitSource | None:
    """One place of a unit: a mapping with one of header, cookie, field and session."""
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "a mapping with one of header, cookie, field and session")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(PLACES, "A unit", severity="error")
    return read_place(block, "The unit")


def read_place(block: Block, owner: str) -> UnitSource | None:
    """The place that a mapping names by exactly one of header, cookie, field and session; F005 or F006 otherwise.

    The name of a header is in small letters then.
    """
    place = one_of(block, PLACES, owner)
    if place is None:
        return None
    name = read_header(block, place) if place == "header" else block.text(place)
    if not name:
        if not block.data[place]:
            block.missing(place, owner)
        return None
    if place == "cookie" and not _TOKEN.fullmatch(name):
        refuse(block, place, "the name of a cookie")
        return None
    return UnitSource(place=cast("UnitPlace", place), name=name)


def one_of(block: Block, keys: Sequence[str], owner: str) -> str | None:
    """The one of several keys that a mapping has; F006 without one, F005 for each further one."""
    given = [key for key in block.data if key in keys]
    if not given:
        what = f"{owner} has none of {', '.join(keys[:-1])} and {keys[-1]}."
        block.findings.add("F006", block.pointer, what, f"Add one of {', '.join(keys)}.")
        return None
    for key in given[1:]:
        what = f"{owner} has {given[0]} already, so it cannot have {key} as well."
        block.findings.add("F005", block.at(key), what, f"Keep one of {' and '.join(given)}.", at_key=True)
    return given[0]
