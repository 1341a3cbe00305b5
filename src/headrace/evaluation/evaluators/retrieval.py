"""Ranked documents against relevance labels, and citations against the sources that were given."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.domain.scores import Score
from headrace.errors import DefinitionError, Problem
from headrace.evaluation.evaluators.base import MAIN, Judge, Scores, score, unscorable
from headrace.evaluation.evaluators.text import as_list, as_text, parse_json

_ID_KEYS = ("id", "doc_id", "document_id", "source", "path", "url", "chunk_id", "name", "title")


def make_retrieval(*, k: int) -> Judge:
    """Hit, precision, recall, reciprocal rank and nDCG of the first ``k`` documents.

    nDCG uses the gain ``2**grade - 1`` and the discount ``log2(rank + 1)`` (Burges et al. 2005); a document that
    comes twice counts where it comes first.
    """

    def judge(retrieved: Any = None, relevant: Any = None) -> Scores:
        grades = _read_grades(relevant)
        ranked = list(dict.fromkeys(_ids(as_list(retrieved))))[:k]
        ranks = [rank for rank, item in enumerate(ranked, start=1) if grades.get(item, 0.0) > 0]
        n_relevant = sum(grade > 0 for grade in grades.values())
        ideal = _gain(sorted(grades.values(), reverse=True)[:k])
        reason = None if ranks else f"None of the {len(ranked)} documents is relevant."
        return {
            "hit": score(float(bool(ranks)), reason),
            "precision": score(len(ranks) / k),
            "recall": score(len(ranks) / n_relevant),
            "mrr": score(1 / ranks[0] if ranks else 0.0),
            "ndcg": score(min(_gain([grades.get(item, 0.0) for item in ranked]) / ideal, 1.0)),
        }

    return judge


def _gain(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def _read_grades(relevant: Any) -> dict[str, float]:
    """Grades by document: of a mapping, of a list of mappings with a grade, or 1 for each item of a list."""
    if isinstance(relevant, str) and relevant.lstrip().startswith("{"):
        try:
            relevant = parse_json(relevant)
        except ValueError:
            relevant = [relevant]
    if isinstance(relevant, Mapping):
        pairs: Iterable[tuple[Any, Any]] = relevant.items()
    else:
        pairs = [(item, _grade_of(item)) for item in as_list(relevant)]
    grades: dict[str, float] = {}
    for item, grade in pairs:
        number = float(grade) if isinstance(grade, (bool, int, float)) else math.nan
        if not 0 <= number <= 100:
            what = "retrieval cannot score the line: the grade of a relevant document is no number from 0 to 100."
            raise unscorable(what, "Write grades such as 0, 1, 2, 3.")
        grades[_id_of(item)] = number
    if not any(grades.values()):
        what = "retrieval cannot score the line: no document is labelled as relevant."
        raise unscorable(what, "Name the relevant documents of the line, or leave it out of the data.")
    return grades


def _grade_of(item: Any) -> Any:
    if isinstance(item, Mapping):
        return next((item[key] for key in ("grade", "relevance", "score") if key in item), 1)
    return 1


def _ids(items: Iterable[Any]) -> list[str]:
    return [_id_of(item) for item in items if item is not None]


def _id_of(item: Any) -> str:
    if isinstance(item, Mapping):
        return as_text(next((item[key] for key in _ID_KEYS if key in item), item))
    return as_text(item)


def make_citations(*, pattern: str) -> Judge:
    """Whether what an answer cites exists among its sources, and with labels precision and recall of the citations.

    Raises:
        DefinitionError: G923 for a pattern that Python's ``re`` cannot read, or that has no group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        what = f"The pattern of the evaluator cannot be read: {error}."
        fix = "Write a regular expression of Python."
        raise DefinitionError(Problem(code="G923", what=what, fix=fix)) from error
    if compiled.groups != 1:
        what = "The pattern of the evaluator must have exactly one group: the name of the source."
        raise DefinitionError(Problem(code="G923", what=what, fix=r"For [1] and [2] write \[(\d+)\]."))

    def judge(prediction: Any = None, sources: Any = None, relevant: Any = None) -> Scores:
        known = _source_ids(sources)
        cited = list(dict.fromkeys(found.strip() for found in compiled.findall(as_text(prediction))))
        good = [item for item in cited if item in known]
        return {**_existence(cited, good), **_against_labels(good, cited, relevant)}

    return judge


def _source_ids(sources: Any) -> set[str]:
    items = list(sources) if isinstance(sources, Mapping) else as_list(sources)
    if not items:
        what = "citations cannot score the line: it has no sources."
        raise unscorable(what, "Map the input sources to the documents that the answer was made from.")
    # Sources without names of their own are known by their place: [1] is the first.
    named = [_id_of(item) for item in items if isinstance(item, str) or _has_id(item)]
    return {*named, *(str(place) for place in range(1, len(items) + 1))} if items else set()


def _has_id(item: Any) -> bool:
    return isinstance(item, Mapping) and any(key in item for key in _ID_KEYS)


def _existence(cited: Sequence[str], good: Sequence[str]) -> dict[str, Score]:
    wrong = [item for item in cited if item not in good]
    if not cited:
        return {MAIN: score(0.0, "The answer cites nothing.", "none")}
    reason = f"Not among the sources: {', '.join(wrong[:5])}." if wrong else None
    label = "invalid" if wrong else "valid"
    return {MAIN: score(len(good) / len(cited), reason, label)}


def _against_labels(good: Sequence[str], cited: Sequence[str], relevant: Any) -> dict[str, Score]:
    if relevant is None or relevant == "":
        return {}
    wanted = set(_ids(as_list(relevant)))
    if not wanted:
        return {}
    hits = sum(item in wanted for item in good)
    return {
        "citation_precision": score(hits / len(cited) if cited else 0.0),
        "citation_recall": score(hits / len(wanted)),
    }
