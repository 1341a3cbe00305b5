"""What kind of thing a question asks for, and the short span of a sentence that is such a thing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from headrace.providers.reader.passages import Unit
from headrace.providers.reader.words import STOP_WORDS, content_stems, stems

QuestionKind = Literal["percent", "number", "command", "file", "option", "name", "when", "how", "what"]

_KINDS: tuple[tuple[QuestionKind, re.Pattern[str]], ...] = (
    ("percent", re.compile(r"\b(?:what|which|how many)(?: is the)? percent(?:age)?\b")),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|long|often|large|big|old|far|fast|few)\b"
            r"|\b(?:what|which)(?: is| are)?(?: the)?(?: \w+){0,2} (?:number|port|limit|size"
            r"|timeout|version|code|status|count|budget|rate|threshold|year|price)\b"
        ),
    ),
    (
        "file",
        re.compile(
            r"\b(?:what|which)(?: \w+)? (?:file|folder|directory|path|module)s?\b"
            r"|\bwhere (?:is|are|does|do)\b"
        ),
    ),
    (
        "command",
        re.compile(
            r"\b(?:what|which)(?: \w+)? (?:commands?|subcommand|verb)\b"
            r"|\bhow (?:do|can|would) (?:i|you|we|one)\b"
        ),
    ),
    (
        "option",
        re.compile(
            r"\b(?:what|which)(?: \w+){0,2} (?:flag|option|argument|switch|variable|setting|key|field"
            r"|parameter)s?\b"
        ),
    ),
    (
        "name",
        re.compile(
            r"\b(?:what|which)(?: \w+)? (?:function|class|method|type|package|extra|library|table|format|node"
            r"|tool)s?\b"
        ),
    ),
    ("when", re.compile(r"^\W*when\b|\bwhat (?:date|time|day)\b")),
    ("how", re.compile(r"^\W*(?:why|how)\b")),
)
_NUMBER_WORDS = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|half|none"
_NUMBER = (
    r"(?<![\w./-])[-+]?\d[\d,]*(?:\.\d+)*(?:\s?%)?(?![\w/])"
    rf"|\b(?:{_NUMBER_WORDS})\b|(?-i:\b[A-Z]{{1,2}}\d{{2,}}\b)"
)
_CODE = r"`[^`\n]+`"
_PATH = (
    r"(?<![\w/`])(?:\.{0,2}/)?[\w.-]*(?:/[\w.*<>-]+)+/?"
    r"|(?<![\w/`.])\.?\w[\w-]*(?:\.[\w-]+)*\.[a-z][a-z0-9]{1,6}\b"
    r"|(?<![\w`])\.[a-z][\w-]+/?"
)
_FLAG = r"(?<![\w-])--?[a-z][\w-]*|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b"
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = (
    rf"\b(?:\d{{1,2}} )?(?:{_MONTHS})(?: \d{{1,2}},?)?(?: \d{{4}})?\b"
    r"|\b\d{4}-\d\d-\d\d\b|\b(?:19|20)\d\d\b"
)
_PATTERNS: Mapping[QuestionKind, tuple[re.Pattern[str], ...]] = {
    "percent": (re.compile(r"(?<![\w./-])\d[\d,.]*\s?%"), re.compile(_NUMBER, re.IGNORECASE)),
    "number": (re.compile(_NUMBER, re.IGNORECASE),),
    "file": (re.compile(_PATH), re.compile(_CODE)),
    "command": (re.compile(r"`[a-z][\w.-]*(?: [^`\n]+)+`"), re.compile(r"`[a-z][\w-]*`")),
    "option": (re.compile(f"{_FLAG}|{_CODE}"),),
    "name": (re.compile(_CODE),),
    "when": (re.compile(_DATE), re.compile(_NUMBER)),
}
_SHELL_MARKS = re.compile(r"^\$\s+|\s+#\s.*$")
_UNIT_WORD = re.compile(r"\s?([A-Za-zµ°€$£]+)")
_CLAUSE = re.compile(
    r"\s*[,;:\u2014\u2013()]\s*|\s+(?:which|that|because|so that|and then|but|where|while|unless|if|when)\s+"
)
_COPULA = re.compile(
    r"\s+(?:is called|are called|is|are|was|were|means|equals|defaults to|must be|can be)\s+",
    re.IGNORECASE,
)
_LONGEST_SPAN_WORDS = 8


def question_kind(question: str) -> tuple[QuestionKind, str]:
    """What a question asks for, by the first telling words in it, and the stem of the word that tells.

    `what` and an empty text where nothing tells; `How many lines` gives `number` and `many`.
    """
    lowered = question.lower()
    found = [
        (match.start(), kind, match.group()) for kind, pattern in _KINDS if (match := pattern.search(lowered))
    ]
    if not found:
        return "what", ""
    _, kind, telling = min(found, key=lambda item: item[0])
    return kind, stems(telling)[-1]


def spans_of_kind(unit: Unit, kind: QuestionKind, asked: Collection[str]) -> list[tuple[int, str]]:
    """Spans of a unit that are the kind asked for and are not words of the question: (position, span)."""
    if unit.is_code and kind == "command":
        return [(0, unit.text)]
    for pattern in _PATTERNS.get(kind, ()):
        found = [(match.start(), match.group().strip()) for match in pattern.finditer(unit.text)]
        new = [(start, span) for start, span in found if not set(content_stems(span)) <= set(asked)]
        if new:
            return new
    return []


def short_span(unit: Unit, kind: QuestionKind, asked: Mapping[str, float], *, with_units: bool) -> str:
    """The few words of a unit that answer best.

    Args:
        unit: the sentence, bullet, table row or code line chosen as the answer.
        kind: what the question asks for.
        asked: the question's stems with their weights.
        with_units: whether a number keeps the word after it (`30 seconds`) or stands bare (`30`).

    Returns:
        Of the candidates of the right kind the one nearest to the question's words; without any, the
        table cell or the part of the sentence that the question does not already say.
    """
    if unit.is_code:
        return _SHELL_MARKS.sub("", unit.text)
    found = spans_of_kind(unit, kind, asked)
    if found:
        start, span = max(found, key=lambda item: _proximity(unit.text, item[0], item[1], asked))
        if kind == "number" and with_units and not span.endswith("%"):
            following = _UNIT_WORD.match(unit.text, start + len(span))
            if following and following[1].lower() not in STOP_WORDS:
                span = f"{span} {following[1]}"
        return span.strip("`")
    if len(unit.cells) > 1:
        return min(unit.cells[:2], key=lambda cell: _weight(cell, asked)).strip("`")
    return _complement(unit.text, asked)


def _proximity(text: str, start: int, span: str, asked: Mapping[str, float]) -> float:
    """How near the question's words stand: each adds its weight divided by its distance in words."""
    before, after = stems(text[:start]), stems(text[start + len(span) :])
    near = sum(asked.get(term, 0.0) / (1 + distance) for distance, term in enumerate(reversed(before)))
    return near + sum(asked.get(term, 0.0) / (1 + distance) for distance, term in enumerate(after))


