"""Equal calls of nodes in several processes of one run: each is made once, and the others wait for what it comes to.

Nobody holds anything longer than a call lasts, so that two lines never wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headrace.domain.cache import CachedResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """The end of a call that others may wait for.

    Attributes:
        result: What they can use; ``None`` when each has to call for itself.
        is_new: It was made just now, and is to be kept.
        is_abandoned: The call was cancelled, which says nothing about the next one.
    """

    result: CachedResult | None = None
    is_new: bool = False
    is_abandoned: bool = False


ABANDONED = Landing(is_abandoned=True)


class Others(Protocol):
    """The other processes of a run, as one of them sees them."""

    async def lead(self, key: str) -> Landing | None:
        """Wait while another process makes a call: what it came to, or ``None`` when it is to be made here."""
        ...

    def land(self, key: str, landing: Landing) -> None:
        """Say what a call came to that was to be made here, or that nobody waits here any more."""
        ...


Answer = Callable[[Landing | None], None]
"""Tells a worker what :meth:`Others.lead` returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A call that a worker is about to make.

    Attributes:
        worker: Who asks.
        number: Of the question, among those of the worker.
    """

    worker: object
    number: int


class Results(Protocol):
    """What the run has made and the store may not have yet."""

    def fresh(self, key: str) -> CachedResult | None:
        """The result of a key, if it is among them."""
        ...

    def add_made(self, result: CachedResult) -> None:
        """Keep one more."""
        ...


class Flights:
    """The calls that are in flight in the workers of a run, as the run's own process knows them.

    Args:
        results: Where what was made is kept.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._flights: dict[str, deque[tuple[Asker, Answer]]] = {}

    def ask(self, key: str, asker: Asker, answer: Answer) -> None:
        """A worker is about to make a call: it is answered at once, or when the one who makes it has done so."""
        found = self._results.fresh(key)
        if found is not None:
            answer(Landing(result=found))
        elif key in self._flights:
            self._flights[key].append((asker, answer))
        else:
            self._flights[key] = deque([(asker, answer)])
            answer(None)

    def land(self, key: str, asker: Asker, landing: Landing) -> None:
        """A worker says what its call came to, or that it does not wait any more."""
        flight = self._flights.get(key)
        if flight is None:
            return
        if flight[0][0] != asker:
            self._flights[key] = deque(item for item in flight if item[0] != asker)
            return
        flight.popleft()
        if landing.is_abandoned and flight:
            flight[0][1](None)
            return
        del self._flights[key]
        if landing.result is not None and landing.is_new:
            self._results.add_made(landing.result)
        for _, answer in flight:
            answer(landing)

    def lose(self, worker: object) -> None:
        """A worker is gone: what it was to call is called by the next one."""
        for key, flight in tuple(self._flights.items()):
            for asker, _ in tuple(flight):
                if asker.worker is worker:
                    self.land(key, asker, ABANDONED)
