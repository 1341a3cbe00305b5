"""When a model request is sent, and when it is sent again. The one policy of every adapter.

A request is sent when its budget lets it. One that the service refuses for its quota goes back to the budget and
waits there; one that meets a fault waits by itself, and gives nothing up that others could use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar

from headrace.errors import RateLimitedError, RemoteError
from headrace.providers.allowance import parse_number
from headrace.providers.base import ModelRequest
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget

ResultT = TypeVar("ResultT")

Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds; ``asyncio.sleep`` outside tests."""

Jitter = Callable[[], float]
"""A number from 0 up to 1; ``random.random`` outside tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is with faults.

    Attributes:
        max_retries: Attempts after the first one.
        max_total_s: No attempt begins later than that after the first one, seconds; waiting for a quota is not counted.
        first_delay_s: Upper end of the first wait, seconds; doubled with every further one.
        max_delay_s: No wait is longer, seconds, whatever the service asks for.
        in_a_row: Problem code to the number of attempts after which the same problem is final: 422 (P705)
            seldom changes, and an address that cannot be reached (P708) is more often wrong than slow.
    """

    max_retries: int
    max_total_s: float = 600.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Generic[ResultT]):
    """What came of a request.

    Attributes:
        result: Of the attempt that succeeded.
        ticket: Of that attempt.
        retries: Attempts before it.
        waited_s: How long the request waited for a quota, seconds.
    """

    result: ResultT
    ticket: Ticket
    retries: int
    waited_s: float


async def send_with_retries(
    attempt: Callable[[Ticket], Awaitable[ResultT]],
    request: ModelRequest,
    budget: Budget,
    policy: RetryPolicy,
    sleep: Sleep,
    jitter: Jitter,
    *,
    keeps_place: bool = False,
) -> Sent[ResultT]:
    """Await ``attempt`` when the budget lets it, until it succeeds, fails for good or our patience ends.

    An attempt that the service refused for its quota is none of the policy's: the budget bounds the wait. With
    ``keeps_place`` the attempt that succeeds is in flight until the caller says that it is over.

    Raises:
        RemoteError: That of the last attempt, with the number of attempts among its details.
    """
    attempts, faults, waited_s, spent_s = 0, 0, 0.0, 0.0
    last_code, in_a_row = "", 0
    refusal: RateLimitedError | None = None
    while True:
        try:
            ticket, waited_s = await budget.take(request, waited_s)
        except RateLimitedError as error:  # it would take too long; what the service said says more
            raise _with_attempts(refusal or error, attempts) from error.__cause__
        attempts += 1
        began, is_served = budget.now(), False
        try:
            result = await attempt(ticket)
            is_served = True
            return Sent(result=result, ticket=ticket, retries=attempts - 1, waited_s=waited_s)
        except RemoteError as error:
            if isinstance(error, RateLimitedError) and error.retryable:
                budget.refuse(ticket, error.retry_after_s)
                refusal = error
                continue
            spent_s += budget.now() - began
            code = error.problems[0].code
            in_a_row = in_a_row + 1 if code == last_code else 1
            last_code = code
            delay_s = policy.delay_s(faults, error.retry_after_s, jitter)
            is_last = (
                faults >= policy.max_retries
                or in_a_row >= policy.in_a_row.get(code, in_a_row + 1)
                or spent_s + delay_s > policy.max_total_s
            )
            if not error.retryable or is_last:
                raise _with_attempts(error, attempts) from error.__cause__
        finally:
            if not (is_served and keeps_place):
                budget.leave(ticket, is_served=is_served)
        await sleep(delay_s)
        spent_s += delay_s
        faults += 1


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
    milliseconds = parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = parse_number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)