def _weight(text: str, asked: Mapping[str, float]) -> float:
    return sum(asked.get(term, 0.0) for term in set(content_stems(text)))


def _complement(text: str, asked: Mapping[str, float]) -> str:
    """The side of the verb, else the clause, that says what the question did not."""
    sentence = text.rstrip(" .!:")
    copula = _COPULA.search(sentence)
    if copula:
        sides = sentence[: copula.start()], sentence[copula.end() :]
        chosen = sides[1] if _weight(sides[0], asked) >= _weight(sides[1], asked) else sides[0]
        return _shortened(_CLAUSE.split(chosen)[0] or chosen)
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause and content_stems(clause)]
    if len(clauses) > 1:
        return _shortened(max(clauses, key=lambda clause: _novelty(clause, asked)))
    return _shortened(sentence)


def _novelty(clause: str, asked: Mapping[str, float]) -> float:
    """How much a clause adds beside the question's words, per word."""
    terms = content_stems(clause)
    return (sum(term not in asked for term in terms) + 0.5 * _weight(clause, asked)) / (2 + len(terms))


def _shortened(span: str) -> str:
    span = re.sub(r"^(?:the|a|an|by|with|in|to|from)\s+", "", span.strip(), flags=re.IGNORECASE)
    return " ".join(span.split()[:_LONGEST_SPAN_WORDS]).strip(" ,;:`")
