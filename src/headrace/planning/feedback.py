"""What a client says about answers of an online test, from the body of ``/feedback``.

::

    {"request_id": "…", "metric": "resolved", "value": 1, "text": "…", "id": "…", "at": "2026-01-31T12:00:00Z"}
    {"unit_id": "…", "thumbs": "down", "rating": 2, "text": "…"}

``exposure_id`` is what ``request_id`` is. Any other body is feedback as prompt flow knows it, and no evidence.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import uuid4

from headrace.domain.evidence import Feedback, feedback_key, unit_digest
from headrace.errors import Problem, UsageError
from headrace.planning.asked_facts import MAX_FACT_CHARS, as_text, header_text

UNIT_ID = "x-headrace-unit-id"
"""Header with the unit that feedback is about, where its body names none."""

MAX_TEXT_CHARS = 10_000
"""Characters of a text that are kept."""

_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_THUMBS: Mapping[Any, float] = {"up": 1.0, "down": 0.0, True: 1.0, False: 0.0}
_LONGEST_ID = 300


def read_feedback(body: bytes, headers: Mapping[str, str], test: str) -> tuple[Feedback, ...]:
    """The records that a body says; none where it says nothing about a request or a unit.

    Args:
        body: Of the request.
        headers: Of the request; :data:`UNIT_ID` names a unit where the body does not.
        test: Name of the test.

    Raises:
        UsageError: D401 for what cannot be kept as it is said.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(said, dict):
        return ()
    about = _read_target(said, headers, test)
    if about is None:
        return ()
    text = said.get("text") or ""
    if not isinstance(text, str):
        _refuse("text", "a text")
    at_ns, given = _read_time(said.get("at")), _digits(said.get("id"))
    if given is not None and not _is_id(given):
        _refuse("id", f"a text of at most {MAX_FACT_CHARS} characters")
    scores = tuple(_read_scores(said))
    if not scores and text:
        scores = (("text", None),)
    return tuple(
        Feedback(
            id=feedback_key(
                test=test,
                exposure=about[0],
                unit=about[1],
                metric=metric,
                given=str(uuid4() if given is None else given),
            ),
            test=test,
            at_ns=at_ns,
            metric=metric,
            value=value,
            exposure=about[0],
            unit=about[1],
            text=text[:MAX_TEXT_CHARS],
        )
        for metric, value in scores
    )


def can_be_said(metric: str) -> bool:
    """Whether a body can name a metric."""
    return _METRIC.fullmatch(metric) is not None


def without_unit(body: bytes) -> bytes:
    """The body without the name of its unit, of which nothing but a digest is kept; unchanged where it names none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(said, dict) or "unit_id" not in said:
        return body
    del said["unit_id"]
    try:
        return json.dumps(said, ensure_ascii=False).encode(errors="replace")
    except RecursionError:
        return b"nested too deep"


def _read_target(said: Mapping[str, Any], headers: Mapping[str, str], test: str) -> tuple[str, str] | None:
    """The exposure, or the digest of the unit; the other one is empty."""
    for name in ("exposure_id", "request_id"):
        if name in said:
            if not _is_id(said[name]) or len(said[name]) > _LONGEST_ID:
                _refuse(name, "the id that came with the answer")
            return said[name], ""
    unit = _digits(said.get("unit_id"))
    if unit is None and UNIT_ID in headers:
        unit = header_text(headers[UNIT_ID].encode("latin-1"))
    if unit is None:
        return None
    if not _is_id(unit):
        _refuse("unit_id", f"a text of at most {MAX_FACT_CHARS} characters")
    return "", unit_digest(test, unit)


def _read_scores(said: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    if "thumbs" in said:
        thumbs = said["thumbs"]
        if not isinstance(thumbs, str | bool | int | float) or thumbs not in _THUMBS:
            _refuse("thumbs", '"up" or "down"')
        yield "thumbs", _THUMBS[thumbs]
    if "rating" in said:
        yield "rating", _number("rating", said["rating"])
    if "metric" in said:
        metric, value = said["metric"], said.get("value")
        if not isinstance(metric, str) or not can_be_said(metric):
            _refuse("metric", "a name of letters, digits, dots, dashes and underscores")
        if value is None and not said.get("text"):
            _refuse("value", "a number, or there is a text")
        yield metric, None if value is None else _number("value", value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, bool | int | float) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        _refuse(name, "a number")
    return number


def _read_time(said: Any) -> int:
    """Nanoseconds since the Unix epoch of seconds since then or an ISO 8601 text; now where nothing is said."""
    if said is None:
        return time.time_ns()
    try:
        if isinstance(said, str):
            moment = datetime.fromisoformat(said)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        else:
            seconds = _number("at", said)
        at_ns = int(seconds * 1e9)
    except (ValueError, OverflowError):
        _refuse("at", "a time such as 2026-01-31T12:00:00Z, or seconds since 1970")
    if not 0 <= at_ns < 2**63:
        _refuse("at", "a time from 1970 to 2262")
    return at_ns


def _digits(value: Any) -> Any:
    """A number as the text that it is hashed as where it stands in a request; all else unchanged."""
    return as_text(value) if isinstance(value, int | float) else value


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_FACT_CHARS


def _refuse(name: str, wanted: str) -> NoReturn:
    what = f'"{name}" of the feedback must be {wanted}.'
    raise UsageError(Problem(code="D401", what=what, fix="Correct it, or leave it away."))
