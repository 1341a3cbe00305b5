"""Whose turn it is when many requests wait for one budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

ItemT = TypeVar("ItemT")

_JUDGES_IN_A_ROW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Whom a request is for.

    Attributes:
        name: A run; requests of one lane are served in the order in which they came.
        is_judge: Whether it judges what other runs have made: it goes first, so that lines come to their end.
    """

    name: str
    is_judge: bool = False


class Pausable(Protocol):
    """A time limit that can be stopped and goes on later."""

    def pause(self) -> None:
        """Stop the clock; may be called again before :meth:`go_on`."""
        ...

    def go_on(self) -> None:
        """Undo one call of :meth:`pause`."""
        ...


NO_LANE = Lane(name="")

current_lane: ContextVar[Lane] = ContextVar("headrace_current_lane", default=NO_LANE)
"""The lane of the requests that are sent in this context."""

current_limits: ContextVar[Sequence[Pausable]] = ContextVar("headrace_current_limits", default=())
"""Time limits of what runs in this context, which do not count the time spent waiting for a quota."""


@contextmanager
def in_lane(lane: Lane) -> Iterator[None]:
    """Send the requests of a block, and of the tasks begun in it, for ``lane``."""
    token = current_lane.set(lane)
    try:
        yield
    finally:
        current_lane.reset(token)


def add_limit(limit: Pausable) -> Token[Sequence[Pausable]]:
    """Stop ``limit`` as well whenever something in this context waits for a quota; the token undoes it."""
    return current_limits.set((*current_limits.get(), limit))


@contextmanager
def paused() -> Iterator[None]:
    """Stop the time limits of this context for the duration of a block."""
    limits = current_limits.get()
    for limit in limits:
        limit.pause()
    try:
        yield
    finally:
        for limit in limits:
            limit.go_on()


class Turns(Generic[ItemT]):
    """Items that wait: round robin among the lanes, judges first, but of four turns one is another's if any waits."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[ItemT]] = {}
        self._judges_in_a_row = 0

    def __len__(self) -> int:
        return sum(len(items) for items in self._lanes.values())

    def add(self, lane: Lane, item: ItemT) -> None:
        """Wait at the end of ``lane``."""
        self._lanes.setdefault(lane, deque()).append(item)

    def drop(self, is_over: Callable[[ItemT], bool]) -> None:
        """Forget items that wait no longer."""
        for lane, items in tuple(self._lanes.items()):
            left = deque(item for item in items if not is_over(item))
            if left:
                self._lanes[lane] = left
            else:
                del self._lanes[lane]

    def peek(self) -> ItemT:
        """The item whose turn it is.

        Raises:
            LookupError: Nothing waits.
        """
        return self._lanes[self._next_lane()][0]

    def pop(self) -> ItemT:
        """Take that item away and pass the turn on.

        Raises:
            LookupError: Nothing waits.
        """
        lane = self._next_lane()
        items = self._lanes.pop(lane)
        item = items.popleft()
        if items:
            self._lanes[lane] = items  # behind the other lanes
        self._judges_in_a_row = self._judges_in_a_row + 1 if lane.is_judge else 0
        return item

    def _next_lane(self) -> Lane:
        if not self._lanes:
            raise LookupError
        judges_first = self._judges_in_a_row < _JUDGES_IN_A_ROW
        wanted = (lane for lane in self._lanes if lane.is_judge == judges_first)
        return next(wanted, next(iter(self._lanes)))
