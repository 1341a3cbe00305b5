"""The state of one budget, kept where every process of this person on this machine finds it.

One small file per budget, read and written whole under an advisory lock, which the system takes from a process that
dies. Where there is no such folder, or the system has no such locks, each process keeps its own state.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from headrace.providers.allowance import Allowances
from headrace.providers.concurrency import Cause, Concurrency
from headrace.providers.pace import (
    Bucket,
    Pace,
    Rules,
    Ticket,
    begin,
    hear,
    hold,
    is_old_refusal,
    is_stale,
    lift,
    refuse,
    settle,
    take,
)

_BUCKETS = ("requests", "tokens")
_NAMES = tuple(item.name for item in fields(Pace) if item.name not in _BUCKETS)
_BUCKET_NAMES = tuple(item.name for item in fields(Bucket))
_PLAIN = attrgetter(*_NAMES)
_BUCKET = attrgetter(*_BUCKET_NAMES)
_FORM = struct.Struct(f"<{1 + len(_NAMES) + len(_BUCKETS) * len(_BUCKET_NAMES)}d")
_FIRST = struct.Struct("<2d")
_VERSION = 2.0
_FLUSH_S = 0.1
_TRIES = 20
_PAUSE_S = 0.0005
_LOOK_S = 0.05
"""How often to look for a place in flight that another event loop of this process has left."""


class SharedPace:
    """A budget's pace, safe for all threads, and for all processes that open the same file.

    Args:
        path: The file; ``None`` keeps the state in this process.
        rules: What does not change.
        clock: Seconds that only go forward, the same in all processes of this machine.
    """

    def __init__(self, path: Path | None, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self.concurrency = Concurrency()
        self._clock = clock
        self._lock = threading.Lock()
        self._pace = begin(rules, clock())
        self._file = _open(path) if path is not None else None
        self._uncounted = 0
        self._looked_at = float("-inf")
        self._was_refused = False
        """This process itself, since it began."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes see this state."""
        return self._file is not None

    def take(self, tokens: float) -> Ticket | float:
        """Leave to send a request, or seconds to wait; see :func:`headrace.providers.pace.take`.

        Whoever has got leave has to :meth:`leave` when the request is over.
        """
        if not self.concurrency.has_place():
            return _LOOK_S
        now = self._clock()
        if self._file is not None and not self._pace.is_limited:
            with self._lock:
                return self._take_freely(tokens, now)
        with self._exclusive(now) as pace:
            return self._take(pace, tokens, now)

    def try_again(self) -> bool:
        """Let one request go ahead although the service has asked for a longer wait than anybody has time for.

        Once in a process that was refused nothing yet itself, and every ten minutes: somebody may have raised the
        quota, or paid the bill.
        """
        now = self._clock()
        with self._exclusive(now) as pace:
            if self._was_refused and not is_old_refusal(pace, self.rules, now):
                return False
            self._was_refused = True  # or will be: one request goes ahead, and no other before its answer
            lift(pace, now)
            return True

    def leave(self, ticket: Ticket, *, is_served: bool) -> None:
        """A request is over, and its place free; may be said more than once."""
        with self._lock:
            if not ticket.place:
                return
            self.concurrency.leave(ticket.place if is_served else 0)
            if is_served and ticket.is_last:
                self.concurrency.serve(ticket.place, self._clock(), self.rules.minute_s)
            ticket.place = 0

    def hear(self, ticket: Ticket, stated: Allowances) -> None:
        """An answer stated limits."""
        now = self._clock()
        with self._exclusive(now) as pace:
            hear(pace, self.rules, ticket, stated, now)

    def refuse(self, ticket: Ticket, asked_s: float | None) -> None:
        """A request was answered with 429; ``asked_s`` is how long the service asks to wait, if it does."""
        now = self._clock()
        with self._exclusive(now) as pace:
            self._was_refused = True
            is_paced = pace.learned > 0
            cause = Cause.RATE
            if not ticket.is_too_large:
                cause = self.concurrency.refuse(ticket.place, ticket.sent_at, asked_s, now, is_paced=is_paced)
            if cause is Cause.CONCURRENCY:
                hold(pace, asked_s, now)
            else:
                refuse(pace, self.rules, ticket, asked_s, now, is_doubtful=cause is Cause.EITHER)
        self.leave(ticket, is_served=False)

    def settle(self, ticket: Ticket, tokens: float) -> None:
        """A request cost ``tokens``; matters only where tokens are limited."""
        if self._pace.is_limited and tokens != ticket.tokens:
            with self._exclusive(self._clock()) as pace:
                settle(pace, ticket, tokens)

    def look(self) -> tuple[Pace, float]:
        """The state as this process knows it, and the time."""
        return self._pace, self._clock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _take(self, pace: Pace, tokens: float, now: float) -> Ticket | float:
        ticket = take(pace, self.rules, tokens, now)
        if isinstance(ticket, Ticket):
            ticket.place, ticket.is_last = self.concurrency.enter()
        else:
            self.concurrency.is_short = False
        return ticket

    def _take_freely(self, tokens: float, now: float) -> Ticket | float:
        """No limit is known: nothing is read or written but, once in a while, how many were sent."""
        self._uncounted += 1
        if now - self._looked_at < _FLUSH_S and not self._is_limited_elsewhere():
            ticket = self._take(self._pace, tokens, now)
        else:
            self._looked_at = now
            n_uncounted = self._uncounted - 1
            with self._in_file(now) as pace:
                pace.cycle_n += n_uncounted
                pace.requests.taken += n_uncounted
                ticket = self._take(pace, tokens, now)
            self._uncounted = 0
        return ticket

    def _is_limited_elsewhere(self) -> bool:
        if self._file is None:
            return False
        try:
            head = os.pread(self._file, _FIRST.size, 0)
        except OSError:
            return False
        return len(head) == _FIRST.size and _FIRST.unpack(head)[1] != 0

    @contextmanager
    def _exclusive(self, now: float) -> Iterator[Pace]:
        with self._lock:
            if self._file is None:
                if is_stale(self._pace, self.rules, now):
                    self._pace = begin(self.rules, now)
                yield self._pace
                return
            n_uncounted, self._uncounted = self._uncounted, 0
            with self._in_file(now) as pace:
                pace.cycle_n += n_uncounted
                pace.requests.taken += n_uncounted
                yield pace

    @contextmanager
    def _in_file(self, now: float) -> Iterator[Pace]:
        file = self._file
        if file is None:
            yield self._pace
            return
        has_lock = _lock(file)
        try:
            self._pace = _read(file, self.rules, now) or begin(self.rules, now)
            yield self._pace
            _write(file, self._pace)
        finally:
            if has_lock:
                _fcntl.flock(file, _fcntl.LOCK_UN)


