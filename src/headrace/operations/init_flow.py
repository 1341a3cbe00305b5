"""Write a new flow that runs at once."""

from __future__ import annotations

import shutil
from pathlib import Path

from headrace.errors import Problem, StateError, UsageError

_STARTERS = Path(__file__).parent / "starters"
KINDS = ("standard", "chat", "evaluation")


def init_flow(folder: Path, kind: str = "standard") -> tuple[Path, ...]:
    """Copy a starter flow into ``folder``, which may exist but may not hold a file of the same name.

    Args:
        folder: Where the flow goes; made when it is missing.
        kind: One of :data:`KINDS`.

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
    sources = sorted(path for path in (_STARTERS / kind).rglob("*") if path.is_file())
    targets = [folder / _target_name(path.relative_to(_STARTERS / kind)) for path in sources]
    in_the_way = [path for path in targets if path.exists()]
    if in_the_way:
        raise UsageError(
            *(
                Problem(
                    code="S806",
                    what=f"{path} exists already.",
                    fix="Choose an empty folder, or move the file away.",
                )
                for path in in_the_way
            )
        )
    try:
        for source, target in zip(sources, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        what = f"The flow cannot be written to {folder}: {reason}."
        raise StateError(
            Problem(code="S808", what=what, fix="Name a folder that you may write to.")
        ) from error
    return tuple(targets)


def _target_name(relative: Path) -> Path:
    """Starters are stored without the leading dot, so that version control does not apply them here."""
    return relative.with_name(".gitignore") if relative.name == "gitignore" else relative
