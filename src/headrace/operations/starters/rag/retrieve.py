"""Finds the sections of the pages that fit a question best."""

import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from promptflow.core import tool

# How much a further mention of a word counts, and how much the length of a section does (BM25's usual values).
MENTIONS, LENGTH = 1.2, 0.75


class Section(NamedTuple):
    """One heading of a page with the text below it; the id looks like ``borrowing#renewing``."""

    id: str
    text: str
    words: Counter


@tool
def retrieve(question: str, pages: str, most: int = 3) -> dict:
    """The best sections for a question: `context`, the text for the prompt, and `sources`, their ids, best first.

    Put the search of your own in place of this, for instance Azure AI Search: what follows needs only these two.
    """
    wanted = set(words_of(question))
    sections = read_sections(Path(__file__).parent / pages)
    length = sum(section.words.total() for section in sections) / len(sections)
    scored = [(score(section, wanted, sections, length), section) for section in sections]
    best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])[:most]
    context = "\n\n".join(f"[{section.id}] {section.text}" for _, section in best)
    return {"context": context, "sources": [section.id for _, section in best]}


def score(section: Section, wanted: set[str], sections: tuple[Section, ...], length: float) -> float:
    """BM25: rare words count more than common ones, short sections more than long ones."""
    total = 0.0
    for word in wanted & section.words.keys():
        having = sum(word in other.words for other in sections)
        rarity = math.log(1 + (len(sections) - having + 0.5) / (having + 0.5))
        count = section.words[word]
        size = 1 - LENGTH + LENGTH * section.words.total() / length
        total += rarity * count * (MENTIONS + 1) / (count + MENTIONS * size)
    return total


@lru_cache(maxsize=4)
def read_sections(folder: Path) -> tuple[Section, ...]:
    """Every section of the Markdown pages of a folder; its words include those of both titles."""
    sections = []
    for page in sorted(folder.glob("*.md")):
        title, *parts = re.split(r"^##? ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        for part in parts:
            heading, _, text = part.partition("\n")
            slug = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
            section_words = Counter(words_of(f"{title} {heading} {heading} {text}"))
            sections.append(Section(f"{page.stem}#{slug}", " ".join(text.split()), section_words))
    if not sections:
        message = f"no Markdown pages with sections in {folder.name!r}; the input 'pages' names their folder"
        raise FileNotFoundError(message)
    return tuple(sections)


def words_of(text: str) -> list[str]:
    """The words in small letters, without the endings that tell a plural from a singular."""
    return [re.sub(r"(?<=\w\w\w)e?s$", "", word) for word in re.findall(r"\w+", text.lower())]
