"""Files that a command makes for the user: all of them or none, and nothing overwritten unasked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.errors import Problem, StateError, UsageError


def refuse_existing(paths: Iterable[Path]) -> None:
    """Stop when files are in the way.

    Raises:
        UsageError: S806 for every path that exists.
    """
    in_the_way = [path for path in paths if path.exists() or path.is_symlink()]
    if in_the_way:
        fix = "Choose an empty folder, move the file away, or say --yes to overwrite it."
        raise UsageError(
            *(Problem(code="S806", what=f"{path} exists already.", fix=fix) for path in in_the_way)
        )


def write_files(files: Mapping[Path, str | bytes], *, is_replacing: bool = False) -> tuple[Path, ...]:
    """Write files, texts as UTF-8; folders are made where they are missing.

    Args:
        files: Path to content.
        is_replacing: Overwrite files that exist.

    Returns:
        The paths, in the given order.

    Raises:
        UsageError: S806 when a file is in the way; then nothing was written.
        StateError: S808 when one cannot be written; nothing was where a file is in the place of a folder, or the other
            way round.
    """
    _refuse_impossible(files)
    if not is_replacing:
        refuse_existing(files)
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise cannot_write(path, error) from error
    return tuple(files)


def _refuse_impossible(paths: Iterable[Path]) -> None:
    """Stop before anything is written when a file stands where a folder has to be, or the other way round."""
    wanted = tuple(paths)
    folders = dict.fromkeys(folder for path in wanted for folder in reversed(path.parents))
    no_folders = [path for path in folders if not path.is_dir() and (path.exists() or path.is_symlink())]
    no_files = [path for path in wanted if path.is_dir()]
    if no_folders or no_files:
        fix = "Move it away, or name another folder."
        raise StateError(
            *(
                Problem(code="S808", what=f"{path} is in the way: it is no folder.", fix=fix)
                for path in no_folders
            ),
            *(
                Problem(code="S808", what=f"{path} is in the way: it is a folder.", fix=fix)
                for path in no_files
            ),
        )


def cannot_write(path: Path, error: OSError) -> StateError:
    """The S808 error for a file or folder that cannot be written."""
    reason = (error.strerror or type(error).__name__).lower()
    what = f"{path} cannot be written: {reason}."
    return StateError(Problem(code="S808", what=what, fix="Name a folder that you may write to."))
