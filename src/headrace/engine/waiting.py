"""Model requests of a run that wait for a quota, wherever its lines are run, and a word when nothing else happens.

A model that refuses everything holds a run up for as long as its requests may wait, and no line tells of it.
"""

from __future__ import annotations

import asyncio
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
        most: The budget that most of them wait for.
        since_s: For how long no line has ended, seconds.
    """

    n_waiting: int
    most: BudgetUse
    since_s: float


class Waiting:
    """What waits in all processes of one run; for one event loop.

    Args:
        look: What the run's own process did with each budget.
    """

    def __init__(self, look: Callable[[], Sequence[BudgetUse]]) -> None:
        self._look = look
        self._elsewhere: dict[object, Sequence[BudgetUse]] = {}
        self._ended_at = 0.0

    def note(self, worker: object, uses: Sequence[BudgetUse]) -> None:
        """A worker says what waits in it; nothing does any more in one that is gone."""
        self._elsewhere[worker] = uses

    def note_line(self) -> None:
        """A line has ended."""
        self._ended_at = asyncio.get_running_loop().time()

    def uses(self) -> list[BudgetUse]:
        """The budgets that requests wait for, in each process by itself."""
        everywhere = [self._look(), *self._elsewhere.values()]
        return [use for uses in everywhere for use in uses if use.n_waiting]

    def count(self) -> int:
        """How many requests wait."""
        return sum(use.n_waiting for use in self.uses())

    @contextmanager
    def watch(self, tell: Callable[[HeldUp], None]) -> Iterator[None]:
        """Tell of it, again and again, while a run is held up during the block."""

        async def watching() -> None:
            while True:
                await asyncio.sleep(_LOOK_S)
                since_s = asyncio.get_running_loop().time() - self._ended_at
                uses = self.uses()
                if uses and since_s >= _LOOK_S:
                    most = max(uses, key=lambda use: use.n_waiting)
                    tell(HeldUp(n_waiting=sum(use.n_waiting for use in uses), most=most, since_s=since_s))

        self.note_line()
        task = asyncio.ensure_future(watching())
        try:
            yield
        finally:
            task.cancel()
