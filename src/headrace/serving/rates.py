"""How often each caller may ask one process: a bucket of tokens per caller, and a count of what is under way.

What a caller has left is said in the fields ``RateLimit`` and ``RateLimit-Policy``
(draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from headrace.domain.access import RateLimit

MAX_CALLERS = 10_000
"""Callers that are remembered; above that, those are forgotten who have all their tokens and nothing under way."""

_WINDOW_S = 60.0
Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class _Caller:
    """What one caller has left.

    Attributes:
        tokens: Requests that may be sent at once.
        filled_at: When the tokens were counted, seconds.
        n_running: Requests under way.
    """

    tokens: float
    filled_at: float
    n_running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether a request may go on.

    Attributes:
        retry_after_s: Seconds until it is worth another try; ``None`` when it may go on, and then :meth:`Rates.leave`
            has to be called when it ends.
        fields: Header fields that say what is left.
    """

    retry_after_s: int | None
    fields: Fields = ()


_GO_ON = Turn(retry_after_s=None)


class Rates:
    """The limits of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._callers: dict[str, _Caller] = {}

    def enter(self, name: str, limit: RateLimit) -> Turn:
        """Count one request of a caller."""
        if not limit.is_limit:
            return _GO_ON
        now = self._clock()
        caller = self._caller(name, limit, now)
        wait_s: float | None = None
        if limit.concurrent is not None and caller.n_running >= limit.concurrent:
            wait_s = 1.0
        rate = limit.requests_per_minute
        if rate is not None:
            caller.tokens = min(float(rate), caller.tokens + (now - caller.filled_at) * rate / _WINDOW_S)
            if caller.tokens < 1.0:
                wait_s = max(wait_s or 0.0, (1.0 - caller.tokens) * _WINDOW_S / rate)
        caller.filled_at = now
        if wait_s is None:
            caller.n_running += 1
            caller.tokens -= 1.0
        retry_after_s = None if wait_s is None else max(1, math.ceil(wait_s))
        return Turn(retry_after_s=retry_after_s, fields=_fields(limit, caller))

    def leave(self, name: str) -> None:
        """The request of a caller has ended."""
        caller = self._callers.get(name)
        if caller is not None:
            caller.n_running -= 1

    def _caller(self, name: str, limit: RateLimit, now: float) -> _Caller:
        caller = self._callers.get(name)
        if caller is None:
            if len(self._callers) >= MAX_CALLERS:
                self._forget(now)
            caller = self._callers[name] = _Caller(float(limit.requests_per_minute or 0), now)
        return caller

    def _forget(self, now: float) -> None:
        """Forget who asked nothing for a window: their buckets are full again, as those of new callers are."""
        self._callers = {
            name: caller
            for name, caller in self._callers.items()
            if caller.n_running or now - caller.filled_at < _WINDOW_S
        }


def _fields(limit: RateLimit, caller: _Caller) -> Fields:
    policies, left = [], []
    rate = limit.requests_per_minute
    if rate is not None:
        full_in_s = math.ceil((rate - caller.tokens) * _WINDOW_S / rate)
        policies.append(f'"requests";q={rate};w={int(_WINDOW_S)}')
        left.append(f'"requests";r={max(0, math.floor(caller.tokens))};t={max(0, full_in_s)}')
    if limit.concurrent is not None:
        policies.append(f'"concurrent";q={limit.concurrent};qu="concurrent-requests"')
        left.append(f'"concurrent";r={max(0, limit.concurrent - caller.n_running)}')
    return (
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(left).encode()),
    )
