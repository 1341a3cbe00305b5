"""Connection files on disk: private to their owner, written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from headrace.config import STATE_FOLDER
from headrace.domain.connection import Connection
from headrace.errors import Problem, StateError
from headrace.formats.connection_file import render_connection

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,127}")
"""What the name of a connection looks like that can be kept in a file."""

_SUFFIXES = (".yaml", ".yml")


def find_file(folder: Path, name: str) -> Path | None:
    """The file in ``folder`` that keeps the connection ``name``, if there is one."""
    if not FILE_NAME.fullmatch(name):
        return None
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    return None


def stored_names(folder: Path) -> tuple[str, ...]:
    """Names of the connections that files in ``folder`` keep."""
    if not folder.is_dir():
        return ()
    paths = [path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file()]
    return tuple(sorted({path.stem for path in paths if FILE_NAME.fullmatch(path.stem)}))


def write_file(folder: Path, connection: Connection) -> Path:
    """Write a connection with its secrets: mode 0600 in a folder of mode 0700 that version control ignores.

    Raises:
        StateError: S808 when it cannot be written.
    """
    path = find_file(folder, connection.name) or folder / f"{connection.name}.yaml"
    text = render_connection(connection, show_secrets=True)
    try:
        _make_private_folder(folder)
        _replace_file(path, text)
    except OSError as error:
        raise _cannot(path, "written", error) from error
    return path


def delete_file(path: Path) -> None:
    """Delete a connection file.

    Raises:
        StateError: S808 when it cannot be deleted.
    """
    try:
        path.unlink()
    except OSError as error:
        raise _cannot(path, "deleted", error) from error


def _make_private_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    ignore = folder.parent / ".gitignore"
    if folder.parent.name == STATE_FOLDER and not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def _replace_file(path: Path, text: str) -> None:
    """Write beside the file, then move over it: a reader sees the old file or the new one."""
    # mkstemp makes the file readable for its owner only.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _cannot(path: Path, verb: str, error: OSError) -> StateError:
    reason = (error.strerror or "unknown reason").lower()
    return StateError(
        Problem(
            code="S808",
            what=f"The connection file {path} cannot be {verb}: {reason}.",
            fix="Check the permissions of the folder and the space on the disk.",
        )
    )
