"""When a model request is sent again, and how long to wait before it. The one policy of every adapter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from headrace.errors import RemoteError

ResultT = TypeVar("ResultT")

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds; ``asyncio.sleep`` outside tests."""

Jitter = Callable[[], float]
"""A number from 0 up to 1; ``random.random`` outside tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is.

    Attributes:
        max_retries: Attempts after the first one.
        first_delay_s: Upper end of the first wait, seconds; doubled with every further one.
        max_delay_s: No wait is longer, seconds, whatever the service asks for.
        in_a_row: Problem code to the number of attempts after which the same problem is final: 422 (P705)
            seldom changes, and an address that cannot be reached (P708) is more often wrong than slow.
    """

    max_retries: int
    first_delay_s: float = 0.5
    max_delay_s: float = 60.0
    in_a_row: Mapping[str, int] = field(default_factory=lambda: {"P705": 3, "P708": 5})

    def delay_s(self, retries: int, asked_s: float | None, jitter: Jitter) -> float:
        """Seconds to wait before the next attempt.

        What the service asks for is waited out in full, with up to a tenth more, so that concurrent requests
        do not come back all at once. Otherwise the wait is exponential with full jitter (Brooker,
        "Exponential backoff and jitter", AWS Architecture Blog, 2015).

        Args:
            retries: Retries so far.
            asked_s: Seconds that the service asks for, ``None`` when it does not say.
            jitter: Source of randomness.
        """
        if asked_s is not None:
            return min(self.max_delay_s, asked_s * (1 + 0.1 * jitter()))
        # Beyond 2^16 the cap holds anyway, and a float would overflow at 2^1024.
        return jitter() * min(self.max_delay_s, self.first_delay_s * 2.0 ** min(retries, 16))


async def send_with_retries(
    attempt: Callable[[], Awaitable[ResultT]],
    policy: RetryPolicy,
    sleep: Sleep,
    jitter: Jitter,
) -> tuple[ResultT, int]:
    """Await ``attempt()`` until it succeeds, fails for good or the policy's patience ends.

    Returns:
        The result and the number of retries before it.

    Raises:
        RemoteError: That of the last attempt, with the number of attempts among its details.
    """
    retries = 0
    last_code, in_a_row = "", 0
    while True:
        try:
            return await attempt(), retries
        except RemoteError as error:
            code = error.problems[0].code
            in_a_row = in_a_row + 1 if code == last_code else 1
            last_code = code
            is_last = retries >= policy.max_retries or in_a_row >= policy.in_a_row.get(code, in_a_row + 1)
            if not error.retryable or is_last:
                raise _with_attempts(error, retries + 1) from error.__cause__
            delay_s = policy.delay_s(retries, error.retry_after_s, jitter)
        await sleep(delay_s)
        retries += 1


def _with_attempts(error: RemoteError, attempts: int) -> RemoteError:
    if attempts > 1:
        first, *rest = error.problems
        first = replace(first, detail=(*first.detail, f"{attempts} attempts were made."))
        error.problems = (first, *rest)
    return error


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a service asks to wait: ``retry-after-ms``, else ``Retry-After`` (RFC 9110, 10.2.3).

    Args:
        headers: Response headers; looked up in lower case.
        now: Seconds since the Unix epoch, to turn a date into a wait.

    Returns:
        Seconds, never below 0; ``None`` when there is no such header or it cannot be read.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    # NaN and infinity are numbers to float() but not to a timer.
    return value if 0 <= value < float("inf") else None
