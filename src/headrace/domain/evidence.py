"""What live traffic leaves behind: who was shown which arm, what came of it, and what was said about it.

Every record has an id of its own and is kept once, however often it arrives; records arrive late, again and in any
order. Units are kept by a digest, never by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

Role: TypeAlias = Literal["assigned", "forced", "shadow", "holdout", "outside"]
"""Why an arm was chosen: by its buckets; by a tester; as a mirror; because the unit is held out; because the request is
not in the test. Only the first is evidence about an effect."""

ARM_FIELD: Final = "x-headrace-arm"
"""Header of an answer: the arm that the request was given."""

EXPOSURE_FIELD: Final = "x-headrace-exposure-id"
"""Header of an answer whose exposure was kept: what feedback is about."""

_HEADER_SAFE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

ROLES: Final[tuple[Role, ...]] = ("assigned", "forced", "shadow", "holdout", "outside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One request that an arm was chosen for, recorded before the arm is asked.

    Attributes:
        id: Unique: that of the request, for mirrors with the arm behind it.
        test: Name of the test.
        revision: Number of the revision that chose.
        at_ns: When, nanoseconds since the Unix epoch.
        unit: See :func:`unit_digest`.
        arm: Name of the arm.
        version: Version of the flow that the arm runs, as in the header of the answer.
        propensity: Chance of the arm for a unit in the test, above 0.
        role: See :data:`Role`.
        request_id: Id of the request, as in the header of the answer.
        trace_id: Of its trace; empty where there is none.
        attributes: What conditions looked at.
    """

    id: str
    test: str
    revision: int
    at_ns: int
    unit: str
    arm: str
    propensity: float
    role: Role = "assigned"
    version: str = ""
    request_id: str = ""
    trace_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came of an exposure.

    Attributes:
        exposure: Its id; an exposure has one completion, or none when the process died.
        test: Name of the test.
        at_ns: When the answer had ended.
        problem: Code of what went wrong in the arm, also where the baseline answered in its place; empty for success.
        is_gone: Whether the client went before the answer had ended; neither a success nor a failure of the arm.
        answered_by: The arm that answered.
        latency_ms: From the request to the end of the arm's answer.
        first_token_ms: To the first piece of a stream; ``None`` for an answer in one piece.
        prompt_tokens, completion_tokens: Of the models that were asked; ``None`` where they are not known.
        cost_usd: ``None`` where it is not known.
        inputs, outputs: What went in and came out, for requests that are logged; else ``None``.
        has_consent: Whether the request said that it may be used.
    """

    exposure: str
    test: str
    at_ns: int
    answered_by: str
    problem: str = ""
    is_gone: bool = False
    latency_ms: float = 0.0
    first_token_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    has_consent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What was said about a request or a unit, by people, evaluators or judges.

    Attributes:
        id: Unique; a client that repeats itself sends the same one.
        test: Name of the test; empty where only the request is known, until it is.
        at_ns: When it was said; when it came, where nobody says.
        metric: What it is about, e.g. ``thumbs``, ``rating``, ``groundedness``.
        value: ``None`` for text alone.
        exposure: Id of the exposure; empty where it is about a unit.
        unit: See :func:`unit_digest`; empty where it is about an exposure.
        source: ``user``, or the name of the evaluator.
        text: What was written.
    """

    id: str
    at_ns: int
    metric: str
    value: float | None
    test: str = ""
    exposure: str = ""
    unit: str = ""
    source: str = "user"
    text: str = ""


Evidence: TypeAlias = Exposure | Completion | Feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Evidence with its place in the order in which it arrived in the store; places grow, and may leave gaps."""

    place: int
    evidence: Evidence


def in_header(name: str) -> str:
    """The name of a test or an arm as a header can hold it: what is not ASCII, and ``%``, is percent-encoded."""
    return quote(name, safe=_HEADER_SAFE)


def unit_digest(test: str, unit: str) -> str:
    """What a unit is kept as: 32 hexadecimal digits, other ones in another test.

    Source: the first half of SHA-256 over the name of the test, a zero byte and the unit, in UTF-8.
    """
    return sha256(f"{test}\0{unit}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def feedback_key(*, test: str, exposure: str, unit: str, metric: str, given: str) -> str:
    """What feedback is kept by: the same for what comes again under one id, another one for all that differs.

    Args:
        test: Name of the test.
        exposure: As in :class:`Feedback`.
        unit: Likewise.
        metric: What it is about.
        given: The id that whoever says it has given.
    """
    parts = (test, exposure, unit, metric, given)
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
