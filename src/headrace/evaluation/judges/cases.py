"""What is decided without asking a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headrace.evaluation.judges.graders import HIGHEST, LOWEST, PAIRWISE, Grader
from headrace.evaluation.judges.replies import Reply

_REFERENCE = "reference"
_NOUNS = {"criteria": "There are no criteria"}


class NothingToJudgeError(ValueError):
    """An input without which nothing can be said about the answer is empty; its text says which."""


def as_text(value: Any) -> str:
    """A value as a judge is shown it: a list as its items, one after the other; other data as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, tuple)):
        return "\n\n".join(filter(None, map(as_text, value)))
    return json.dumps(value, ensure_ascii=False, default=str)


def decide_grade(grader: Grader, texts: Mapping[str, str]) -> Reply | None:
    """What is clear about one answer; ``None`` where a judge has to be asked.

    Args:
        grader: Any but pairwise.
        texts: The grader's inputs, as :func:`as_text` gives them.

    Raises:
        NothingToJudgeError: There is nothing to judge the answer by.
    """
    for name in grader.needs:
        if not texts.get(name):
            what = f"{_NOUNS.get(name, f'There is no {name}')} to judge the answer by."
            raise NothingToJudgeError(what)
    if not texts.get("answer"):
        return Reply(grade=LOWEST, reason="The answer is empty.")
    if _REFERENCE in grader.needs and texts["answer"] == texts[_REFERENCE]:
        return Reply(grade=HIGHEST, reason="The answer is the reference, word for word.")
    return None


def decide_pair(answer: str, baseline: str) -> float | None:
    """1 where only the answer says something, 0 where only the baseline does, 0.5 for the same; ``None`` to ask."""
    if answer == baseline:
        return 0.5
    if not answer:
        return 0.0
    return None if baseline else 1.0


def is_pairwise(grader: Grader) -> bool:
    """Whether a grader compares two answers."""
    return grader.name == PAIRWISE
