"""Folders that stores and journals make."""

from __future__ import annotations

from pathlib import Path

from headrace.config import STATE_FOLDER


def make_folder(folder: Path) -> None:
    """Make a folder where there is none; ``.headrace``, itself or above it, is kept out of version control.

    Raises:
        OSError: It cannot be made.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    state = next((path for path in (folder, *folder.parents) if path.name == STATE_FOLDER), None)
    if state is not None and not (ignore := state / ".gitignore").exists():
        ignore.write_text("*\n", "utf-8")
