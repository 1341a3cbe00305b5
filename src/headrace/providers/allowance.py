"""What a service says about its limits in the headers of an answer: OpenAI's form and Azure's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_REQUESTS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
_TOKENS = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One limit as an answer states it; ``None`` for what it does not say.

    Attributes:
        limit: What is allowed per minute.
        remaining: What is left of it.
        reset_s: Seconds until all of it is there again.
    """

    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """The limits of one answer."""

    requests: Allowance
    tokens: Allowance


def read_allowances(headers: Mapping[str, str]) -> Allowances | None:
    """The limits in ``headers``, whose names are looked up in lower case; ``None`` when there are none."""
    requests, tokens = _read(headers, _REQUESTS), _read(headers, _TOKENS)
    if requests is None and tokens is None:
        return None
    return Allowances(requests=requests or Allowance(), tokens=tokens or Allowance())


def _read(headers: Mapping[str, str], names: tuple[str, str, str]) -> Allowance | None:
    limit_name, remaining_name, reset_name = names
    limit, remaining = parse_number(headers.get(limit_name)), parse_number(headers.get(remaining_name))
    if limit is None and remaining is None:
        return None
    # Some gateways say 0 for "no limit".
    return Allowance(
        limit=limit or None, remaining=remaining, reset_s=parse_duration(headers.get(reset_name))
    )


def parse_duration(text: str | None) -> float | None:
    """Seconds of ``1h2m3.5s``, ``120ms`` or a bare number of seconds; ``None`` when it cannot be read."""
    seconds = parse_number(text)
    if seconds is not None or not text:
        return seconds
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def parse_number(text: str | None) -> float | None:
    """A number of a header, never below 0; ``None`` when there is none."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    # NaN and infinity are numbers to float() but not to a timer.
    return value if 0 <= value < float("inf") else None
