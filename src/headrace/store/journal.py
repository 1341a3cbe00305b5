"""Journals: what live traffic leaves behind is acknowledged when it is in a file of the process, and moved from there.

A journal is a file of JSON lines that only its process appends to; the process holds its lock until it has closed the
file or died. :class:`JournalMover` takes whole lines to the store in batches and says in a second file, beside the
journal, how far it has come; it inserts again what it had inserted when it was killed before it said so, and the store
knows by the ids. Any process may move any journal of the folder, one at a time; the last one deletes what nobody
appends to any more.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from threading import Condition, Event, Lock, Thread
from typing import Any, Protocol

from headrace.domain.evidence import Evidence
from headrace.errors import Problem, StateError
from headrace.store.evidence_records import EvidenceRow, journal_line, row_from_line
from headrace.store.folders import make_folder

_LOGGER = logging.getLogger("headrace.store")

_JOURNAL, _MOVED, _DAMAGED = ".jsonl", ".moved", ".damaged"
_FILE_BYTES = 16_000_000
_CHUNK_BYTES = 262_144
_BATCH, _LARGE_BATCH = 100, 1000
# A thread that computes holds up those that answer requests: it does a few lines at a time, for a fraction of a
# millisecond, and sleeps in between.
_LINES_AT_ONCE = 20
_REST_S = 0.0005
_LONGEST_PAUSE_S = 30.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _import_locks() -> Any:
    try:
        return import_module("fcntl")
    except ImportError:  # Windows
        return None


_fcntl = _import_locks()


class EvidenceStore(Protocol):
    """The part of :class:`~headrace.store.base.RunStore` that journals are moved to."""

    def append_evidence(self, records: Sequence[Evidence | EvidenceRow]) -> int:
        """Keep what is new, and return how many that were."""
        ...


class Journal:
    """The journal of one process. Safe for use from several threads; a process that is forked gets a file of its own.

    Args:
        folder: Where its files are; made with the first record.
        is_synced: Whether a record is forced to the disk before :meth:`append` returns, together with those of other
            threads; without, it survives the death of the process but not that of the machine.
        file_bytes: From which size on a file is closed and another one begun.
    """

    def __init__(self, folder: Path, *, is_synced: bool = False, file_bytes: int = _FILE_BYTES) -> None:
        self._folder = folder
        self._is_synced = is_synced
        self._file_bytes = file_bytes
        self._lock = Lock()
        self._force_lock = Lock()
        self._file: int | None = None
        self._size = 0
        self._process = os.getpid()
        self._is_closed = False
        # How many records were appended, up to which one they are on the disk, and up to which one that is not known.
        self._n_appended = self._n_forced = self._n_failed = 0

    def append(self, record: Evidence) -> None:
        """Record something; returns when it would survive ``SIGKILL``.

        Raises:
            StateError: S851 when it cannot be written; nothing of it is kept. When it cannot be forced to the disk, it
                may be kept.
            TypeError: Attributes, inputs or outputs are not plain data.
        """
        line = journal_line(record)
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                raise _failure(self._folder, error) from error
            self._n_appended += 1
            number = self._n_appended
        if self._is_synced:
            self._force(number)

    def close(self) -> None:
        """Append no more; the mover can delete the file when it is done with it. A second call does nothing."""
        with self._force_lock, self._lock:
            self._is_closed = True
            self._end_file()

    def _write(self, line: bytes) -> None:
        if self._process != os.getpid():
            self._end_file()
        file = self._begin_file() if self._file is None else self._file
        written = 0
        try:
            while written < len(line):
                written += os.write(file, line[written:])
        except OSError:
            self._take_back(file)
            raise
        self._size += len(line)
        if self._size >= self._file_bytes and not self._is_synced:
            self._end_file()

    def _take_back(self, file: int) -> None:
        """Remove what there is of a line; a file in which it stays is not appended to.

        Neither is one that holds records: once these are in the store it can be deleted, which makes room.
        """
        try:
            os.ftruncate(file, self._size)
            if self._size:
                if self._is_synced:
                    os.fsync(file)
                    self._n_forced = self._n_appended
                self._end_file()
        except OSError:
            self._n_failed = self._n_appended
            self._end_file()

    def _begin_file(self) -> int:
        if self._is_closed:
            raise OSError(errno.EBADF, "the journal has been closed")
        if _fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no locks of files as journals need them")
        make_folder(self._folder)
        while True:
            path = self._folder / f"{os.getpid()}-{token_hex(8)}{_JOURNAL}"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            # A mover may have been faster, and deletes a file that nobody holds.
            if _lock(file) and path.exists():
                break
            os.close(file)
        if self._is_synced:
            _force_names(self._folder)
        self._file, self._size, self._process = file, 0, os.getpid()
        return file

    def _end_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _force(self, number: int) -> None:
        """Force the records up to a number to the disk, unless another thread has done it meanwhile."""
        with self._force_lock:
            if self._n_failed < number <= self._n_forced:
                return
            with self._lock:
                file, last = self._file, self._n_appended
            try:
                if number <= self._n_failed or file is None:
                    raise OSError(errno.EIO, "the disk did not confirm that it is written")
                os.fsync(file)
                self._n_forced = last
                self._end_full_file()
            except OSError as error:
                # What a disk has refused once it may claim to have the next time.
                with self._lock:
                    self._n_failed = self._n_appended
                    self._end_file()
                raise _failure(self._folder, error) from error

    def _end_full_file(self) -> None:
        if self._size < self._file_bytes:
            return
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)
                self._n_forced = self._n_appended
                self._end_file()


class JournalMover:
    """A thread that moves the journals of a folder to a store, those of dead processes as well.

    A store that is away is tried again, less and less often; what is recorded meanwhile stays in the journals. Lines
    that cannot be read are kept in a file ``….damaged``.

    Args:
        folder: The folder of the journals.
        store: Where they go; used from the thread.
        every_s: How often to look, seconds.
        is_backup: Whether another process moves these journals: then only those are moved that nobody has moved a piece
            of since the last time, and those that :meth:`flush` asks for.
        is_aside: Whether nobody waits for this process: then it does not rest in between.
    """

    def __init__(
        self,
        folder: Path,
        store: EvidenceStore,
        every_s: float = 0.5,
        *,
        is_backup: bool = False,
        is_aside: bool = False,
    ) -> None:
        self._folder = folder
        self._store = store
        self._every_s = every_s
        self._is_backup = is_backup
        self._is_aside = is_aside
        self._n_flushing = 0
        self._seen: Mapping[Path, float] = {}
        self._wake = Event()
        self._is_closed = False
        self._moved = Condition()
        self._is_waiting = False
        self._thread = Thread(target=self._work, name="headrace journal", daemon=True)
        self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that has been appended so far is in the store, or for ``timeout_s`` seconds.

        Returns:
            Whether it is.
        """
        self._n_flushing += 1
        try:
            return self._is_flushed(time.monotonic() + timeout_s)
        finally:
            self._n_flushing -= 1

    def _is_flushed(self, end: float) -> bool:
        sizes = dict(_sizes(self._folder))
        with self._moved:
            while sizes := {path: size for path, size in sizes.items() if _n_moved(path) < size}:
                left_s = end - time.monotonic()
                if left_s <= 0 or not self._thread.is_alive():
                    return False
                self._wake.set()
                self._moved.wait(min(left_s, self._every_s))
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop; what has not been moved stays in the journals. A second call does nothing.

        Args:
            timeout_s: How long to wait for a store that does not answer, seconds.
        """
        self._is_closed = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        pause_s = self._every_s
        while not self._is_closed:
            self._wake.clear()
            try:
                self._move_all()
                pause_s = self._every_s
                self._say(None)
            except (StateError, OSError) as error:
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self._say(error)
            except Exception as error:
                # Whatever it is, a thread that has ended would move nothing until the process begins anew.
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                _LOGGER.error("The journals of %s could not be moved.", self._folder, exc_info=error)
            with self._moved:
                self._moved.notify_all()
            self._wake.wait(pause_s)

    def _say(self, error: Exception | None) -> None:
        if error is not None and not self._is_waiting:
            text = "What live traffic leaves behind waits in %s until it can be moved to the store: %s"
            _LOGGER.warning(text, self._folder, error)
        elif error is None and self._is_waiting:
            _LOGGER.info("What live traffic left behind has been moved from %s to the store.", self._folder)
        self._is_waiting = error is not None

    def _move_all(self) -> None:
        paths = sorted(_journals(self._folder))
        if self._is_backup and not self._n_flushing:
            before, self._seen = self._seen, {path: _n_moved(path) for path in paths}
            paths = [path for path in paths if self._seen[path] == before.get(path)]
        while paths and not self._is_closed:
            # A piece of each in turn: what is recorded now does not wait for what a dead process left behind.
            paths = [path for path in paths if self._move(path)]

    def _move(self, path: Path) -> bool:
        """Move a piece of a journal; whether there is more."""
        with _moving(path) as progress:
            if progress is None:
                return False
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # another mover was faster
                path.with_suffix(_MOVED).unlink(missing_ok=True)
                return False
            try:
                has_ended = _lock(file)  # before reading: nothing comes behind what is read then
                offset = _read_offset(progress)
                lines = _read_lines(file, offset)
                size = _LARGE_BATCH if self._is_aside else _BATCH
                for start in range(0, len(lines), size):
                    batch = lines[start : start + size]
                    self._store.append_evidence(self._records(path, batch))
                    offset += sum(map(len, batch))
                    os.pwrite(progress, b"%020d" % offset, 0)
                if has_ended and not lines:  # what stands behind the last line was never acknowledged
                    path.unlink()
                    path.with_suffix(_MOVED).unlink()
                return bool(lines) and (has_ended or offset + _CHUNK_BYTES < os.fstat(file).st_size)
            finally:
                os.close(file)

    def _records(self, path: Path, lines: Sequence[bytes]) -> list[EvidenceRow]:
        records = []
        for number, line in enumerate(lines):
            if number % _LINES_AT_ONCE == 0 and not self._is_aside:
                time.sleep(_REST_S)
            try:
                records.append(row_from_line(line))
            except (ValueError, KeyError, TypeError):
                damaged = path.with_suffix(_DAMAGED)
                _LOGGER.error("A line of %s cannot be read; it is kept in %s.", path, damaged)
                with damaged.open("ab") as file:
                    file.write(line)
        return records


def _failure(folder: Path, error: OSError) -> StateError:
    is_full = error.errno in _FULL
    what = "its disk is full" if is_full else "a file in it cannot be written"
    fix = (
        "Free some space." if is_full else "Make the folder writable, or set HEADRACE_JOURNAL to another one."
    )
    return StateError(
        Problem(
            code="S851",
            what=f"The journal {folder} cannot be used: {what}.",
            fix=fix,
            detail=(error.strerror or "",),
        )
    )


def _lock(file: int) -> bool:
    try:
        _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _moving(path: Path) -> Iterator[int | None]:
    """What says how far a journal has been moved, locked for the block; ``None`` where another mover is at it."""
    progress = os.open(path.with_suffix(_MOVED), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        is_ours = _lock(progress)
        if is_ours and not os.fstat(progress).st_size:
            # Takes its room while there is some: on a disk that journals have filled it would never be said that they
            # can be deleted.
            os.pwrite(progress, b"%020d" % 0, 0)
        yield progress if is_ours else None
    finally:
        os.close(progress)


def _read_offset(progress: int) -> int:
    with suppress(ValueError):
        return int(os.pread(progress, 20, 0))
    return 0


def _read_lines(file: int, offset: int) -> list[bytes]:
    """Whole lines from a place on, some hundred of them, or one that is longer."""
    n_bytes = _CHUNK_BYTES
    while True:
        data = os.pread(file, n_bytes, offset)
        end = data.rfind(b"\n") + 1
        if end or len(data) < n_bytes:
            return data[:end].splitlines(keepends=True)
        n_bytes *= 2


def _journals(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from folder.glob(f"*{_JOURNAL}")


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in _journals(folder):
        with suppress(FileNotFoundError):
            yield path, path.stat().st_size


def _n_moved(path: Path) -> float:
    """How many bytes of a journal are in the store: all of one that is gone."""
    try:
        moved = int(path.with_suffix(_MOVED).read_bytes())
    except (FileNotFoundError, ValueError):
        moved = 0
    return moved if path.exists() else float("inf")


def _force_names(folder: Path) -> None:
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
