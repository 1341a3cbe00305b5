"""Text made comparable: normalisation and tokens."""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluation.evaluators.base import unscorable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = {ord(sign): None for sign in string.punctuation}
_SPACES = re.compile(r"\s+")
_SINGLE = re.compile("[぀-ヿ㐀-䶿一-鿿豈-﫿가-힯฀-๿຀-໿က-႟ក-៿]")
"""Scripts that are written without blanks: Japanese, Chinese, Korean, Thai, Lao, Burmese, Khmer."""


def as_text(value: Any) -> str:
    """A value as text: nothing as empty text, truth values as in JSON, lists and mappings as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list, tuple, Mapping)):
        return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
    return str(value)


def references_of(value: Any, evaluator: str) -> list[str]:
    """The right answers as texts: one, or any of a list.

    Raises:
        UnscorableError: G921 when there is none. Empty text is a right answer: nothing should be said.
    """
    if value is None or (
        isinstance(value, (list, tuple)) and not [item for item in value if item is not None]
    ):
        what = f"{evaluator} cannot score the line: it has no right answer."
        raise unscorable(what, "Give the line a reference, or leave it out of the data.")
    if isinstance(value, (list, tuple)):
        return [as_text(item) for item in value if item is not None]
    return [as_text(value)]


def squad_normalise(text: str) -> str:
    """Lower case, without punctuation of ASCII, English articles and superfluous blanks.

    Source: the evaluation script of SQuAD 1.1 (Rajpurkar et al. 2016), ``normalize_answer``.
    """
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def fold(text: str) -> str:
    """Lower case by Unicode's full folding, in compatibility form (NFKC), without marks of punctuation and symbols."""
    text = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if unicodedata.category(sign)[0] in "PSZC" else sign for sign in text)
    return " ".join(kept.split())


def squad_tokens(text: str) -> list[str]:
    """Tokens as SQuAD counts them."""
    return squad_normalise(text).split()


def multilingual_tokens(text: str) -> list[str]:
    """Tokens of any language: folded words; each sign by itself in scripts without blanks between words.

    Source: the idea of MLQA's evaluation script (Lewis et al. 2020), which splits Chinese into characters; no
    articles are removed, since what an article is depends on the language.
    """
    return _SINGLE.sub(lambda found: f" {found[0]} ", fold(text)).split()


def collapse(text: str) -> str:
    """Runs of blanks as one blank, none at the ends."""
    return _SPACES.sub(" ", text).strip()


def shorten(text: str, length: int = 60) -> str:
    """At most ``length`` characters of a text, for reasons."""
    text = collapse(text[: length * 4])
    return text if len(text) <= length else f"{text[: length - 1]}…"


def parse_json(value: Any) -> Any:
    """Text read as JSON, also where it stands in a fenced block of Markdown; other values as they are.

    Raises:
        ValueError: The text is no JSON.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("```"):
        text = text.removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        return json.loads(text)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def as_list(value: Any) -> list[Any]:
    """A list as it is, nothing as none, JSON text of a list read, anything else as a list of one."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                parsed = json.loads(value)
            except ValueError:
                return [value]
            return parsed if isinstance(parsed, list) else [value]
        return [value]
    if isinstance(value, Sequence):
        return list(value)
    return [value]
