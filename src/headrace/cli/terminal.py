"""What the two output streams can show, and text measured in terminal cells."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap
from unicodedata import combining, east_asian_width

_FILLER = "\N{NULL}"

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

_STYLES: Mapping[str, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ink:
    """Colours for one stream; without colour every text comes back as it is."""

    has_color: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """``text`` in the named styles: bold, dim, red, green, yellow, blue, cyan."""
        if not self.has_color or not styles or not text:
            return text
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The two output streams.

    Attributes:
        width: Columns of the terminal; 80 where there is none.
        has_tty_out, has_tty_err: Whether a person looks at standard output, at standard error.
        has_unicode: Whether box-drawing characters can be written to standard output.
        out, err: Colours for standard output and standard error.
    """

    width: int = 80
    has_tty_out: bool = False
    has_tty_err: bool = False
    has_unicode: bool = True
    out: Ink = Ink()
    err: Ink = Ink()


def detect_terminal(environment: Mapping[str, str], *, wants_color: bool = True) -> Terminal:
    """Look at the process's streams; ``NO_COLOR`` and ``TERM=dumb`` switch colours off."""
    has_color = wants_color and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    has_tty_out, has_tty_err = _is_tty(sys.stdout), _is_tty(sys.stderr)
    return Terminal(
        width=max(shutil.get_terminal_size((80, 24)).columns, 40),
        has_tty_out=has_tty_out,
        has_tty_err=has_tty_err,
        has_unicode=_can_encode(sys.stdout, "\u2502\u2588\u25b2"),
        out=Ink(has_color=has_color and has_tty_out),
        err=Ink(has_color=has_color and has_tty_err),
    )


def _is_tty(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # a closed stream
        return False


def _can_encode(stream: object, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def text_width(text: str) -> int:
    """Terminal cells that ``text`` takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def wrap_text(text: str, width: int, *, lead: str = "") -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken at blanks; ``lead`` stands before the first line."""
    # A wide character counts for two where a second one stands behind it, which is taken out again.
    spread = text if text.isascii() else "".join(char + _FILLER * (_cells(char) - 1) for char in text)
    lines = wrap(
        spread, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    )
    return [line.replace(_FILLER, "") for line in lines]


def crop(text: str, width: int) -> str:
    """``text`` cut to ``width`` cells, with an ellipsis where something is missing."""
    if text_width(text) <= width:
        return text
    return text[: count_fitting(text, width - 1)] + ELLIPSIS


def count_fitting(text: str, width: int) -> int:
    """How many leading characters of ``text`` fit into ``width`` cells."""
    used = 0
    for position, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return position
    return len(text)


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """``text`` filled with spaces to ``width`` cells."""
    filling = " " * max(width - text_width(text), 0)
    return filling + text if is_right else text + filling


def one_line(text: str) -> str:
    """``text`` on one line: line ends become a visible mark, other control characters are left out."""
    if text.isprintable():
        return text
    marked = (
        text.replace("\r\n", "\n")
        .replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}")
        .replace("\t", " ")
    )
    return "".join(character for character in marked if character.isprintable())
