"""The keys that callers are known by, read again when their file changes.

A file that cannot be read, or is gone, changes nothing until it can: the keys read before still count, and
the log says so once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from headrace.domain.access import ServeKey
from headrace.errors import DefinitionError
from headrace.formats.key_file import read_key_file

LOOK_EVERY_S = 1.0

_LOGGER = logging.getLogger("headrace.serving")
_Stamp = tuple[int, int, int]


class KeyRing:
    """The keys that count at the moment.

    Args:
        file: Keys by name, see :mod:`headrace.formats.key_file`; may be changed while the server runs.
        given: Keys that are not in it.
        clock: Seconds that only go on.
        now: The time of day.

    Raises:
        DefinitionError: The file cannot be read, or something is wrong in it.
    """

    def __init__(
        self,
        file: Path | None,
        given: Sequence[ServeKey] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._file = file
        self._given = tuple(given)
        self._clock = clock
        self._now = now
        self._stamp = _stamp(file)
        self._keys = (*self._given, *(read_key_file(file) if file is not None else ()))
        self._looked_at = clock()

    def find(self, token: str) -> ServeKey | None:
        """The key that ``token`` is, unless it has ended. Every key is compared, whichever it is."""
        if self._file is not None and self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._look(self._file)
        now = self._now()
        fitting = [key for key in self._keys if key.fits(token)]
        return next((key for key in fitting if not key.has_ended(now)), None)

    def _look(self, file: Path) -> None:
        self._looked_at = self._clock()
        stamp = _stamp(file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = (*self._given, *read_key_file(file))
        except DefinitionError as error:
            codes = " ".join(problem.code for problem in error.problems)
            _LOGGER.warning("The file of keys cannot be read (%s); the keys read before still count.", codes)
        else:
            _LOGGER.info("The file of keys has changed; %d keys count now.", len(self._keys))


def _stamp(file: Path | None) -> _Stamp | None:
    """What tells one state of a file from another; ``None`` for one that is not there."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None
