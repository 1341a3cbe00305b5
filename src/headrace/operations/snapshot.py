"""A copy of a flow's folder as it was run (promptflow-format: 9.9)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from headrace.domain.flow import Flow
from headrace.formats.ignore_file import IgnorePattern, is_ignored, parse_ignore_file
from headrace.formats.includes import open_includes, without_includes

IGNORE_FILE = ".amlignore"
_NEVER_COPIED = frozenset((".git", ".runs", ".headrace", "__pycache__"))


def copy_flow(flow: Flow, target: Path) -> None:
    """Copy a flow with what it includes; what ``.amlignore`` names stays behind, ``.gitignore`` counts for nothing.

    Links to folders and virtual environments stay behind as well.

    Raises:
        DefinitionError: F001 for an include that is gone.
        OSError: A file cannot be read or written.
    """
    with open_includes(flow) as folder:
        ignore_file = folder / IGNORE_FILE
        text = ignore_file.read_text(encoding="utf-8", errors="replace") if ignore_file.is_file() else ""
        _copy_folder(folder, target, "", parse_ignore_file(text))
    if flow.additional_includes:
        copied = target / Path(flow.file).name
        copied.write_text(
            without_includes(copied.read_text(encoding="utf-8"), flow), encoding="utf-8", newline=""
        )


def _copy_folder(source: Path, target: Path, path: str, patterns: Sequence[IgnorePattern]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        inside = f"{path}{entry.name}"
        is_folder = entry.is_dir()
        if entry.name in _NEVER_COPIED or is_ignored(inside, patterns, is_folder=is_folder):
            continue
        if not is_folder:
            if entry.is_file():
                shutil.copy2(entry, target / entry.name)
        elif not entry.is_symlink() and not (entry / "pyvenv.cfg").exists():
            _copy_folder(entry, target / entry.name, f"{inside}/", patterns)
