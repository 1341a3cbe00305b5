"""Budgets of tokens at work on a clock that jumps: a service that counts tokens, and requests of many sizes."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tests.support.virtual_loop import VirtualLoop

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.run import Usage
from headrace.errors import Problem, RateLimitedError
from headrace.providers.base import ModelRequest
from headrace.providers.endpoint import make_endpoint
from headrace.providers.limits import RetryPolicy, parse_retry_after, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget, Quota

ENDPOINT = make_endpoint(Connection(name="c", type="open_ai", configs={"base_url": "http://localhost/v1"}))
MINUTE_S = 60.0
PER_MINUTE = 60_000
SLIDING, BUCKET = "sliding window", "bucket"


@dataclass(kw_only=True)
class TokenLimit:
    """Lets in requests while the tokens of a minute last.

    Attributes:
        kind: :data:`SLIDING` or :data:`BUCKET`.
        has_headers: Whether answers state the limit; refusals say when to come back in any case.
        admitted: When requests were let in, and their tokens.
        n_refused: How many were not.
    """

    kind: str
    has_headers: bool
    admitted: list[tuple[float, int]] = field(default_factory=list)
    n_refused: int = 0
    _counted: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0
    _level: float = PER_MINUTE
    _at: float = 0.0

    def arrive(self, now: float, tokens: int) -> tuple[bool, Mapping[str, str]]:
        """Whether a request is let in, and the headers of its answer."""
        left, wait_s = (self._look_bucket if self.kind == BUCKET else self._look_window)(now, tokens)
        is_let_in = left >= tokens
        if is_let_in:
            left -= tokens
            self._level -= tokens
            self._sum += tokens
            self._counted.append((now, tokens))
            self.admitted.append((now, tokens))
        else:
            self.n_refused += 1
        headers = {} if is_let_in else {"retry-after-ms": f"{math.ceil(wait_s * 1000)}"}
        if self.has_headers:
            headers["x-ratelimit-limit-tokens"] = str(PER_MINUTE)
            headers["x-ratelimit-remaining-tokens"] = str(int(left))
            headers["x-ratelimit-reset-tokens"] = f"{self._reset_s(now, left) * 1000:.0f}ms"
        return is_let_in, headers

    def _reset_s(self, now: float, left: float) -> float:
        if self.kind == BUCKET:
            return (PER_MINUTE - left) / PER_MINUTE * MINUTE_S
        return self._counted[-1][0] + MINUTE_S - now if self._counted else 0.0

    def _look_bucket(self, now: float, tokens: int) -> tuple[float, float]:
        rate = PER_MINUTE / MINUTE_S
        self._level = min(self._level + (now - self._at) * rate, PER_MINUTE)
        self._at = now
        return self._level, (tokens - self._level) / rate

    def _look_window(self, now: float, tokens: int) -> tuple[float, float]:
        while self._counted and self._counted[0][0] <= now - MINUTE_S:
            self._sum -= self._counted.popleft()[1]
        left, free, wait_s = float(PER_MINUTE - self._sum), float(PER_MINUTE - self._sum), 0.0
        for at, taken in self._counted:
            if free >= tokens:
                break
            free += taken
            wait_s = at + MINUTE_S - now
        return left, wait_s

    def use(self, begin: float, end: float) -> float:
        """Share of the tokens allowed between two moments that were let in."""
        n = sum(tokens for at, tokens in self.admitted if begin <= at < end)
        return n / (PER_MINUTE * (end - begin) / MINUTE_S)


@dataclass
class Lines:
    """Lines whose requests are of many sizes, sent as clients send them."""

    limit: TokenLimit
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    done: list[int] = field(default_factory=list)
    asked_for: float = 1.0
    """How many times as many tokens as it takes each request asks for its answer."""
    counts_asked: bool = False
    """Whether the service counts what a request asks for, as those of OpenAI and Azure do."""

    async def ask(self, budget: Budget, number: int) -> None:
        """One line with one request; it is done when it has its answer."""
        prompt, answer = self.random.randint(50, 800), self.random.randint(20, 200)
        text = "x" * (4 * prompt)
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": int(self.asked_for * answer)}
        request = ModelRequest(operation="chat", model="m", body=body)
        counted = prompt + (int(self.asked_for * answer) if self.counts_asked else answer)

        async def attempt(ticket: Ticket) -> Usage:
            await asyncio.sleep(self.random.uniform(0.01, 0.03))
            is_let_in, headers = self.limit.arrive(self.loop.time(), counted)
            if is_let_in:
                await asyncio.sleep(self.random.uniform(0.2, 0.8))
            budget.hear(ticket, headers)
            if not is_let_in:
                raise _refused(headers)
            return Usage(calls=1, prompt_tokens=prompt, completion_tokens=answer)

        sent = await send_with_retries(
            attempt, request, budget, RetryPolicy(max_retries=0), asyncio.sleep, lambda: 0.5
        )
        budget.settle(sent.ticket, sent.result)
        self.done.append(number)

    def run(self, n: int, concurrency: int = 64, **environment: str) -> None:
        """Ask all lines."""
        quota = Quota(load_settings(environment), clock=self.loop.time)
        numbers = iter(range(n))

        async def work(budget: Budget) -> None:
            for number in numbers:
                await self.ask(budget, number)

        async def session() -> None:
            budget = quota.budget(ENDPOINT, "", "m")
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work(budget))

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(session())


def _refused(headers: Mapping[str, str]) -> RateLimitedError:
    problem = Problem(code="P702", what="Too many tokens.")
    return RateLimitedError(problem, retry_after_s=parse_retry_after(headers, 0.0))


N = 12 * PER_MINUTE // 535
"""Lines of twelve minutes, by what a request takes on average."""


@pytest.mark.parametrize(
    ("asked_for", "counts_asked"), [(1.0, False), (4.0, False), (2.0, True), (4.0, True)]
)
@pytest.mark.parametrize("kind", [SLIDING, BUCKET])
def test_stated_limit_of_tokens_is_used_hardly_overrun_and_loses_no_line(
    kind: str, asked_for: float, *, counts_asked: bool
) -> None:
    limit = TokenLimit(kind=kind, has_headers=True)
    lines = Lines(limit, asked_for=asked_for, counts_asked=counts_asked)
    lines.run(N)
    assert sorted(lines.done) == list(range(N))
    assert limit.n_refused < 0.02 * N
    assert limit.use(2 * MINUTE_S, limit.admitted[-1][0]) >= 0.95


@pytest.mark.parametrize(("kind", "least"), [(SLIDING, 0.8), (BUCKET, 0.95)])
def test_limit_of_tokens_that_nobody_states_is_one_of_requests(kind: str, least: float) -> None:
    limit = TokenLimit(kind=kind, has_headers=False)
    lines = Lines(limit)
    lines.run(N)
    assert sorted(lines.done) == list(range(N))
    assert limit.n_refused < 0.02 * N
    # A window lets in fewer requests when they happen to be large ones, so that the rate is found too low.
    assert limit.use(2 * MINUTE_S, limit.admitted[-1][0]) >= least


def test_service_that_begins_to_count_what_answers_take_is_followed() -> None:
    limit = TokenLimit(kind=BUCKET, has_headers=True)
    lines = Lines(limit, asked_for=4.0, counts_asked=True)
    lines.loop.call_at(5 * MINUTE_S, setattr, lines, "counts_asked", False)
    lines.run(N)
    assert limit.use(8 * MINUTE_S, limit.admitted[-1][0]) >= 0.95
    assert limit.n_refused < 0.02 * N


@pytest.mark.parametrize("kind", [SLIDING, BUCKET])
def test_configured_limit_of_tokens_is_never_overrun(kind: str) -> None:
    limit = TokenLimit(kind=kind, has_headers=False)
    lines = Lines(limit)
    lines.run(N, HEADRACE_QUOTA=f"c/m={PER_MINUTE}tpm")
    assert sorted(lines.done) == list(range(N))
    assert limit.n_refused == 0
    assert limit.use(0, limit.admitted[-1][0]) >= 0.95


def test_tokens_that_an_answer_did_not_take_are_given_back() -> None:
    limit = TokenLimit(kind=BUCKET, has_headers=False)
    lines = Lines(limit, asked_for=2.0)
    lines.run(N, HEADRACE_QUOTA=f"c/m={PER_MINUTE}tpm")
    assert sorted(lines.done) == list(range(N))
    assert limit.n_refused == 0
    assert limit.use(0, limit.admitted[-1][0]) >= 0.95
