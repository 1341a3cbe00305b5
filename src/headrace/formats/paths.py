"""What is at a path that a person wrote, whatever stands in it.

Before Python 3.14 the methods of :class:`pathlib.Path` raise where the operating system refuses to look, as for a
name that is too long: a whole prompt in ``path``, say. For the person it is simply not there.
"""

from __future__ import annotations

from pathlib import Path


def exists(path: Path) -> bool:
    """Whether there is anything."""
    try:
        return path.exists()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether there is a file."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False
