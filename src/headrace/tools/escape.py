"""Keeping text that comes from outside from opening a message of a chat prompt (promptflow-format: 4.3).

A chat prompt is rendered first and cut into messages afterwards, so a value that holds a line ``system:``
would become a system message. Before rendering, every such place in a value gets one invisible character,
the *mark*, which is neither a letter nor space and so breaks the pattern; after cutting, marks are removed
again and the text is what it was. Prompt flow replaces the words themselves and looks for role lines only;
we also break the lines that give a message a name, a tool call or an id, because those are structure as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

ROLES = ("system", "user", "assistant", "function", "tool")
"""Words that open a message."""

# A value may end in the middle of a line of the template, so its end counts as a line end, and a # that ends it
# could become that of a role line below; a colon that begins it could end a role line above.
_OPENING = re.compile(
    rf"(?im:^[^\S\n]*+(?:\#\s*+)?(?:{'|'.join(ROLES)})(?=\s*:[^\S\n]*(?:\n|\Z)))"
    r"|(?:name|content|tool_calls|tool_call_id)(?=\s*:)"
    r"|(?m:^[^\S\n]*+\#{1,2})(?=\s*\Z)"
    r"|\A\s*+(?=:)"
)


_NO_MARKS: frozenset[str] = frozenset()


class PromptText(str):
    """What a prompt node renders: the text itself, and the same text with the places in its values marked.

    Attributes:
        marked: The text with marks; equal to the text where nothing had to be marked.
        marks: The marks in ``marked``.
    """

    __slots__ = ("marked", "marks")

    marked: str
    marks: frozenset[str]

    def __new__(cls, text: str, marked: str | None = None, marks: frozenset[str] = _NO_MARKS) -> PromptText:
        """Wrap a rendered text."""
        prompt = super().__new__(cls, text)
        prompt.marked = text if marked is None else marked
        prompt.marks = marks
        return prompt

    def fingerprint_form(self) -> list[Any]:
        """Everything that a model node makes of it."""
        return [str(self), self.marked, sorted(self.marks)]


class EscapedValues(NamedTuple):
    """Template values in which no text from outside can open anything.

    Attributes:
        marks: Characters to remove with :func:`restore` once the prompt is cut; empty when nothing was
            marked.
    """

    values: Mapping[str, Any]
    marks: frozenset[str]


def escape_values(values: Mapping[str, Any], names: Collection[str]) -> EscapedValues:
    """Mark the texts in the values called ``names``, also inside lists and mappings.

    Prompt texts among the values are taken in their marked form.

    Args:
        values: Everything that the template gets.
        names: Those that come straight from flow inputs.
    """
    outside = [name for name in names if name in values]
    marks: frozenset[str] = _NO_MARKS
    for value in values.values():
        if isinstance(value, PromptText):
            marks |= value.marks
    if any(_is_opening(values[name]) for name in outside):
        used = "".join(text for value in values.values() for text in _texts(value))
        mark = next(char for char in _candidates() if char not in used and _escaped(char) not in used)
        marks |= {mark}
        values = {name: _mark(value, mark) if name in outside else value for name, value in values.items()}
    if not marks:
        return EscapedValues(values=values, marks=marks)
    marked = {
        name: value.marked if isinstance(value, PromptText) else value for name, value in values.items()
    }
    return EscapedValues(values=marked, marks=marks)


def restore(value: Any, marks: Collection[str]) -> Any:
    """Remove marks from a text, or from all texts inside lists and mappings."""
    if isinstance(value, str):
        for mark in marks:
            value = value.replace(mark, "")
            if _escaped(mark) in value:
                # Text that was written as JSON after it was printed has more than one backslash here.
                value = re.sub(r"\\+" + _escaped(mark)[1:], "", value)
        return value
    if isinstance(value, list):
        return [restore(item, marks) for item in value]
    if isinstance(value, dict):
        return {key: restore(item, marks) for key, item in value.items()}
    return value


def _mark(value: Any, mark: str) -> Any:
    if isinstance(value, str):
        return _OPENING.sub(lambda match: match.group() + mark, value)
    if isinstance(value, list):
        return type(value)(_mark(item, mark) for item in value)
    if isinstance(value, dict):
        return {key: _mark(item, mark) for key, item in value.items()}
    return value


def _is_opening(value: Any) -> bool:
    """Whether a text in a value could open something."""
    if type(value) is str:
        return _OPENING.search(value) is not None
    return any(_OPENING.search(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, PromptText):
        yield value.marked
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def _escaped(mark: str) -> str:
    """How a mark stands in a list or mapping that was printed as Python or JSON does: as an escape sequence."""
    return ascii(mark)[1:-1]


def _candidates() -> Iterator[str]:
    """Characters that no text is meant to hold: noncharacters, then private use."""
    for first, last in ((0xFDD0, 0xFDF0), (0xE000, 0xF900), (0xF0000, 0x10FFFE)):
        yield from map(chr, range(first, last))
