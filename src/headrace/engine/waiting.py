"""Model requests of a run that wait for a quota, wherever its lines are run, and a word when nothing else happens.

A model that refuses everything holds a run up for as long as its requests may wait, and no line tells of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from headrace.providers.quota import BudgetUse

_LOOK_S = 10.0
"""How long no line has to end until it is said why, and how often it is said again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """No line has ended for a while, and requests wait for a quota.

    Attributes:
        n_waiting: Those that wait, whatever for.
        service: Host of the service that most of them wait for.
        model: Its model or deployment.
        refused: Requests that this model has refused so far, in all processes.
        since_s: For how long no line has ended, seconds.
    """

    n_waiting: int
    service: str
    model: str
    refused: int
    since_s: float


class Waiting:
    """What waits in all processes of one run; for one event loop.

    Args:
        look: What the run's own process did with each budget.
    """

    def __init__(self, look: Callable[[], Sequence[BudgetUse]]) -> None:
        self._look = look
        self._elsewhere: dict[object, Sequence[BudgetUse]] = {}
        self._refused_before: Counter[tuple[str, str]] = Counter()
        self._ended_at = 0.0

    def note(self, worker: object, uses: Sequence[BudgetUse]) -> None:
        """A worker says what it did with each budget."""
        self._elsewhere[worker] = uses

    def lose(self, worker: object) -> None:
        """A worker is gone: nothing waits in it any more, and what it was refused stays refused."""
        for use in self._elsewhere.pop(worker, ()):
            self._refused_before[use.service, use.model] += use.refused

    def note_line(self) -> None:
        """A line has ended."""
        self._ended_at = asyncio.get_running_loop().time()

    def count(self) -> int:
        """How many requests wait."""
        return sum(use.n_waiting for use in self._uses())

    def _uses(self) -> Iterator[BudgetUse]:
        yield from self._look()
        for uses in self._elsewhere.values():
            yield from uses

    def _held_up(self, since_s: float) -> HeldUp | None:
        """What requests wait for; ``None`` when they do not.

        Of all processes together: a model that refuses requests of one of them lets those of the others wait as well,
        which have not been refused anything themselves.
        """
        waiting, refused = Counter[tuple[str, str]](), Counter(self._refused_before)
        for use in self._uses():
            waiting[use.service, use.model] += use.n_waiting
            refused[use.service, use.model] += use.refused
        if not waiting.total():
            return None
        most, _ = waiting.most_common(1)[0]
        service, model = most
        return HeldUp(
            n_waiting=waiting.total(), service=service, model=model, refused=refused[most], since_s=since_s
        )

    @contextmanager
    def watch(self, tell: Callable[[HeldUp], None]) -> Iterator[None]:
        """Tell of it, again and again, while a run is held up during the block."""

        async def watching() -> None:
            while True:
                await asyncio.sleep(_LOOK_S)
                since_s = asyncio.get_running_loop().time() - self._ended_at
                held_up = self._held_up(since_s) if since_s >= _LOOK_S else None
                if held_up is not None:
                    tell(held_up)

        self.note_line()
        task = asyncio.ensure_future(watching())
        try:
            yield
        finally:
            task.cancel()
