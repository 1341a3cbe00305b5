"""A bounded queue and the thread that empties it: what is put in costs its maker next to nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
_PAUSE_S = 0.05


class Spool(Generic[T]):
    """Hands what is put in to ``handle``, on a thread of its own; what does not fit any more is dropped.

    May catch everything: ``handle`` counts what it has done.

    Args:
        handle: Takes one item; called by one thread at a time.
        max_items: Items that may wait.
        name: Of the thread.

    Attributes:
        n_taken: Items that were put in by their type, those included for which there was no room.
    """

    def __init__(self, handle: Callable[[T], None], *, max_items: int, name: str) -> None:
        self.n_taken: Counter[type] = Counter()
        self._handle = handle
        self._max_items = max_items
        self._name = name
        self._waiting: deque[T] = deque()
        self._lock = Lock()
        self._ending = Event()
        self._thread: Thread | None = None
        self._is_closed = False

    def put(self, item: T) -> None:
        """Take one item; never waits for ``handle``."""
        with self._lock:
            if self._is_closed:
                return
            self.n_taken[type(item)] += 1
            if len(self._waiting) >= self._max_items:
                return
            self._waiting.append(item)
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Take nothing any more and wait until all is handled, but not longer than ``timeout_s`` seconds.

        Returns:
            Whether all of it was.
        """
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._ending.set()
        if thread is not None:
            thread.join(timeout_s)
            return not thread.is_alive()
        return True

    def _run(self) -> None:
        # Looks every so often: waking a thread for every item would cost its maker more than the item.
        while True:
            is_ending = self._ending.wait(_PAUSE_S)
            while self._waiting:
                item = self._waiting.popleft()
                with suppress(Exception):  # what was not sent is missing from the count of what was
                    self._handle(item)
            if is_ending:
                return
