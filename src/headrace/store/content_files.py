"""Contents as files beside a database file: ``<store>.contents/ab/cdef…``, named by the SHA-256 of what they hold."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from headrace.store.database import Connection, Database
from headrace.store.failures import DISK_FULL, Cause, store_failure

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNFINISHED = ".unfinished"
_ABANDONED_S = 3600.0


class FileContents:
    """Implements :class:`~headrace.store.database.Contents` in a folder, which is made with the first content.

    A file is whole or not there: it is written under another name, forced to the disk and renamed. A row that refers
    to it is committed afterwards. Deleting holds the database's write lock and looks again for rows that refer to it;
    a writer looks again for its files under the same lock, so none of them is missing when it commits.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self, contents: Mapping[str, bytes]) -> None:
        """Write the files that are missing; see the protocol."""
        missing = [digest for digest, data in contents.items() if not self._is_there(digest, len(data))]
        with self._translated():
            folders = {self._path(digest).parent for digest in missing}
            if not all(folder.is_dir() for folder in folders):
                folders |= {self._folder, self._folder.parent}
            for digest in missing:
                self._write(digest, contents[digest])
            for folder in folders:
                _force_names(folder)

    def keep(self, _connection: Connection, contents: Mapping[str, bytes]) -> None:
        """Write again what was deleted meanwhile; see the protocol."""
        self.prepare(contents)

    def read(self, _connection: Connection, digest: str) -> bytes | None:
        """One content; see the protocol."""
        with self._translated():
            try:
                return self._path(digest).read_bytes()
            except FileNotFoundError:
                return None

    def name(self, digest: str) -> str:
        """The file of a content; see the protocol."""
        return f"the file {self._path(digest)}"

    def collect(self, database: Database) -> None:
        """Delete the files that nothing refers to; see the protocol."""
        with self._translated():
            unused = set(self._digests())
        if not unused:
            return
        unused -= database.read(_used)

        def delete(connection: Connection) -> None:
            for digest in unused - _used(connection):
                self._path(digest).unlink(missing_ok=True)

        if unused:
            database.write(delete, is_repeatable=True)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest[2:]

    def _is_there(self, digest: str, size: int) -> bool:
        try:
            return self._path(digest).stat().st_size == size
        except OSError:
            return False

    def _write(self, digest: str, data: bytes) -> None:
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{token_hex(8)}{_UNFINISHED}")
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _digests(self) -> Iterator[str]:
        """What there is by the names of its files; files that a killed process left unfinished go."""
        for path in self._folder.glob("??/*"):
            if not path.name.endswith(_UNFINISHED):
                yield path.parent.name + path.name
                continue
            with suppress(FileNotFoundError):  # it may be finished at this moment
                if path.stat().st_mtime < time.time() - _ABANDONED_S:
                    path.unlink()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            fix = "Make the folder readable and writable; it belongs to the store."
            cause = Cause(what="its folder of contents is out of reach", fix=fix)
            chosen = DISK_FULL if error.errno in _FULL else cause
            raise store_failure(str(self._folder), chosen, error.strerror or "") from error


def _used(connection: Connection) -> set[str]:
    return {row["digest"] for row in connection.rows("used_contents", {})}


def _force_names(folder: Path) -> None:
    """Force the names of new files to the disk; not every system opens folders for that."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
