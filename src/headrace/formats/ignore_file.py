"""Files that say what of a folder is not copied, such as ``.amlignore``: the patterns of ``.gitignore``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnorePattern:
    """One line of an ignore file.

    Attributes:
        regex: Matches a path below the folder, parts separated by ``/``.
        is_kept: The line begins with ``!``: what it matches is copied after all.
        is_for_folders: The line ends with ``/``: it matches folders only.
    """

    regex: re.Pattern[str]
    is_kept: bool
    is_for_folders: bool


def parse_ignore_file(text: str) -> tuple[IgnorePattern, ...]:
    """The patterns of an ignore file; blank lines and those that begin with ``#`` say nothing."""
    return tuple(
        _parse_line(line.strip()) for line in text.splitlines() if line.strip() and line.strip()[0] != "#"
    )


def is_ignored(path: str, patterns: Sequence[IgnorePattern], *, is_folder: bool) -> bool:
    """Whether the last pattern that matches says so.

    Args:
        path: Relative to the folder of the ignore file, parts separated by ``/``.
        patterns: In the order of the file.
        is_folder: Whether it is a folder.
    """
    for pattern in reversed(patterns):
        if (is_folder or not pattern.is_for_folders) and pattern.regex.fullmatch(path):
            return not pattern.is_kept
    return False


def _parse_line(line: str) -> IgnorePattern:
    is_kept = line.startswith("!")
    body = line[1:] if is_kept else line
    is_for_folders = body.endswith("/")
    body = body.rstrip("/")
    # A pattern without a slash inside matches a name at any depth.
    prefix = "" if "/" in body else "(?:.*/)?"
    regex = re.compile(prefix + _translate(body.lstrip("/")))
    return IgnorePattern(regex=regex, is_kept=is_kept, is_for_folders=is_for_folders)


def _translate(pattern: str) -> str:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(piece) or (piece.replace("[!", "[^") if piece.startswith("[") else re.escape(piece))
        for piece in pieces
    )
