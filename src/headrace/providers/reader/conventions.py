"""What a prompt prescribes for the answer: not-knowing words, citation form, length, JSON key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.providers.reader.prompt import Example

DONT_KNOW = "I don't know."

_QUOTED = re.compile(
    r"[\"“«`](?P<phrase>[^\"“”«»`\n]{2,120})[\"”»`]|(?<![\w])'(?P<single>[^\n]{2,120}?)'(?!\w)"
)
_SAY = re.compile(r"\b(?:say|answer|reply|respond|write|return|output)\b[^\"“«`'\n]{0,40}$", re.IGNORECASE)
_UNKNOWING = re.compile(
    r"n['\u2019]t\b|\bnot\b|\bcannot\b|\bno\b|\bunknown\b|\bunsure\b|\bunable\b|\bwithout\b|\bmissing\b|\bnothing\b",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    r"\b(?:say|answer|reply|respond)(?: with)?:? (i (?:do not|don['\u2019]t) know)\b", re.IGNORECASE
)
_KNOWS_NOT = re.compile(
    r"i (?:do not|don['\u2019]t) know\b|unknown\W*$|not (?:in the|enough|found)", re.IGNORECASE
)
_ASKS_TO_CITE = re.compile(
    r"\b(?:cite|cites|citing|citations?|references? (?:to )?the source"
    r"|(?:give|state|include|add|append|mention|put|write|name|quote|attach|with)"
    r" (?:the|its|your|their) (?:\w+ )?"
    r"(?:sources?|ids?|passages?|references?))\b",
    re.IGNORECASE,
)
_CITED = (
    re.compile(r"(?P<before>\[)(?P<id>[^\[\]\n]{1,120})(?P<after>\])(?!\()\s*[.]?\s*$"),
    re.compile(
        r"(?P<before>\((?:source|ref|see|from)?:? ?)(?P<id>[^()\s]{1,120})(?P<after>\))\s*[.]?\s*$",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<before>\b(?:source|reference|citation): ?\[?)(?P<id>[^\[\]\s]{1,120})(?P<after>\]?)\s*[.]?\s*$",
        re.IGNORECASE,
    ),
)
_SHOWN = (
    re.compile(r"(?P<before>\[)(?P<id>[^\[\]\n]{1,60})(?P<after>\])(?!\()"),
    re.compile(r"(?P<before>\((?:source|ref): ?)(?P<id>[^()\n]{1,60})(?P<after>\))", re.IGNORECASE),
    re.compile(r"(?P<before>\bSource: ?)(?P<id>\S{1,60})(?P<after>)"),
)
_BRIEF = re.compile(
    r"\b(?:(?:one|single|few|fewest|two|three|couple of) words?\b|as (?:short|few words)|shortest"
    r"|only the (?:answer|value|name|number|term|span)|(?:short|exact|bare) (?:span|phrase|value|term))",
    re.IGNORECASE,
)
_JSON_KEY = re.compile(
    r"[\"'`](answer|label|category|class|intent|sentiment|output|result|response|text)[\"'`]",
    re.IGNORECASE,
)
_SHORT_WORDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CitationForm:
    """How a passage is cited: `before`, its id, `after`; `gap` stands between answer and citation."""

    before: str = "["
    after: str = "]"
    gap: str = " "

    def cite(self, answer: str, identity: str) -> str:
        """The answer followed by the citation of one passage."""
        return f"{answer}{self.gap}{self.before}{identity}{self.after}"


def not_knowing(instructions: str, examples: Sequence[Example]) -> str | None:
    """The exact words that the prompt prescribes or an example shows for not knowing, or None."""
    for match in _QUOTED.finditer(instructions):
        line_start = instructions.rfind("\n", 0, match.start()) + 1
        lead = instructions[line_start : match.start()]
        phrase = match["phrase"] or match["single"]
        if _SAY.search(lead) and (_UNKNOWING.search(phrase) or _UNKNOWING.search(lead)):
            return phrase.strip()
    unquoted = _UNQUOTED.search(instructions)
    if unquoted:
        return unquoted[1]
    return next((example.output for example in examples if _is_not_knowing(example)), None)


def _is_not_knowing(example: Example) -> bool:
    return bool(_KNOWS_NOT.match(example.output))


def citation_form(instructions: str, examples: Sequence[Example], ids: Sequence[str]) -> CitationForm | None:
    """The form in which the examples cite, else the one that the instruction shows, else None.

    An instruction to cite without any form shown gives `[id]`. Without ids there is nothing to cite.
    """
    if not any(ids):
        return None
    for example in examples:
        match = _citation(example.output)
        if match and _is_like(match["id"], ids):
            gap = re.search(r"\s*$", example.output[: match.start()])
            return CitationForm(
                before=match["before"], after=match["after"], gap=(gap[0] if gap else "") or " "
            )
    asked = _ASKS_TO_CITE.search(instructions)
    if not asked:
        return None
    line_end = instructions.find("\n\n", asked.end())
    nearby = instructions[asked.start() : line_end if line_end > 0 else None]
    shown = next((match for pattern in _SHOWN if (match := pattern.search(nearby))), None)
    return CitationForm(before=shown["before"], after=shown["after"]) if shown else CitationForm()


def _citation(output: str) -> re.Match[str] | None:
    return next((match for pattern in _CITED if (match := pattern.search(output))), None)


def _is_like(identity: str, ids: Sequence[str]) -> bool:
    """Whether a bracketed text is an id like those given: one of them, or written with the same signs."""
    is_one_word = " " not in identity
    return identity in ids or (
        is_one_word and any(_signs(identity) == _signs(known) for known in ids if known)
    )


def _signs(identity: str) -> set[str]:
    return {char for char in identity if char in "/#.:"}


def without_citation(output: str) -> str:
    """An example's answer without the citation at its end."""
    match = _citation(output)
    return output[: match.start()].strip() if match else output.strip()


def wants_short_answer(instructions: str, examples: Sequence[Example]) -> bool:
    """Whether the examples answer in a few words (median at most five), else whether the prompt asks so."""
    lengths = [len(without_citation(e.output).split()) for e in examples if not _is_not_knowing(e)]
    if lengths:
        return sorted(lengths)[len(lengths) // 2] <= _SHORT_WORDS
    return bool(_BRIEF.search(instructions))


def json_key(instructions: str) -> str:
    """The key under which a JSON answer goes: the first one that the prompt quotes, else `answer`."""
    match = _JSON_KEY.search(instructions)
    return match[1] if match else "answer"
