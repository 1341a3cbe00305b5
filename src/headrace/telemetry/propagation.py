"""W3C trace context and baggage: read from a request that comes in, written to requests that go out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.telemetry.spans import ActiveSpan, is_in_share

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_LONGEST_STATE = 512
_LONGEST_BAGGAGE = 8192
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The span of another program that a request belongs to.

    Attributes:
        is_sampled: Whether the caller records it.
        trace_state: Its ``tracestate``; empty for none.
        baggage: Its ``baggage``; empty for none.
    """

    trace_id: str
    span_id: str
    is_sampled: bool
    trace_state: str = ""
    baggage: str = ""


def read_caller(headers: Mapping[str, str]) -> Caller | None:
    """The caller in the headers of a request, by names in lower case; ``None`` where they name none in valid form."""
    found = _PARENT.fullmatch(headers.get("traceparent", "").strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Caller(
        trace_id=trace_id,
        span_id=span_id,
        is_sampled=bool(int(flags, 16) & 1),
        trace_state=_plain(headers.get("tracestate", ""), _LONGEST_STATE),
        baggage=_plain(headers.get("baggage", ""), _LONGEST_BAGGAGE),
    )


def trace_headers(span: ActiveSpan) -> dict[str, str]:
    """The headers that name a span to the program that is asked.

    Baggage is the caller's own and may hold anything, so it is not passed on to services.
    """
    scope = span.scope
    is_sampled = is_in_share(span.trace_id, scope.share) if scope.is_sampled is None else scope.is_sampled
    headers = {"traceparent": f"00-{span.trace_id}-{span.span_id}-{'01' if is_sampled else '00'}"}
    if span.scope.trace_state:
        headers["tracestate"] = span.scope.trace_state
    return headers


def _plain(text: str, longest: int) -> str:
    """A header that may be sent on; nothing where it is too long or holds what no header may."""
    return text if len(text) <= longest and _HEADER_TEXT.fullmatch(text) else ""
