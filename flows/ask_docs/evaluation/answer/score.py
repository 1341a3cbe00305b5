"""Scores one answer: its wording, what was retrieved for it, and what it cites, against what was expected."""

import re
import string
from collections import Counter

from promptflow.core import tool

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


@tool
def score(groundtruth: str, prediction: str, source: str, citations: list, sources: list) -> dict:
    """Returns four numbers from 0 to 1; `source` is empty where "I don't know." is the right answer.

    `retrieval_hit` is null for such a line, because no section could have been found.
    """
    wanted, given = _words(groundtruth), _words(prediction)
    return {
        "exact_match": float(wanted == given),
        "f1": _f1(wanted, given),
        "retrieval_hit": float(source in sources) if source else None,
        "citation": float(list(citations) == ([source] if source else [])),
    }


def _words(text: str) -> list[str]:
    """The words as SQuAD's evaluation compares them: lower case, no punctuation, no articles."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def _f1(wanted: list[str], given: list[str]) -> float:
    if not wanted or not given:
        return float(wanted == given)
    shared = (Counter(wanted) & Counter(given)).total()
    return 2 * shared / (len(wanted) + len(given))
