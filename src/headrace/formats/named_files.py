"""Files and folders that code names as texts: what they hold, and whether they still hold it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_SKIPPED_FOLDERS = frozenset(("__pycache__", "node_modules"))
_LARGE_BYTES = 4 * 1024 * 1024
_MOST_FILES = 2_000
_WORD = re.compile(r"[\w-]{1,100}")
_SETTLED_NS = 50_000_000
"""How old a change has to be so that a later one is sure to have another time."""

_State = tuple[int, int, int] | None


class NamedFiles:
    """What stands under some names, now and when :meth:`parts` was asked for the first time.

    A name that leads nowhere counts as well: something may be put there.

    Args:
        folder: The project; paths are told from there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[tuple[str, tuple[Path, ...]], None] = {}
        self._parts: Mapping[str, str] | None = None
        self._state: list[object] = []

    def add(self, text: str, roots: Sequence[Path]) -> None:
        """Look for what a text names, in the first of ``roots`` that has it."""
        self._names[text, tuple(dict.fromkeys(roots))] = None

    def parts(self) -> Mapping[str, str]:
        """Digest of every file and folder by its path below the project, as it was the first time."""
        if self._parts is None:
            self._state = self._look()
            self._parts = self._read()
        return self._parts

    def changed(self) -> tuple[str, ...]:
        """The files and folders that are not what they were the first time, sooner told than read once more."""
        before = self.parts()
        state = self._look()
        if state == self._state:
            return ()
        now = self._read()
        if now == before:
            self._state = state
        return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))

    def _read(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for text, roots in self._names:
            found.update(_named_parts(text, roots, self._folder))
        return found

    def _look(self) -> list[object]:
        """Sizes and times; never equal to another look where a change may be too new to show in them."""
        seen: list[object] = []
        newest = 0
        for text, roots in self._names:
            for root in roots:
                for state in _states(root, text, self._folder):
                    seen.append(state)
                    newest = max(newest, state[1]) if state is not None else newest
        if time.time_ns() - newest < _SETTLED_NS:
            seen.append(object())
        return seen


def is_name_in(folder: Path, text: str) -> bool:
    """Whether a word is the name of something in ``folder``, as ``pages`` may be: its form does not tell."""
    return _WORD.fullmatch(text) is not None and (folder / text).exists()


def file_digest(file: Path) -> str:
    """Digest of a file's content, without regard to line ends; of a large one, of its size and time."""
    try:
        if file.stat().st_size > _LARGE_BYTES:
            return _size_and_time(file)
        content = file.read_bytes()
    except OSError:
        return "unreadable"
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """Digest of all files of a folder; of very many, their sizes and times count."""
    files = sorted(_files(folder))
    digest = hashlib.sha256()
    for file in files:
        state = file_digest(file) if len(files) <= _MOST_FILES else _size_and_time(file)
        digest.update(f"{file.relative_to(folder).as_posix()}\0{state}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def shown_path(path: Path, folder: Path) -> str:
    """A path as it is told, from a folder."""
    return Path(os.path.relpath(path, folder.resolve())).as_posix()


def _named_parts(text: str, roots: Sequence[Path], folder: Path) -> Mapping[str, str]:
    for root in roots:
        path = _existing(root, text)
        if path is None:
            continue
        if path.is_file():
            return {shown_path(path, folder): file_digest(path)}
        if _is_counted(path, text, folder):
            return {f"{shown_path(path, folder)}/": folder_digest(path)}
    return {}


def _is_counted(path: Path, text: str, folder: Path) -> bool:
    """Whether a folder counts; one that holds the project holds what runs leave behind as well."""
    return not folder.resolve().is_relative_to(path) and not Path(text).is_absolute()


def _existing(root: Path, text: str) -> Path | None:
    try:
        path = (root / text).resolve()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # no path on this system
        return None


def _states(root: Path, text: str, folder: Path) -> Iterator[_State]:
    """Inode, time and size of what stands under a name, of a folder those of its files; ``None`` for nothing."""
    place = os.path.join(root, text)  # noqa: PTH118 - looked at often, and pathlib takes many times as long
    try:
        state = os.stat(place)  # noqa: PTH116
    except (OSError, ValueError):  # nothing there, or no path on this system
        yield None
        return
    if not stat.S_ISDIR(state.st_mode):
        yield state.st_ino, state.st_mtime_ns, state.st_size
    elif (path := _existing(root, text)) is not None and _is_counted(path, text, folder):
        for file in sorted(_files(path)):
            yield from _states(path, str(file), folder)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _size_and_time(file: Path) -> str:
    try:
        state = file.stat()
    except OSError:
        return "unreadable"
    return f"{state.st_size}-{state.st_mtime_ns}"
