"""Context text cut into passages with ids, and passages cut into units that can be answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_MARK = re.compile(r"^\[(?P<id>[^\]\n\[]{1,120})\](?!\():?[ \t]*(?P<rest>.*)$")
_MARK_ID = re.compile(r"[\d./#_-]|^[A-Za-z]\w*$")
_SEPARATOR = re.compile(r"^\s*(?:-{3,}|\*{3,}|={3,}|_{3,})\s*$")
_ID_FIELD = re.compile(r"^\s*(?:source|id|file|url|path|title|reference)\s*:\s*(\S.*)$", re.IGNORECASE)
_CONTENT_FIELD = re.compile(r"^\s*(?:content|text|passage)\s*:\s*", re.IGNORECASE)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~|\"\"\"|''')")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')\]]*\s+(?=[\"“'(\[`*]*[A-Z0-9À-Þ`])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|No|Dr|Mr|Mrs|St)\.)$")
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*|__(.+?)__")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """The smallest piece of a passage that can be an answer: a sentence, bullet, table row or code line."""

    text: str
    heading: str = ""
    """The headings and, in a table, the column names that stand above it."""
    is_code: bool = False
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One quoted piece of a document; `id` is empty where the prompt gives none."""

    id: str
    units: tuple[Unit, ...]


def read_passages(context: str, *, number: str = "") -> list[Passage]:
    """The passages of one context section, cut at `[id]` marks, `Source:` lines, rules and blank lines.

    Args:
        context: text of the section.
        number: id of the passage when the section's own header numbers it (`Document 2:`).
    """
    lines = context.split("\n")
    if any(_mark(line) for line in lines):
        blocks = _marked_blocks(lines)
    elif any(_SEPARATOR.match(line) for line in lines) or any(_ID_FIELD.match(line) for line in lines):
        blocks = _field_blocks(lines)
    else:
        blocks = [(number, lines)]
    passages = [Passage(id=identity, units=_units("\n".join(block))) for identity, block in blocks]
    return [passage for passage in passages if passage.units]


def _mark(line: str) -> re.Match[str] | None:
    match = _MARK.match(line)
    is_id = match and _MARK_ID.search(match["id"]) and not match["rest"].startswith(("http:", "https:"))
    return match if is_id and match and match["id"].lower() not in {"x", " "} else None


def _marked_blocks(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    blocks: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        mark = _mark(line)
        if mark:
            blocks.append((mark["id"].strip(), [mark["rest"]]))
        else:
            blocks[-1][1].append(line)
    return blocks


def _field_blocks(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    blocks: list[tuple[str, list[str]]] = []
    current_id = ""
    for paragraph in _paragraphs(lines):
        found = [match[1].strip() for line in paragraph if (match := _ID_FIELD.match(line))]
        body = [_CONTENT_FIELD.sub("", line) for line in paragraph if not _ID_FIELD.match(line)]
        if found:
            current_id = found[0]
        blocks.append((current_id, body))
    return blocks


def _paragraphs(lines: Sequence[str]) -> list[list[str]]:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or _SEPARATOR.match(line):
            paragraphs.append([])
        else:
            paragraphs[-1].append(line)
    return [paragraph for paragraph in paragraphs if paragraph]


class _UnitReader:
    """Collects units line by line; remembers headings, the open paragraph, fence and table."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.heading = ""
        self.paragraph: list[str] = []
        self.is_fenced = False
        self.columns = ""

    def read(self, line: str) -> None:
        if _FENCE.match(line):
            self.end_paragraph()
            self.is_fenced = not self.is_fenced
        elif self.is_fenced:
            self.add(line.strip(), is_code=True)
        elif heading := _HEADING.match(line):
            self.end_paragraph()
            self.heading = plain(heading[1])
        elif line.lstrip().startswith("|"):
            self.end_paragraph()
            self.read_row(line)
        elif not line.strip() or _SEPARATOR.match(line):
            self.end_paragraph()
        else:
            if _BULLET.match(line):
                self.end_paragraph()
            self.paragraph.append(_BULLET.sub("", line).strip())

    def read_row(self, line: str) -> None:
        if _TABLE_RULE.match(line):
            if self.units and self.units[-1].cells:
                self.columns = " ".join(self.units.pop().cells)
            return
        cells = tuple(plain(cell.strip()) for cell in line.strip().strip("|").split("|"))
        self.add(": ".join(cells) if len(cells) == 2 else "; ".join(cells), cells=cells)

    def end_paragraph(self) -> None:
        for sentence in sentences(plain(" ".join(self.paragraph))):
            self.add(sentence)
        self.paragraph = []

    def add(self, text: str, *, is_code: bool = False, cells: tuple[str, ...] = ()) -> None:
        if not any(char.isalnum() for char in text):
            return
        heading = f"{self.heading} {self.columns}" if cells else self.heading
        unit = Unit(text=text, heading=heading, is_code=is_code, cells=cells)
        if self.units and self.units[-1].text.endswith(":") and self.units[-1].heading == self.heading:
            # "Run the tests with:" says nothing without what it introduces.
            joined = f"{self.units[-1].text} {f'`{text}`' if is_code else text}"
            self.units[-1] = Unit(text=joined, heading=heading)
        else:
            self.units.append(unit)


# The same passages come back for many questions.
@lru_cache(maxsize=4096)
def _units(block: str) -> tuple[Unit, ...]:
    reader = _UnitReader()
    for line in block.split("\n"):
        reader.read(line)
    reader.end_paragraph()
    if reader.units or not reader.heading:
        return tuple(reader.units)
    return (Unit(text=reader.heading),)


def plain(text: str) -> str:
    """Text without Markdown emphasis; code marks stay, because they tell names from words."""
    has_marks = "**" in text or "__" in text
    return _EMPHASIS.sub(lambda match: match[1] or match[2], text) if has_marks else text


def sentences(text: str) -> list[str]:
    """The sentences of one paragraph; common abbreviations do not end one."""
    pieces: list[str] = []
    for piece in _SENTENCE_END.split(text):
        if pieces and _ABBREVIATION.search(pieces[-1]):
            pieces[-1] = f"{pieces[-1]} {piece}"
        elif piece.strip():
            pieces.append(piece.strip())
    return pieces
