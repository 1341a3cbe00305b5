"""Plain aligned tables: a header, a rule, rows; columns that may shrink give way to the terminal's width."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import NamedTuple

from headrace.cli.terminal import Ink, count_fitting, crop, text_width

GAP = "  "
RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"


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
        least: Narrowest width it may shrink to; ``None`` for a column that never does.
        wraps: What does not fit goes on below instead of being cut: in the rows that follow as long as their cell in
            this column is empty, then in rows of its own. For one column of a table.
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
            columns shrink, widest first. ``None`` for as wide as the content.
        indent: What every line begins with.
    """
    cells = [[item if isinstance(item, Cell) else Cell(item) for item in row] for row in rows]
    natural = [
        max([text_width(column.title), *(text_width(row[index].text) for row in cells)])
        for index, column in enumerate(columns)
    ]
    room = None if width is None else width - len(indent)
    kept = _choose_columns(columns, natural, room)
    chosen = [columns[index] for index in kept]
    widths = _shrink(chosen, [natural[index] for index in kept], room)
    rows_kept = [[row[index] for index in kept] for row in cells]
    lines = [
        _row([Cell(column.title, ("bold",)) for column in chosen], chosen, widths, ink),
        ink.paint(GAP.join(RULE * size for size in widths), "dim"),
        *(_row(row, chosen, widths, ink) for row in _wrap(rows_kept, chosen, widths)),
        *(ink.paint(line, "dim") for column in chosen for line in _note(column, room)),
    ]
    return "\n".join(indent + line for line in lines)


def _note(column: Column, room: int | None) -> list[str]:
    return wrap(column.note, room) if room is not None else [column.note] * bool(column.note)


def _choose_columns(columns: Sequence[Column], natural: Sequence[int], room: int | None) -> list[int]:
    """Indices of the columns that stay."""
    kept = list(range(len(columns)))
    if room is None:
        return kept
    leaving = sorted(
        (column.leaves, index) for index, column in enumerate(columns) if column.leaves is not None
    )
    for _, index in leaving:
        needed = sum(min(natural[at], columns[at].least or natural[at]) for at in kept) + len(GAP) * (
            len(kept) - 1
        )
        if needed <= room:
            break
        kept.remove(index)
    return kept


def _shrink(columns: Sequence[Column], natural: Sequence[int], room: int | None) -> list[int]:
    widths = list(natural)
    excess = 0 if room is None else sum(widths) + len(GAP) * (len(columns) - 1) - room
    while excess > 0:
        shrinkable = [
            index
            for index, column in enumerate(columns)
            if column.least is not None and widths[index] > column.least
        ]
        if not shrinkable:
            break
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths


def _wrap(rows: list[list[Cell]], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[list[Cell]]:
    """The rows, cells of the wrapping column spread over several of them."""
    at = next((index for index, column in enumerate(columns) if column.wraps), None)
    if at is None:
        yield from rows
        return
    waiting: list[Cell] = []
    for row in rows:
        if row[at].text:
            yield from (_continuation(piece, at, len(columns)) for piece in waiting)
            first, *rest = split_text(row[at].text, widths[at])
            row[at] = Cell(first, row[at].styles)
            waiting = [Cell(text, row[at].styles) for text in rest]
        elif waiting:
            row[at] = waiting.pop(0)
        yield row
    yield from (_continuation(piece, at, len(columns)) for piece in waiting)


def _continuation(piece: Cell, at: int, n_columns: int) -> list[Cell]:
    return [piece if index == at else Cell("") for index in range(n_columns)]


def split_text(text: str, width: int) -> list[str]:
    """``text`` in pieces of at most ``width`` cells, broken after a mark or a blank where there is one."""
    pieces = []
    while text_width(text) > width:
        fitting = max(count_fitting(text, width), 1)
        marks = [found.end() for found in re.finditer(r"[/_.:\s-]", text[:fitting])]
        end = marks[-1] if marks and marks[-1] > fitting // 2 else fitting
        pieces.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*pieces, text]


def _row(row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], ink: Ink) -> str:
    parts = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        text = crop(cell.text, width).rstrip()
        filling = " " * (width - text_width(text))
        painted = ink.paint(text, *cell.styles)
        parts.append(filling + painted if column.is_right else painted + filling)
    return GAP.join(parts).rstrip()
