"""Services that bear so many requests at once: found, used, hardly overrun, and no place is ever lost."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.limited_service import BUCKET, FIXED, Limit, Places
from tests.support.virtual_loop import VirtualLoop

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.run import Usage
from headrace.errors import Problem, RateLimitedError, RemoteUnavailableError
from headrace.providers.base import ModelRequest
from headrace.providers.concurrency import Cause, Concurrency
from headrace.providers.endpoint import make_endpoint
from headrace.providers.limits import RetryPolicy, parse_retry_after, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget, Quota

ENDPOINT = make_endpoint(Connection(name="c", type="open_ai", configs={"base_url": "http://localhost/v1"}))
REQUEST = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})
USAGE = Usage(calls=1, prompt_tokens=1, completion_tokens=1)
POLICY = RetryPolicy(max_retries=2)
WORKERS = 64


@dataclass
class Calls:
    """Requests of many workers to one service, in virtual time.

    Attributes:
        places: How many requests the service bears at once.
        spread: How much the time that an answer takes varies: the sigma of a lognormal distribution.
        rate: What the service limits besides.
        spans: When requests were sent and answered, and by which process.
    """

    places: Places
    spread: float = 0.0
    rate: Limit | None = None
    latency_s: float = 0.5
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    spans: list[tuple[float, float, int]] = field(default_factory=list)

    async def attempt(self, _: Ticket) -> Usage:
        await asyncio.sleep(self.random.uniform(0.01, 0.03))
        now = self.loop.time()
        if not self.places.arrive(now):
            raise refusal(self.places.asked_s)
        try:
            is_let_in, headers = self.rate.arrive(now) if self.rate else (True, {})
            if not is_let_in:
                raise refusal(parse_retry_after(headers, 0.0))
            factor = math.exp(self.random.gauss(0, self.spread) - self.spread**2 / 2) if self.spread else 1.0
            await asyncio.sleep(factor * self.latency_s)
        finally:
            self.places.leave()
        return USAGE

    async def work(self, budget: Budget, end_s: float, process: int) -> None:
        while self.loop.time() < end_s:
            began = self.loop.time()
            sent = await send_with_retries(self.attempt, REQUEST, budget, POLICY, asyncio.sleep, lambda: 0.5)
            self.spans.append((max(began, sent.ticket.sent_at), self.loop.time(), process))

    def run(self, quotas: Iterable[Quota], end_s: float) -> None:
        async def session() -> None:
            async with asyncio.TaskGroup() as group:
                for process, quota in enumerate(quotas):
                    budget = quota.budget(ENDPOINT, "", "m")
                    for _ in range(WORKERS):
                        group.create_task(self.work(budget, end_s, process))

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(session())

    def quota(self, folder: Path | None = None) -> Quota:
        return Quota(load_settings({}), folder, clock=self.loop.time)

    def use(self, begin: float, end: float, places: int) -> float:
        """Share of the places that were taken by requests which were served."""
        taken = (min(over, end) - max(sent, begin) for sent, over, _ in self.spans)
        return sum(max(0.0, seconds) for seconds in taken) / (places * (end - begin))

    def refused(self, begin: float, end: float) -> float:
        """Refusals per request that was served."""
        refused = sum(begin <= at < end for at in self.places.refused)
        if self.rate:
            refused += sum(begin <= at < end for at in self.rate.refused)
        return refused / sum(begin <= over < end for _, over, _ in self.spans)


def refusal(asked_s: float | None) -> RateLimitedError:
    error = RateLimitedError(Problem(code="P702", what="It is busy."), retry_after_s=asked_s)
    error.retryable = True
    return error


@pytest.mark.parametrize(("spread", "asked_s"), [(0.0, None), (0.65, 1.0)])
@pytest.mark.parametrize("allowed", [1, 4, 20, 50])
def test_places_are_found_and_used(allowed: int, spread: float, asked_s: float | None) -> None:
    calls = Calls(Places(allowed=allowed, asked_s=asked_s), spread)
    end = 600 if allowed < 20 else 240
    quota = calls.quota()
    calls.run([quota], end)
    assert calls.use(120, end, allowed) >= 0.95
    assert calls.refused(120, end) < 0.02
    (use,) = quota.snapshot()
    assert (use.in_flight, use.n_waiting) == (0, 0)
    assert use.in_flight_limit is not None
    assert allowed <= use.in_flight_limit <= allowed + 1
    assert use.sent == len(calls.spans) + len(calls.places.refused)


@pytest.mark.parametrize(
    ("allowed", "per_minute", "kind"),
    [(20, 600, FIXED), (20, 600, BUCKET), (20, 6_000, FIXED), (20, 6_000, BUCKET), (8, 480, BUCKET)],
)
def test_limits_of_both_kinds_are_found(allowed: int, per_minute: int, kind: str) -> None:
    rate = Limit(kind=kind, allowed=per_minute, has_headers=False, has_retry_after=kind == BUCKET)
    calls = Calls(Places(allowed=allowed), 0.5, rate)
    calls.run([calls.quota()], 600)
    possible = min(per_minute / 60, allowed / (calls.latency_s + 0.02)) * 480
    assert sum(120 <= over < 600 for _, over, _ in calls.spans) >= 0.95 * possible
    assert calls.refused(120, 600) < 0.02


@pytest.mark.parametrize(
    ("before", "after", "asked_s"), [(20, 40, None), (40, 20, 1.0), (1, 2, 1.0), (8, 4, None), (60, 10, 1.0)]
)
def test_limit_that_becomes_another_one_is_found(before: int, after: int, asked_s: float | None) -> None:
    calls = Calls(Places(allowed=before, asked_s=asked_s), 0.5)
    calls.loop.call_at(120, setattr, calls.places, "allowed", after)
    calls.run([calls.quota()], 300)
    assert calls.use(240, 300, after) >= 0.95
    assert calls.refused(240, 300) < 0.02


@pytest.mark.parametrize("asked_s", [None, 1.0])
def test_processes_share_places(tmp_path: Path, asked_s: float | None) -> None:
    calls = Calls(Places(allowed=20, asked_s=asked_s), 0.5)
    quotas = [calls.quota(tmp_path) for _ in range(2)]
    calls.run(quotas, 480)
    for quota in quotas:
        quota.close()
    assert calls.use(120, 480, 20) >= 0.95
    by_process = [sum(process == each for _, _, process in calls.spans) for each in range(2)]
    assert min(by_process) >= 0.25 * sum(by_process)
    assert calls.refused(120, 480) < 0.02


def test_slow_service_with_a_limit_of_rate_is_not_held_back_by_what_is_in_flight() -> None:
    rate = Limit(kind=BUCKET, allowed=600, has_headers=False)
    calls = Calls(Places(allowed=10**6), 0.5, rate, latency_s=5.0)
    calls.run([calls.quota()], 480)
    assert rate.use(180, 480) >= 0.95
    assert calls.refused(120, 480) < 0.02


def test_event_loops_of_a_process_share_places() -> None:
    quota = Quota(load_settings({}), clock=lambda: 0.0)

    async def session() -> None:
        await quota.budget(ENDPOINT, "", "m").take(REQUEST)

    for number in range(2):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(session())
        assert quota.snapshot()[0].in_flight == number + 1


ENDS = st.sampled_from(["served", "refused", "failed", "broken", "cancelled", "cut short"])


@dataclass
class Fate:
    """A request, and what becomes of it."""

    end: str
    after_s: float
    lasts_s: float
    attempts: int = 0

    async def run(self, places: Places, budget: Budget) -> None:
        async def attempt(_: Ticket) -> None:
            if not places.arrive(budget.now()):
                raise refusal(None)
            try:
                await asyncio.sleep(self.lasts_s)
            finally:
                places.leave()
            self.attempts += 1
            self.fail()

        await asyncio.sleep(self.after_s)
        # What is unlucky waits until its patience ends.
        with suppress(ZeroDivisionError, TimeoutError, RateLimitedError):
            async with asyncio.timeout(self.lasts_s / 2 if self.end == "cut short" else None):
                await send_with_retries(attempt, REQUEST, budget, POLICY, asyncio.sleep, lambda: 0.5)

    def fail(self) -> None:
        if self.end == "broken":
            raise ZeroDivisionError
        if self.attempts == 1 and self.end == "refused":
            raise refusal(0.5)
        if self.attempts == 1 and self.end == "failed":
            error = RemoteUnavailableError(Problem(code="P703", what="It is down."))
            error.retryable = True
            raise error


@given(
    st.lists(st.builds(Fate, ENDS, st.floats(0, 3), st.floats(0.01, 3)), min_size=1, max_size=40),
    st.integers(1, 5),
)
def test_whatever_becomes_of_requests_their_places_are_given_back(fates: list[Fate], allowed: int) -> None:
    loop = VirtualLoop()
    quota = Quota(load_settings({"HEADRACE_QUOTA_WAIT_S": "20"}), clock=loop.time)
    places = Places(allowed=allowed)

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        async with asyncio.TaskGroup() as group:
            for fate in fates:
                task = group.create_task(fate.run(places, budget))
                if fate.end == "cancelled":
                    loop.call_later(fate.after_s + fate.lasts_s / 2, task.cancel)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())
    (use,) = quota.snapshot()
    assert (use.in_flight, use.n_waiting) == (0, 0)


def test_request_that_waits_for_a_place_is_seen_waiting() -> None:
    loop = VirtualLoop()
    quota = Quota(load_settings({}), clock=loop.time)

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        tickets = [(await budget.take(REQUEST))[0] for _ in range(2)]
        budget.refuse(tickets[1], None)
        async with asyncio.TaskGroup() as group:
            group.create_task(budget.take(REQUEST))
            await asyncio.sleep(5)
            (use,) = quota.snapshot()
            assert (use.in_flight, use.in_flight_limit, use.n_waiting) == (1, 1, 1)
            budget.leave(tickets[0], is_served=True)
            budget.leave(tickets[0])
        assert quota.snapshot()[0].in_flight == 1

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())


def test_turn_of_a_request_that_was_cancelled_is_given_back() -> None:
    loop = VirtualLoop()
    quota = Quota(load_settings({}), clock=loop.time)

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        ticket, _ = await budget.take(REQUEST)
        budget.pace.concurrency.cap = 1
        async with asyncio.TaskGroup() as group:
            task = group.create_task(budget.take(REQUEST))
            await asyncio.sleep(0.01)
            budget.leave(ticket)  # the turn has come, but the task has not run yet
            assert budget.pace.concurrency.in_flight == 1
            task.cancel()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())
    assert quota.snapshot()[0].in_flight == 0


def entered(n: int) -> Concurrency:
    concurrency = Concurrency()
    for _ in range(n):
        concurrency.enter()
    return concurrency


def refuse(concurrency: Concurrency, now: float, sent_at: float = 0.0) -> Cause:
    cause = concurrency.refuse(concurrency.in_flight, sent_at, None, now)
    concurrency.leave()
    return cause


def test_nothing_is_held_back_before_the_first_refusal() -> None:
    assert entered(10_000).has_place()


def test_what_is_let_in_of_the_first_burst_is_the_cap() -> None:
    concurrency = entered(64)
    causes = {refuse(concurrency, 0.02 + number / 1000) for number in range(44)}
    assert concurrency.cap == concurrency.in_flight == 20
    assert causes == {Cause.RATE}  # it cannot be told yet: the rate is learned as well
    assert not concurrency.has_place()


def test_place_that_was_served_since_the_latest_refusal_is_no_cap() -> None:
    concurrency = entered(30)
    for place in range(30, 0, -1):
        concurrency.leave(served=place)
    for _ in range(20):
        concurrency.enter()
    assert refuse(concurrency, 2.0, sent_at=1.0) is Cause.RATE
    assert math.isinf(concurrency.cap)
    concurrency.enter()
    refuse(concurrency, 4.0, sent_at=3.0)  # no place was served since
    assert concurrency.cap == 19


def test_refusal_while_a_rate_holds_requests_back_is_no_cap() -> None:
    concurrency = entered(20)
    assert concurrency.refuse(20, 1.0, None, 2.0, is_paced=True) is Cause.RATE
    assert math.isinf(concurrency.cap)


def test_refusal_far_below_the_cap_is_one_of_rate() -> None:
    concurrency = entered(64)
    refuse(concurrency, 0.02)
    while concurrency.in_flight > 5:
        concurrency.leave()
    assert refuse(concurrency, 10.0, sent_at=9.0) is Cause.RATE
    assert concurrency.cap == 63


def serve_rounds(concurrency: Concurrency, n: int, now: float) -> None:
    for _ in range(n):
        place, is_last = 0, False
        while concurrency.has_place():
            place, is_last = concurrency.enter()
        if is_last:
            concurrency.serve(place, now, 60.0)
        concurrency.leave()


def test_cap_that_holds_requests_back_is_raised_and_the_raise_undone() -> None:
    concurrency = entered(21)
    refuse(concurrency, 1.0)
    serve_rounds(concurrency, 200, 20.0)
    assert concurrency.cap > 20
    serve_rounds(concurrency, 1, 20.0)
    tried = concurrency.cap
    assert refuse(concurrency, 20.5, sent_at=20.2) is Cause.CONCURRENCY
    assert 20 <= concurrency.cap < tried


def test_cap_that_does_not_bind_stays() -> None:
    concurrency = entered(21)
    refuse(concurrency, 1.0)
    concurrency.leave()
    for _ in range(1_000):
        _, is_last = concurrency.enter()  # the last place, but nobody has to wait for it
        assert not is_last
        concurrency.leave()
    assert concurrency.cap == 20


def test_refusal_that_no_raise_explains_lowers_the_cap_by_a_tenth() -> None:
    concurrency = entered(21)
    refuse(concurrency, 1.0)
    assert refuse(concurrency, 5.0, sent_at=4.0) is Cause.EITHER
    assert concurrency.cap == 18
