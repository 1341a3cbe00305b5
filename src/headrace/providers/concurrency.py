"""How many requests of this process may be in flight at once: pure arithmetic, without a clock or a lock.

Nothing is held back until a service has refused something. What was in flight then and was not refused is the cap.
While the cap is what holds requests back, it is raised, and lowered when the service refuses. See docs/decisions/0012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

_EDGE = 0.9
"""Share of the cap from which on a refusal may be one of concurrency."""

_DECREASE = 0.9
_MANY = 100.0
"""Requests in the last place between two attempts to find a higher cap: fewer than one in a hundred is refused."""

_FEW = 25.0
_PAUSE = 1 / 4
_PAUSES = 30.0
_ROUNDS = 2.0
_HASTE = 8.0
"""By how much the first attempts come sooner."""


class Cause(Enum):
    """What a service may have refused a request for."""

    RATE = auto()
    CONCURRENCY = auto()
    EITHER = auto()


@dataclass(slots=True, kw_only=True)
class Concurrency:
    """The requests in flight of one budget and process.

    Attributes:
        in_flight: Requests that were sent and are not over.
        cap: Most that may be in flight; infinity until something was refused.
        known: What the cap was before it was last lowered: up to there it is raised fast.
        proven: What the cap was before it was raised beyond what is known, while the raise may be undone; else 0.
        floor: What the latest burst of refusals lowers it to at most.
        is_short: Whether it was the cap that held a request back last, and not the rate.
        step: How much the next raise beyond what is known adds.
        clean: Requests that took the last place and were answered, since the cap was changed.
        changed_at: When the cap was changed.
        asked_s: Seconds that the service asked to wait when it last refused.
        refused_at: When the latest refusal was acted upon.
        has_cut: Whether that refusal lowered the cap: so does each one of the same burst.
        cause: What that refusal was taken for.
        doubts: Refusals in a row that lowered the cap, with few answers in between: then it may be the rate after all.
        failures: Raises beyond what is known that were undone.
        borne: Highest place of a request that was served since the latest refusal that was acted upon.
    """

    in_flight: int = 0
    cap: float = math.inf
    known: float = math.inf
    proven: float = 0.0
    floor: float = 1.0
    is_short: bool = False
    step: float = 1.0
    clean: float = 0.0
    changed_at: float = -math.inf
    asked_s: float = 0.0
    refused_at: float = -math.inf
    has_cut: bool = False
    cause: Cause = Cause.RATE
    doubts: int = 0
    failures: int = 0
    borne: int = 0

    def has_place(self) -> bool:
        """Whether one more request may be sent."""
        if self.in_flight < self.cap:
            return True
        self.is_short = True
        return False

    def enter(self) -> tuple[int, bool]:
        """A request is sent: its place, from 1, and whether it is the last one, for which requests had to wait."""
        self.in_flight += 1
        return self.in_flight, self.is_short and self.in_flight >= self.cap

    def leave(self, served: int = 0) -> None:
        """A request is over: ``served`` is the place of one that was answered, 0 otherwise."""
        self.in_flight -= 1
        self.borne = max(self.borne, served)

    def serve(self, place: int, now: float, minute_s: float) -> None:
        """The request in the last ``place`` was served, and others wait for it: raise the cap when it is time."""
        if place < self.cap:
            return  # it was raised in the meantime
        self.clean += 1
        if self.clean >= max(_FEW, self.cap):
            self.doubts = 0
        if self.cap < self.known:
            if self.clean >= self.cap:
                self._raise(math.ceil((self.known - self.cap) / 2), now)
        elif self.proven:
            if self.clean >= _ROUNDS * self.cap:
                self.known = self.proven = self.cap
                self.step *= 2
                self._raise(self.step, now)
        elif self._may_try(now, minute_s):
            self.proven = self.cap
            self._raise(self.step, now)

    def _may_try(self, now: float, minute_s: float) -> bool:
        """Whether to look for a higher cap. If that fails it costs a request, and the time that is asked for."""
        share = min(1.0, (2.0 ** min(self.failures, 16) - 1) / _HASTE)
        pause_s = share * min(_PAUSE * minute_s + _PAUSES * self.asked_s, minute_s)
        is_enough = self.clean >= max(share * _MANY, _ROUNDS * self.cap)
        return is_enough and now - self.changed_at >= pause_s

    def _raise(self, by: float, now: float) -> None:
        self.cap += by
        self.clean, self.changed_at = 0.0, now

    def refuse(
        self, place: int, sent_at: float, asked_s: float | None, now: float, *, is_paced: bool = False
    ) -> Cause:
        """The request that was sent in ``place`` was refused: lower the cap if that may be why.

        There is no cap before a service has shown one. A place that it has served since it last refused shows none, nor
        does a refusal while a rate is known to be what holds requests back (``is_paced``).
        """
        if sent_at <= self.refused_at:  # sent before it could be known
            if self.has_cut:
                self._cut(self.cap - 1, self.known - 1)
            return self.cause
        self.refused_at = now
        is_first = math.isinf(self.cap)
        borne, self.borne = self.borne, 0
        if is_first:
            self.has_cut = self.in_flight > 1 and place > borne and not is_paced
        else:
            edge = self.proven + 1 if self.proven else _EDGE * self.cap
            self.has_cut = max(place, self.in_flight) >= edge
        if is_first or not self.has_cut:
            self.cause = Cause.RATE
        else:
            self.cause = Cause.EITHER if self.doubts or self.in_flight == 1 else Cause.CONCURRENCY
        if self.has_cut:
            self._lower(asked_s or 0.0, now)
        return self.cause

    def _lower(self, asked_s: float, now: float) -> None:
        is_first, is_raised = math.isinf(self.cap), self.proven > 0
        others = self.in_flight - 1.0
        self.floor, self.proven = self.proven or 1.0, 0.0
        if is_first or is_raised:
            self._cut(others, others)
        else:
            cap = min(others, math.floor(_DECREASE * self.cap))
            self._cut(cap, min(self.cap - 1, (self.cap + cap) // 2))
        self.doubts += 1
        self.failures += is_raised
        self.step, self.clean, self.changed_at, self.asked_s = 1.0, 0.0, now, asked_s

    def _cut(self, cap: float, known: float) -> None:
        self.cap, self.known = max(cap, self.floor), max(known, self.floor)