def _import_locks() -> Any:
    try:
        return import_module("fcntl")
    except ImportError:  # Windows
        return None


_fcntl = _import_locks()


def _open(path: Path) -> int | None:
    if _fcntl is None:
        return None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _lock(file: int) -> bool:
    """Take the lock. A process that was stopped while it held it must not stop the others: then go on without."""
    for _ in range(_TRIES):
        try:
            _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        except OSError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _read(file: int, rules: Rules, now: float) -> Pace | None:
    """The state of the file; ``None`` when there is none, or none that still counts."""
    try:
        content = os.pread(file, _FORM.size, 0)
    except OSError:
        return None
    if len(content) != _FORM.size:
        return None
    version, *numbers = _FORM.unpack(content)
    if version != _VERSION:
        return None
    plain = len(_NAMES)
    pace = Pace(**dict(zip(_NAMES, numbers[:plain], strict=True)))
    for number, name in enumerate(_BUCKETS):
        start = plain + number * len(_BUCKET_NAMES)
        part = numbers[start : start + len(_BUCKET_NAMES)]
        setattr(pace, name, Bucket(**dict(zip(_BUCKET_NAMES, part, strict=True))))
    return None if is_stale(pace, rules, now) else pace


def _write(file: int, pace: Pace) -> None:
    content = _FORM.pack(_VERSION, *_PLAIN(pace), *_BUCKET(pace.requests), *_BUCKET(pace.tokens))
    try:
        os.pwrite(file, content, 0)
    except OSError:
        return  # a full disk: what others see is a little old
