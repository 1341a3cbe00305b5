"""Where a value stands in a user's file. A leaf module: it imports nothing of headrace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Pointer = tuple[str | int, ...]
"""A path into plain data: mapping keys and sequence indices from the root, e.g. ``("nodes", 2, "name")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of text in a file.

    Attributes:
        file: Path of the file as the user named it (relative paths stay relative).
        line: First line, counted from 1.
        column: First column, counted from 1, in characters.
        end_line: Last line, counted from 1; equals ``line`` for a value on one line.
        end_column: Column just after the last character of ``end_line``.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


def file_span(file: str) -> Span:
    """The span of a whole file: its first character, for findings without a better place."""
    return Span(file=file, line=1, column=1, end_line=1, end_column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """Positions beside plain data: pointer to span, for keys and for values.

    Attributes:
        file: The file that the data was read from.
        values: Span of each value by its pointer.
        keys: Span of each mapping key by the pointer of its value.
    """

    file: str
    values: Mapping[Pointer, Span]
    keys: Mapping[Pointer, Span]

    def span(self, pointer: Pointer) -> Span:
        """Span of the value at ``pointer``, or of its nearest known parent, or of the file."""
        for end in range(len(pointer), -1, -1):
            found = self.values.get(pointer[:end])
            if found is not None:
                return found
        return file_span(self.file)

    def key_span(self, pointer: Pointer) -> Span:
        """Span of the mapping key that leads to ``pointer``; falls back to :meth:`span`."""
        return self.keys.get(pointer) or self.span(pointer)


def pointer_text(pointer: Pointer) -> str:
    """Render a pointer as people write it: ``nodes[2].inputs.question``."""
    text = ""
    for part in pointer:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
