"""Scores one answer: its words and its citation against what was expected."""

import re
from collections import Counter

from promptflow.core import tool


@tool
def score(groundtruth: str, prediction: str, source: str, citations: list) -> dict:
    """Three numbers from 0 to 1; `source` is empty where "I don't know." is the right answer."""
    wanted, given = words_of(groundtruth), words_of(prediction)
    return {
        "f1": overlap(wanted, given),
        "contains": float(f" {' '.join(wanted)} " in f" {' '.join(given)} "),
        "cited": float(list(citations) == ([source] if source else [])),
    }


def words_of(text: str) -> list[str]:
    """Words and numbers in small letters, without articles."""
    return [word for word in re.findall(r"[\w.:@']*\w", text.lower()) if word not in ("a", "an", "the")]


def overlap(wanted: list[str], given: list[str]) -> float:
    """F1: the harmonic mean of how much of the answer was wanted, and how much of what was wanted is there."""
    shared = (Counter(wanted) & Counter(given)).total()
    return 2 * shared / (len(wanted) + len(given)) if shared else 0.0
