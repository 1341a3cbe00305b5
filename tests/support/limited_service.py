"""A model service's limits, without the service: what it lets in by a clock that is given."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

FIXED = "fixed window"
SLIDING = "sliding window"
BUCKET = "bucket"


@dataclass(kw_only=True)
class Limit:
    """Lets in ``allowed`` requests per minute, counted in one of the three ways that services have.

    Attributes:
        kind: :data:`FIXED`, :data:`SLIDING` or :data:`BUCKET`.
        has_headers: Whether answers state the limit.
        has_retry_after: Whether refusals say when to come back.
        minute_s: How long a minute is.
        admitted: When requests were let in.
        refused: When requests were refused.
    """

    kind: str = FIXED
    allowed: int = 600
    has_headers: bool = True
    has_retry_after: bool = True
    minute_s: float = 60.0
    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _counted: deque[float] = field(default_factory=deque)
    _level: float | None = None
    _at: float = 0.0

    def arrive(self, now: float) -> tuple[bool, Mapping[str, str]]:
        """Whether a request that arrives now is let in, and the headers of its answer."""
        count = self._count_bucket if self.kind == BUCKET else self._count_window
        is_let_in, remaining, reset_s, wait_s = count(now)
        (self.admitted if is_let_in else self.refused).append(now)
        headers = {}
        if self.has_headers:
            headers["x-ratelimit-limit-requests"] = str(self.allowed)
            headers["x-ratelimit-remaining-requests"] = str(remaining)
            headers["x-ratelimit-reset-requests"] = f"{reset_s * 1000:.0f}ms"
        if self.has_retry_after and not is_let_in:
            headers["retry-after-ms"] = f"{math.ceil(wait_s * 1000)}"
        return is_let_in, headers

    def _count_window(self, now: float) -> tuple[bool, int, float, float]:
        begin = now - self.minute_s if self.kind == SLIDING else now // self.minute_s * self.minute_s
        while self._counted and self._counted[0] < begin:
            self._counted.popleft()
        is_let_in = len(self._counted) < self.allowed
        if is_let_in:
            self._counted.append(now)
        first = self._counted[0] if self.kind == SLIDING else begin
        left_s = first + self.minute_s - now
        return is_let_in, self.allowed - len(self._counted), left_s, left_s

    def _count_bucket(self, now: float) -> tuple[bool, int, float, float]:
        rate = self.allowed / self.minute_s
        level = self.allowed if self._level is None else self._level + (now - self._at) * rate
        level, self._at = min(level, self.allowed), now
        is_let_in = level >= 1
        self._level = level - is_let_in
        return is_let_in, int(self._level), (self.allowed - self._level) / rate, (1 - self._level) / rate

    def use(self, begin: float, end: float) -> float:
        """Share of what is allowed between two moments that was let in."""
        n = sum(begin <= at < end for at in self.admitted)
        return n / (self.allowed * (end - begin) / self.minute_s)


@dataclass(kw_only=True)
class Places:
    """Lets in requests while fewer than ``allowed`` are in flight.

    Attributes:
        allowed: How many there may be.
        asked_s: How long refusals ask to wait, seconds.
        n: How many there are.
        admitted: When requests were let in.
        refused: When requests were refused.
    """

    allowed: int
    asked_s: float | None = None
    n: int = 0
    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def arrive(self, now: float) -> bool:
        """Whether a request that arrives now is let in; then it has to :meth:`leave`."""
        is_let_in = self.n < self.allowed
        (self.admitted if is_let_in else self.refused).append(now)
        self.n += is_let_in
        return is_let_in

    def leave(self) -> None:
        """A request has been answered."""
        self.n -= 1
