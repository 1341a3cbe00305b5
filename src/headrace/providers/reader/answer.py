"""Question answering by extraction: the unit of the context that matches the question best."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from headrace.providers.reader.conventions import (
    citation_form,
    wants_short_answer,
    without_citation,
)
from headrace.providers.reader.passages import Passage, Unit
from headrace.providers.reader.prompt import Example, Prompt
from headrace.providers.reader.spans import QuestionKind, question_kind, short_span, spans_of_kind
from headrace.providers.reader.vectors import word_similarities
from headrace.providers.reader.words import (
    content_stems,
    inverse_document_frequency,
    stems,
)

# Saturation of repeated terms and length normalisation of BM25 (Robertson and Zaragoza 2009, section 3).
_SATURATION = 1.2
_LENGTH_SHARE = 0.35
# What a question's word counts in a heading above the unit, and elsewhere in its passage.
_HEADING_SHARE = 0.5
_PASSAGE_SHARE = 0.25
_PAIR_BONUS = 0.4
_KIND_BONUS = 1.3
_DEFINITION_BONUS = 1.5
_CODE_DISCOUNT = 0.7
_QUESTION_DISCOUNT = 0.5
# So many of the best units are looked at for the kind of thing that is asked for.
_RERANKED = 12
# The share of the question's weight that the passage and the unit must hold; below it nothing is known.
_LEAST_PASSAGE_COVERAGE = 0.4
_LEAST_UNIT_COVERAGE = 0.25
# An example answers in the stead of a context only when it asks nearly the same.
_LEAST_EXAMPLE_SIMILARITY = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """One unit with its passage and the question's words that each of the two holds."""

    passage: Passage
    unit: Unit
    terms: tuple[str, ...]
    in_heading: frozenset[str]
    in_passage: frozenset[str]


def answer_question(prompt: Prompt) -> str | None:
    """The extracted answer, cited where the prompt cites, or None when the prompt does not hold one."""
    if not content_stems(prompt.query):
        return None
    if not prompt.passages:
        return _answer_of_example(prompt.query, prompt.examples)
    kind, telling = question_kind(prompt.query)
    best = _best_unit(prompt.query, kind, telling, prompt.passages)
    if best is None:
        return None
    text = _phrased(best.unit, kind, prompt)
    form = citation_form(prompt.instructions, prompt.examples, [p.id for p in prompt.passages])
    return form.cite(text, best.passage.id) if form and best.passage.id else text


def _answer_of_example(question: str, examples: Sequence[Example]) -> str | None:
    nearness = word_similarities(question, [example.input for example in examples])
    best = max(range(len(examples)), key=lambda index: nearness[index], default=None)
    is_near = best is not None and nearness[best] >= _LEAST_EXAMPLE_SIMILARITY
    return examples[best].output if is_near and best is not None else None


def _best_unit(
    question: str, kind: QuestionKind, telling: str, passages: Sequence[Passage]
) -> _Candidate | None:
    asked = tuple(dict.fromkeys(content_stems(question)))
    found = [candidate for passage in passages for candidate in _candidates(passage, frozenset(asked))]
    weights = _weights(asked, found)
    mean_length = sum(len(candidate.unit.text) for candidate in found) / len(found)
    scored = sorted(((_score(one, weights, mean_length), one) for one in found), key=lambda pair: -pair[0])
    best = max(scored[:_RERANKED], key=lambda pair: pair[0] * _fit(pair[1].unit, kind, weights))[1]
    held = best.in_heading.union(best.terms)
    if spans_of_kind(best.unit, kind, weights):
        # "Which file": a sentence with a file name holds what this word asks for.
        held |= {telling}
    is_known = (
        _share(weights, held) >= _LEAST_UNIT_COVERAGE
        and _share(weights, held | best.in_passage) >= _LEAST_PASSAGE_COVERAGE
    )
    return best if is_known else None


def _candidates(passage: Passage, asked: frozenset[str]) -> list[_Candidate]:
    terms = [stems(unit.text) for unit in passage.units]
    headings = [asked.intersection((*stems(unit.heading), *stems(passage.id))) for unit in passage.units]
    in_passage = asked.intersection(set[str]().union(*terms, *headings))
    return [
        _Candidate(passage=passage, unit=unit, terms=own, in_heading=heading, in_passage=in_passage)
        for unit, own, heading in zip(passage.units, terms, headings, strict=True)
    ]


def _weights(asked: Sequence[str], found: Sequence[_Candidate]) -> dict[str, float]:
    """IDF of the question's words among the units; a word that no unit holds weighs most."""
    held = [
        candidate.in_heading.union(term for term in asked if term in candidate.terms) for candidate in found
    ]
    rarity = inverse_document_frequency(held)
    return {term: rarity.get(term, math.log(1 + len(found))) for term in asked}


def _share(weights: Mapping[str, float], held: Collection[str]) -> float:
    """The share, 0 to 1, of the question's weight that is held."""
    return sum(weight for term, weight in weights.items() if term in held) / sum(weights.values())


def _score(candidate: _Candidate, weights: Mapping[str, float], mean_length: float) -> float:
    """How much of the question a unit holds, in the manner of BM25; its surroundings count in part."""
    terms = candidate.terms
    norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * len(candidate.unit.text) / mean_length)
    score = 0.0
    for term, weight in weights.items():
        count = terms.count(term)
        if count:
            score += weight * count * (_SATURATION + 1) / (count + norm)
        elif term in candidate.in_heading:
            score += weight * _HEADING_SHARE
        elif term in candidate.in_passage:
            score += weight * _PASSAGE_SHARE
    return score + _pair_bonus(terms, weights) if score else 0.0


def _fit(unit: Unit, kind: QuestionKind, weights: Mapping[str, float]) -> float:
    """A factor for the form of a unit: whether it holds the kind of thing that is asked for."""
    factor = _KIND_BONUS if spans_of_kind(unit, kind, weights) else 1.0
    if kind == "what" and _defines(unit.text, tuple(weights)):
        factor *= _DEFINITION_BONUS
    if unit.is_code and kind not in {"command", "file", "option"}:
        factor *= _CODE_DISCOUNT
    return factor * _QUESTION_DISCOUNT if unit.text.endswith("?") else factor


def _defines(text: str, asked: tuple[str, ...]) -> bool:
    """Whether a sentence begins by saying what the thing asked for is: `An arm is …`, `Arms are …`."""
    terms = stems(text)
    start = 1 if terms[:1] in {("a",), ("an",), ("the",)} else 0
    end = start + len(asked)
    return terms[start:end] == asked and terms[end : end + 1] in {("is",), ("are",), ("mean",)}


def _pair_bonus(terms: Sequence[str], weights: Mapping[str, float]) -> float:
    """Extra for neighbouring words of the question that are neighbours in the unit too."""
    wanted = set(pairwise(weights))
    found = wanted.intersection(pairwise(terms))
    return _PAIR_BONUS * sum(min(weights[first], weights[second]) for first, second in found)


def _phrased(unit: Unit, kind: QuestionKind, prompt: Prompt) -> str:
    if not wants_short_answer(prompt.instructions, prompt.examples):
        return unit.text
    weights = dict.fromkeys(content_stems(prompt.query), 1.0)
    outputs = [without_citation(example.output) for example in prompt.examples]
    is_bare = any(re.fullmatch(r"[\d.,%-]+\.?", output) for output in outputs)
    return short_span(unit, kind, weights, with_units=not is_bare)
