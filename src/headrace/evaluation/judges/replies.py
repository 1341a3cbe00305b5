"""What judges reply, read strictly: a reply that is no grade is told apart from a bad grade."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.evaluation.judges.graders import HIGHEST, LOWEST

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)
_WHOLE = re.compile(r"[+-]?\d{1,3}(?:\.0+)?")
_WINNERS = ("first", "second", "tie")
_LONGEST_REASON = 1_000
_MOST_STEPS = 12


class UnreadableReplyError(ValueError):
    """A reply that holds no judgement; its text says to the judge what is wrong with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a judge says.

    Attributes:
        grade: From 1 to 5; ``None`` where two answers were compared.
        winner: first, second or tie; ``None`` where one answer was graded.
        reason: Why; empty where the judge gives none.
    """

    grade: int | None = None
    winner: str | None = None
    reason: str = ""


def read_grade(text: str) -> Reply:
    """Read a reply to a grader of one answer.

    Raises:
        UnreadableReplyError: It is no JSON object with a whole grade on the scale.
    """
    data = _read_object(text)
    grade = _whole(data.get("grade"))
    if grade is None or not LOWEST <= grade <= HIGHEST:
        what = f'The key "grade" must hold one whole number from {LOWEST} to {HIGHEST}.'
        raise UnreadableReplyError(what)
    return Reply(grade=grade, reason=_reason(data))


def read_winner(text: str) -> Reply:
    """Read a reply to the comparison of two answers.

    Raises:
        UnreadableReplyError: It is no JSON object that names the winner.
    """
    data = _read_object(text)
    winner = data.get("winner")
    winner = winner.strip().lower() if isinstance(winner, str) else None
    if winner not in _WINNERS:
        what = 'The key "winner" must hold one of "first", "second" and "tie".'
        raise UnreadableReplyError(what)
    return Reply(winner=winner, reason=_reason(data))


def read_steps(text: str) -> tuple[str, ...]:
    """Read the steps that a judge has made of criteria.

    Raises:
        UnreadableReplyError: It is no JSON object with a list of steps.
    """
    steps = _read_object(text).get("steps")
    found = [item.strip() for item in steps if isinstance(item, str)] if isinstance(steps, list) else []
    if not any(found):
        what = 'The key "steps" must hold a list of texts.'
        raise UnreadableReplyError(what)
    return tuple(item for item in found if item)[:_MOST_STEPS]


def _read_object(text: str) -> Mapping[str, Any]:
    """The JSON object of a reply, also where words or a fence stand around it."""
    fenced = _FENCED.search(text)
    begin, end = text.find("{"), text.rfind("}")
    for candidate in (text, fenced[1] if fenced else "", text[begin : end + 1] if 0 <= begin < end else ""):
        try:
            data = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            return data
    what = "The reply must be one JSON object and nothing else."
    raise UnreadableReplyError(what)


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if abs(value) < 1_000 and value == int(value) else None  # NaN is less than nothing


def _reason(data: Mapping[str, Any]) -> str:
    reason = data.get("reason")
    return " ".join(reason.split())[:_LONGEST_REASON] if isinstance(reason, str) else ""
