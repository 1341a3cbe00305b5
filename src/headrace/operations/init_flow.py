"""Write a new flow that runs at once: a starter, or a flow around a function that exists."""

from __future__ import annotations

from pathlib import Path

from headrace.errors import Problem, UsageError
from headrace.operations.new_files import write_files

STARTERS = Path(__file__).parent / "starters"
KINDS = ("standard", "chat", "evaluation", "rag", "prompty", "flex")
RUN_BY_FILE = {"prompty": "sort.prompty"}
"""Starters that are run by the path of a file and not by that of their folder."""


def init_flow(folder: Path, kind: str = "standard", *, is_replacing: bool = False) -> tuple[Path, ...]:
    """Write a starter flow into ``folder``, which may exist.

    Args:
        folder: Where the flow goes; made when it is missing.
        kind: One of :data:`KINDS`.
        is_replacing: Overwrite files of the same names.

    Returns:
        The files that were written.

    Raises:
        UsageError: C507 for an unknown kind, S806 when a file is in the way; then nothing was written.
        StateError: S808 when the folder cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(
            Problem(
                code="C507", what=f"There is no flow type {kind!r}.", fix=f"Use one of: {', '.join(KINDS)}."
            )
        )
    source = STARTERS / kind
    files = {
        folder / starter_name(path.relative_to(source)): path.read_text(encoding="utf-8")
        for path in sorted(source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return write_files(files, is_replacing=is_replacing)


def starter_name(relative: Path) -> Path:
    """Starters are stored without the leading dot, so that version control does not apply them here."""
    return relative.with_name(".gitignore") if relative.name == "gitignore" else relative
