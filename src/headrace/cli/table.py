"""Plain aligned tables: a header, a rule, rows; columns that may shrink give way to the terminal's width."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from typing import NamedTuple

from headrace.cli.terminal import Ink, count_fitting, crop, text_width

GAP = "  "
RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"
_MARK = re.compile(r"[/_=:+,\s-]|\.(?!\d)")
"""After it a name may be broken; the point of a number is no such place."""
_STRONG_MARK = re.compile(r"[/\s]")
"""After it a name is broken first: a factor keeps its level."""


class Cell(NamedTuple):
    """One cell: its text and the styles it is painted in."""

    text: str
    styles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        title: Header text.
        is_right: Numbers stand right.
        least: Narrowest width it may shrink to; ``None`` for a column that never does. Numbers shrink further where
            they need less.
        wraps: What does not fit goes on below instead of being cut: in the rows that follow as long as their cell in
            this column is empty, then in rows of its own.
        leaves: Columns with a number leave a table that does not fit, lowest number first.
        note: What its cells mean; stands below the table as long as the column is there.
    """

    title: str
    is_right: bool = False
    least: int | None = None
    wraps: bool = False
    leaves: int | None = None
    note: str = ""


def render_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    *,
    ink: Ink,
    width: int | None = None,
    indent: str = "",
) -> str:
    """A table as text without a final line end.

    Args:
        columns: From left to right.
        rows: Cells, one per column.
        ink: Colours of the stream.
        width: Cells available: columns that may leave do so while the others cannot shrink enough, then
            columns shrink as :func:`_floors` says. ``None`` for as wide as the content.
        indent: What every line begins with.
    """
    cells = [[item if isinstance(item, Cell) else Cell(item) for item in row] for row in rows]
    sizes = [_measure(column, [row[at].text for row in cells]) for at, column in enumerate(columns)]
    room = None if width is None else width - len(indent)
    kept = _choose_columns(columns, sizes, room)
    chosen = [columns[index] for index in kept]
    widths = _shrink(chosen, [sizes[index] for index in kept], room)
    rows_kept = [[row[index] for index in kept] for row in cells]
    lines = [
        *(_row(row, chosen, widths, ink) for row in _header(chosen, widths)),
        ink.paint(GAP.join(RULE * size for size in widths), "dim"),
        *(_row(row, chosen, widths, ink) for row in _wrap(rows_kept, chosen, widths)),
        *(ink.paint(line, "dim") for column in chosen for line in _note(column, room)),
    ]
    return "\n".join(indent + line for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """How wide a column is, in terminal cells.

    Attributes:
        natural: Of title and cells as they are.
        cells: Of the cells alone.
        title_word, cell_word: Of the longest part of the title, and of a cell, that has no place to be broken at.
    """

    natural: int
    cells: int
    title_word: int
    cell_word: int


def _measure(column: Column, texts: Sequence[str]) -> _Size:
    cells = max(map(text_width, texts), default=0)
    return _Size(
        natural=max(text_width(column.title), cells),
        cells=cells,
        title_word=_longest_word([column.title]),
        cell_word=_longest_word(texts) if column.wraps else cells,
    )


def _longest_word(texts: Sequence[str]) -> int:
    return max((text_width(word.rstrip()) for text in texts for word in _words(text)), default=0)


def _words(text: str, marks: re.Pattern[str] = _MARK) -> list[str]:
    """The parts of a text between the places where it may be broken, each with the mark at its end."""
    ends = [0, *(found.end() for found in marks.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(ends) if end > start]


def _floors(column: Column, size: _Size) -> tuple[int, ...]:
    """How narrow a column may become, one stage of shrinking after the other.

    First titles of numbers go on below at a mark, then names, and other texts are cut; then titles are broken inside
    words, then names, and last of all numbers are cut.
    """
    least = column.least
    if least is None:
        return (size.natural,) * 5
    if column.is_right:
        needed = max(size.cells, size.title_word)
        tight = max(size.cells, min(size.title_word, least))
        return needed, needed, tight, tight, min(tight, least)
    whole = max(least, size.cell_word, size.title_word) if column.wraps else least
    return size.natural, whole, whole, least, least


def _header(columns: Sequence[Column], widths: Sequence[int]) -> Iterator[list[Cell]]:
    """The titles, those that are longer than their column in several rows, all ending in the last one."""
    parts = [split_text(column.title, width) for column, width in zip(columns, widths, strict=True)]
    n_rows = max(map(len, parts), default=1)
    padded = [[""] * (n_rows - len(part)) + part for part in parts]
    for texts in zip(*padded, strict=True):
        yield [Cell(text, ("bold",)) for text in texts]


def _note(column: Column, room: int | None) -> list[str]:
    return wrap(column.note, room) if room is not None else [column.note] * bool(column.note)


def _choose_columns(columns: Sequence[Column], sizes: Sequence[_Size], room: int | None) -> list[int]:
    """Indices of the columns that stay."""
    kept = list(range(len(columns)))
    if room is None:
        return kept
    leaving = sorted(
        (column.leaves, index) for index, column in enumerate(columns) if column.leaves is not None
    )
    for _, index in leaving:
        narrowest = (min(sizes[at].natural, _floors(columns[at], sizes[at])[-1]) for at in kept)
        if sum(narrowest) + len(GAP) * (len(kept) - 1) <= room:
            break
        kept.remove(index)
    return kept


def _shrink(columns: Sequence[Column], sizes: Sequence[_Size], room: int | None) -> list[int]:
    """Widths that fit into the room where they can: stage by stage, the widest column first."""
    widths = [size.natural for size in sizes]
    excess = 0 if room is None else sum(widths) + len(GAP) * (len(columns) - 1) - room
    for floors in zip(*map(_floors, columns, sizes), strict=True):
        while excess > 0:
            shrinkable = [index for index, floor in enumerate(floors) if widths[index] > floor]
            if not shrinkable:
                break
            widths[max(shrinkable, key=widths.__getitem__)] -= 1
            excess -= 1
    return widths


def _wrap(rows: list[list[Cell]], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[list[Cell]]:
    """The rows, cells of wrapping columns spread over several of them."""
    waiting: dict[int, list[Cell]] = {at: [] for at, column in enumerate(columns) if column.wraps}
    for row in rows:
        if any(row[at].text and pieces for at, pieces in waiting.items()):
            yield from _continuations(waiting, len(columns))
        for at, pieces in waiting.items():
            if row[at].text:
                first, *rest = split_text(row[at].text, widths[at])
                pieces[:] = [Cell(text, row[at].styles) for text in rest]
                row[at] = Cell(first, row[at].styles)
            elif pieces:
                row[at] = pieces.pop(0)
        yield row
    yield from _continuations(waiting, len(columns))


def _continuations(waiting: Mapping[int, list[Cell]], n_columns: int) -> Iterator[list[Cell]]:
    """Rows of what is left of wrapped cells; nothing waits any more after them."""
    while any(waiting.values()):
        yield [pieces.pop(0) if (pieces := waiting.get(at)) else Cell("") for at in range(n_columns)]


def split_text(text: str, width: int) -> list[str]:
    """``text`` in pieces of at most ``width`` cells, broken after a mark or a blank, inside a word where none helps."""
    pieces = []
    while text_width(text) > width:
        fitting = max(count_fitting(text, width), 1)
        pieces.append(text[: (end := _break(text, fitting, width))].rstrip())
        text = text[end:].lstrip()
    return [*pieces, text]


def _break(text: str, fitting: int, width: int) -> int:
    """Where a text is broken of which ``fitting`` characters fit into ``width`` cells."""
    if text[fitting : fitting + 1].isspace():
        return fitting
    end = 0
    for marks in (_STRONG_MARK, _MARK):
        end = max((found.end() for found in marks.finditer(text[:fitting])), default=0)
        if end and text_width(_words(text[end:], marks)[0].rstrip()) <= width:
            return end
    # A word that is longer than a line is broken anyway: its first part need not stand in a line of its own.
    return end if end > fitting // 2 else fitting


def _row(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], ink: Ink) -> str:
    parts = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        text = crop(cell.text, width).rstrip()
        filling = " " * (width - text_width(text))
        painted = ink.paint(text, *cell.styles)
        parts.append(filling + painted if column.is_right else painted + filling)
    return GAP.join(parts).rstrip()
