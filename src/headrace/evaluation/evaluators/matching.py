"""Answers that are right or wrong: exact match, containment, patterns, numbers within a tolerance."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from headrace.errors import DefinitionError, Problem
from headrace.evaluation.evaluators.base import Judge, Scores, only, unscorable
from headrace.evaluation.evaluators.text import (
    as_text,
    collapse,
    fold,
    references_of,
    shorten,
    squad_normalise,
)

NORMALISATIONS: dict[str, Callable[[str], str]] = {
    "none": str,
    "blanks": collapse,
    "case": lambda text: collapse(text).casefold(),
    "squad": squad_normalise,
    "unicode": fold,
}
_NUMBERS = {
    ".": re.compile(
        r"(?:(?<![\w.,])[-+−])?(?:\d{1,3}(?:[,'\u2019\u00a0\u202f]\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?%?"
    ),
    ",": re.compile(
        r"(?:(?<![\w.,])[-+−])?(?:\d{1,3}(?:[.'\u2019\u00a0\u202f]\d{3})+(?!\d)|\d+)?(?:,\d+)?(?:[eE][-+]?\d+)?%?"
    ),
}
"""A number in a text, by the sign before its decimals."""

_MAX_PATTERN_TEXT = 100_000


def make_exact_match(*, normalisation: str) -> Judge:
    """1 where the answer is one of the right answers after ``normalisation``, else 0."""
    change = NORMALISATIONS[normalisation]

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        wanted = references_of(reference, "exact_match")
        given = change(as_text(prediction))
        if any(given == change(item) for item in wanted):
            return only(1.0)
        return only(0.0, f"Expected {shorten(wanted[0])!r}, got {shorten(as_text(prediction))!r}.")

    return judge


def make_contains(*, normalisation: str, mode: str) -> Judge:
    """1 where the answer contains any, or all, of the right answers after ``normalisation``, else 0."""
    change = NORMALISATIONS[normalisation]

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        wanted = references_of(reference, "contains")
        given = change(as_text(prediction))
        # Empty text is in every text; as an answer it is right only where nothing was said.
        missing = [item for item in wanted if not (change(item) in given if change(item) else not given)]
        is_right = not missing if mode == "all" else len(missing) < len(wanted)
        return only(1.0) if is_right else only(0.0, f"The answer does not contain {shorten(missing[0])!r}.")

    return judge


def make_regex(*, pattern: str, ignore_case: bool, whole: bool) -> Judge:
    """1 where the pattern is found in the answer (or fits all of it), else 0.

    Raises:
        DefinitionError: G923 for a pattern that Python's ``re`` cannot read.
    """
    try:
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        what = f"The pattern of the evaluator cannot be read: {error}."
        fix = "Write a regular expression of Python."
        raise DefinitionError(Problem(code="G923", what=what, fix=fix)) from error
    find = compiled.fullmatch if whole else compiled.search

    def judge(prediction: Any = None) -> Scores:
        text = as_text(prediction)
        if len(text) > _MAX_PATTERN_TEXT:
            what = f"regex cannot score the line: the answer has {len(text):,} characters."
            raise unscorable(what, f"Shorten answers to {_MAX_PATTERN_TEXT:,} characters.")
        return only(1.0) if find(text) else only(0.0, "The pattern is not in the answer.")

    return judge


def make_numeric(*, absolute: float, relative: float, decimal: str) -> Judge:
    """1 where the last number of the answer is near enough to the right one, else 0.

    Near enough: ``|answer - right| <= max(absolute, relative * |right|)``.
    """

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        right = find_number(reference, decimal)
        if right is None:
            what = "numeric cannot score the line: the right answer holds no finite number."
            raise unscorable(what, "Give a number as the reference.")
        given = find_number(prediction, decimal)
        if given is None:
            return only(0.0, "The answer holds no finite number.")
        difference = abs(given - right)
        is_near = difference <= max(absolute, relative * abs(right)) or math.isclose(
            given, right, rel_tol=1e-12, abs_tol=0.0
        )
        return only(1.0) if is_near else only(0.0, f"Expected {right:g}, got {given:g}, {difference:g} off.")

    return judge


def find_number(value: Any, decimal: str = ".") -> float | None:
    """A number, or the last one in a text; ``None`` where there is none that is finite.

    Marks between groups of three digits do not count, and ``12%`` is 0.12.

    Args:
        value: A number or a text.
        decimal: The sign before decimals in a text, "." or ",".
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    text = as_text(value)[-_MAX_PATTERN_TEXT:]
    found = [item for item in _NUMBERS[decimal].findall(text) if any(sign.isdigit() for sign in item)]
    if not found:
        return None
    digits = found[-1].replace("−", "-").removesuffix("%")
    digits = re.sub(r"['\u2019\u00a0\u202f]", "", digits).replace("," if decimal == "." else ".", "")
    try:
        number = float(digits.replace(decimal, "."))
    except ValueError:
        return None
    number = number / 100 if found[-1].endswith("%") else number
    return number if math.isfinite(number) else None
