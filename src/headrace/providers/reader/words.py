"""Words, light stems, their rarity, and the token count rule."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9_]{1,6}|\w{1,2}|[^\w\s]")
_VOWEL = re.compile(r"[aeiouy]")

_STOP_WORD_LIST = """
a about after all also am an and any are as at be because been before being between both but by can
could did do does doing done don't for from get gets got had has have having he her here hers him
his how i i'd i'll i'm i've if in into is isn't it it's its just let may me might more most must my
of off on once only or other our out over own please she should so some such than that that's the
their them then there these they this those through to too under until up us very was we we're were
what when where which while who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_STOP_WORD_LIST.split())


def fold(text: str) -> str:
    """Case-folded text without accents, so that `Référence` and `reference` are one word."""
    folded = text.casefold().replace("\u2019", "'")
    if folded.isascii():
        return folded
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A folded word without its commonest English endings; `cache, cached, caching` become `cach`.

    Deliberately lighter than Porter's algorithm: plural, `-ed`, `-ing`, `-ion`, `-ly` and a final `e`.
    """
    word = word.removesuffix("'s")
    if len(word) <= 3 or not word.isalpha():
        return word
    word = _without_plural(word)
    for suffix in ("ied", "ing", "ed", "ly", "ion"):
        rest = word.removesuffix(suffix)
        if rest != word and len(rest) >= (5 if suffix == "ion" else 3) and _VOWEL.search(rest):
            word = rest + "y" if suffix == "ied" else _undoubled(rest)
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _undoubled(word: str) -> str:
    is_doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouylsz"
    return word[:-1] if is_doubled else word


def words(text: str) -> list[str]:
    """The folded words of a text in order; digits count as words, punctuation does not."""
    return _WORD.findall(fold(text))


# Passages come back from line to line: their words are cut once.
@lru_cache(maxsize=16384)
def stems(text: str) -> tuple[str, ...]:
    """The stems of all words in order, stop words included."""
    return tuple(map(stem, words(text)))


def content_stems(text: str) -> list[str]:
    """The stems in order without stop words; all stems when nothing else is left."""
    found = words(text)
    content = [stem(word) for word in found if word not in STOP_WORDS]
    return content or [stem(word) for word in found]


def inverse_document_frequency(documents: Collection[Collection[str]]) -> dict[str, float]:
    """Weight per term: ln(1 + N / df), N documents of which df hold the term (smoothed IDF)."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(set(document))
    total = len(documents)
    return {term: math.log(1 + total / count) for term, count in counts.items()}


def count_tokens(text: str) -> int:
    """Tokens by a fixed rule: one per started six ASCII letters or digits, per two other letters, per mark.

    The rule is an estimate in the range of common tokenizers for English text, not a copy of one.
    """
    return len(_TOKEN.findall(text))


def cut_tokens(text: str, max_tokens: int) -> str:
    """The longest beginning of a text that counts at most `max_tokens` tokens, without trailing space."""
    for index, match in enumerate(_TOKEN.finditer(text)):
        if index == max_tokens:
            return text[: match.start()].rstrip()
    return text
