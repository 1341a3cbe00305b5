"""Budgets at work on a clock that jumps: services of every kind, many requests, no second lost."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.limited_service import BUCKET, FIXED, SLIDING, Limit
from tests.support.virtual_loop import VirtualLoop

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.run import Usage
from headrace.errors import RateLimitedError
from headrace.providers.base import ModelRequest
from headrace.providers.endpoint import make_endpoint
from headrace.providers.limits import parse_retry_after
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget, Quota, estimate_tokens
from headrace.providers.turns import Lane, in_lane

ENDPOINT = make_endpoint(Connection(name="c", type="open_ai", configs={"base_url": "http://localhost/v1"}))
REQUEST = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})


@dataclass
class Calls:
    """Many requests through budgets to one limited service, in virtual time."""

    limit: Limit
    latency_s: float = 0.5
    wire_s: tuple[float, float] = (0.01, 0.03)
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    random: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    served: list[str] = field(default_factory=list)

    def quota(self, **environment: str) -> Quota:
        return Quota(load_settings(environment), clock=self.loop.time, minute_s=self.limit.minute_s)

    async def send(self, budget: Budget) -> int:
        """How often it was refused before it was let in."""
        refusals, waited_s = 0, 0.0
        while True:
            ticket, waited_s = await budget.take(REQUEST, waited_s)
            await asyncio.sleep(self.random.uniform(*self.wire_s))
            is_let_in, headers = self.limit.arrive(self.loop.time())
            if is_let_in:
                await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.latency_s)
            budget.hear(ticket, headers)
            if is_let_in:
                budget.settle(ticket, Usage(calls=1, prompt_tokens=1, completion_tokens=1))
                budget.leave(ticket, is_served=True)
                return refusals
            refusals += 1
            budget.refuse(ticket, parse_retry_after(headers, 0.0))

    async def work(self, budget: Budget, n: int, concurrency: int, lane: str) -> None:
        numbers = iter(range(n))

        async def worker() -> None:
            for _ in numbers:
                await self.send(budget)
                self.served.append(lane)

        with in_lane(Lane(name=lane, is_judge=lane == "judge")):
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(worker())

    def run(self, quotas: list[Quota], lanes: Mapping[str, int], concurrency: int = 64) -> None:
        async def session() -> None:
            async with asyncio.TaskGroup() as group:
                for quota in quotas:
                    budget = quota.budget(ENDPOINT, "", "m")
                    for lane, n in lanes.items():
                        group.create_task(self.work(budget, n, concurrency, lane))

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(session())


@pytest.mark.parametrize("kind", [FIXED, SLIDING, BUCKET])
@pytest.mark.parametrize(("has_headers", "has_retry_after"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("allowed", [120, 600])
def test_every_limit_is_found_and_used(
    kind: str, allowed: int, *, has_headers: bool, has_retry_after: bool
) -> None:
    limit = Limit(kind=kind, allowed=allowed, has_headers=has_headers, has_retry_after=has_retry_after)
    calls = Calls(limit)
    calls.run([calls.quota()], {"run": 10 * allowed})
    assert len(limit.admitted) == 10 * allowed
    assert limit.use(180, limit.admitted[-1]) >= 0.95
    assert len(limit.refused) < 0.02 * len(limit.admitted)


@pytest.mark.parametrize(("kind", "allowed"), [(FIXED, 60), (SLIDING, 60), (BUCKET, 60), (SLIDING, 1_800)])
def test_limit_of_any_size_that_nobody_states_is_found_and_used(kind: str, allowed: int) -> None:
    limit = Limit(kind=kind, allowed=allowed, has_headers=False, has_retry_after=False)
    calls = Calls(limit)
    calls.run([calls.quota()], {"run": 10 * allowed})
    assert limit.use(180, limit.admitted[-1]) >= 0.95
    assert sum(at >= 180 for at in limit.refused) < 0.02 * sum(at >= 180 for at in limit.admitted)


@pytest.mark.parametrize("latency_s", [0.5, 5.0])
@pytest.mark.parametrize("kind", [FIXED, SLIDING, BUCKET])
def test_processes_find_and_use_a_limit_together(tmp_path: Path, kind: str, latency_s: float) -> None:
    limit = Limit(kind=kind, allowed=300, has_headers=False, has_retry_after=False)
    calls = Calls(limit, latency_s)
    quotas = [Quota(load_settings({}), tmp_path, clock=calls.loop.time) for _ in range(3)]
    calls.run(quotas, {"run": 1_000})
    for quota in quotas:
        quota.close()
    assert len(limit.admitted) == 3_000
    assert limit.use(180, limit.admitted[-1] - 2 * latency_s) >= 0.95
    assert sum(at >= 180 for at in limit.refused) < 0.02 * sum(at >= 180 for at in limit.admitted)


@pytest.mark.parametrize("kind", [FIXED, SLIDING, BUCKET])
def test_refusals_that_take_seconds_do_not_stop_a_budget(kind: str) -> None:
    limit = Limit(kind=kind, allowed=300, has_headers=False, has_retry_after=False)
    calls = Calls(limit, latency_s=2.0, wire_s=(2.0, 6.0))
    calls.run([calls.quota()], {"run": 1_500}, concurrency=64)
    assert limit.use(60, limit.admitted[-1] - 8) >= 0.75
    assert len(limit.refused) < 0.1 * len(limit.admitted)


def test_configured_limit_is_never_overrun() -> None:
    limit = Limit(kind=SLIDING, allowed=300, has_headers=False)
    calls = Calls(limit)
    calls.run([calls.quota(HEADRACE_QUOTA="other=1rpm c/m=300rpm")], {"run": 1_500})
    assert limit.refused == []
    assert limit.use(0, limit.admitted[-1]) >= 0.95


def test_limit_that_is_lowered_and_raised_again_is_followed() -> None:
    limit = Limit(kind=BUCKET, allowed=600, has_headers=False)
    calls = Calls(limit)
    calls.loop.call_at(300, setattr, limit, "allowed", 120)
    calls.loop.call_at(900, setattr, limit, "allowed", 600)
    calls.run([calls.quota()], {"run": 9_000})
    assert sum(420 <= at < 900 for at in limit.admitted) >= 0.9 * 120 * 8
    end = limit.admitted[-1]
    assert sum(at >= end - 180 for at in limit.admitted) >= 0.9 * 600 * 3
    assert len(limit.refused) < 0.02 * len(limit.admitted)


def test_arms_take_turns_and_judges_go_first() -> None:
    limit = Limit(kind=BUCKET, allowed=600)
    calls = Calls(limit)
    calls.run(
        [calls.quota(HEADRACE_QUOTA="c=600rpm")], {"one": 600, "two": 600, "judge": 600}, concurrency=16
    )
    first = calls.served[50:800]  # without those that had not to wait for a turn
    assert first.count("judge") == pytest.approx(0.75 * 750, abs=16)
    assert first.count("one") == pytest.approx(first.count("two"), abs=8)
    later = calls.served[900:1_500]
    assert later.count("one") == pytest.approx(later.count("two"), abs=8)


def budget_and_loop(**environment: str) -> tuple[Quota, VirtualLoop]:
    loop = VirtualLoop()
    return Quota(load_settings(environment), clock=loop.time), loop


def test_wait_that_would_be_too_long_is_not_begun() -> None:
    quota, loop = budget_and_loop(HEADRACE_QUOTA_WAIT_S="60")

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        ticket, _ = await budget.take(REQUEST)
        budget.refuse(ticket, 3_000.0)
        with pytest.raises(RateLimitedError, match="3000 s"):
            await budget.take(REQUEST)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())
    assert loop.time() == 0


def test_a_request_that_has_waited_long_does_not_use_up_the_look_at_a_wait_of_hours(tmp_path: Path) -> None:
    loop = VirtualLoop()

    async def session() -> None:
        settings = load_settings({"HEADRACE_QUOTA_WAIT_S": "60"})
        first, second = (
            Quota(settings, tmp_path, clock=loop.time).budget(ENDPOINT, "", "m") for _ in range(2)
        )
        ticket, _ = await first.take(REQUEST)
        first.refuse(ticket, 20.0)
        with pytest.raises(RateLimitedError):
            await second.take(REQUEST, waited_s=50.0)
        ticket, _ = await first.take(REQUEST)
        assert loop.time() >= 20
        first.refuse(ticket, 3_000.0)
        await second.take(REQUEST)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())


def test_requests_that_wait_give_up_as_soon_as_the_service_asks_for_too_long_a_wait() -> None:
    quota, loop = budget_and_loop(HEADRACE_QUOTA_WAIT_S="60")

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        first, _ = await budget.take(REQUEST)
        budget.refuse(first, 2.0)
        waiting = [asyncio.ensure_future(budget.take(REQUEST)) for _ in range(5)]
        await asyncio.sleep(2.01)
        (ahead,) = [task for task in waiting if task.done()]
        budget.refuse(ahead.result()[0], 3_000.0)
        await asyncio.sleep(0.01)
        assert [type(task.exception()) for task in waiting if task is not ahead] == [RateLimitedError] * 4
        assert (budget.n_waiting, budget.pace.concurrency.in_flight) == (0, 0)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())


def test_quota_that_was_raised_is_found_by_the_next_process_and_by_one_that_stays(tmp_path: Path) -> None:
    loop, is_raised, sent = VirtualLoop(), False, []

    async def ask(quota: Quota) -> bool:
        budget = quota.budget(ENDPOINT, "", "m")
        try:
            ticket, _ = await budget.take(REQUEST)
        except RateLimitedError:
            return False
        sent.append(loop.time())
        await asyncio.sleep(0.1)
        if not is_raised:
            budget.refuse(ticket, 90_000.0)
        budget.leave(ticket, is_served=is_raised)
        return is_raised

    async def session() -> None:
        nonlocal is_raised
        stays, next_one = (
            Quota(load_settings({"HEADRACE_QUOTA_WAIT_S": "60"}), tmp_path, clock=loop.time) for _ in range(2)
        )
        for _ in range(4):
            assert not await ask(stays)
        assert len(sent) == 1
        is_raised = True
        assert not await ask(stays)
        assert await asyncio.gather(*(ask(next_one) for _ in range(8))) == [True] * 8
        is_raised = False
        assert not await ask(next_one)
        assert not await ask(stays)
        is_raised = True
        await asyncio.sleep(601)
        assert await asyncio.gather(*(ask(stays) for _ in range(8))) == [True] * 8

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())


def test_wait_ends_when_patience_does_and_leaves_nothing_behind() -> None:
    quota, loop = budget_and_loop(HEADRACE_QUOTA="c=1rpm", HEADRACE_QUOTA_WAIT_S="30")

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "", "m")
        await budget.take(REQUEST)
        with pytest.raises(RateLimitedError):
            await budget.take(REQUEST)
        assert budget.n_waiting == 0

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())
    assert loop.time() == pytest.approx(30)
    (use,) = quota.snapshot()
    assert (use.sent, use.requests_per_minute) == (1, 1)
    assert use.waited_s == pytest.approx(30)


def test_cancelled_wait_leaves_the_line() -> None:
    quota, loop = budget_and_loop(HEADRACE_QUOTA="c=1rpm")

    async def session() -> float:
        budget = quota.budget(ENDPOINT, "", "m")
        await budget.take(REQUEST)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(budget.take(REQUEST))
            second = group.create_task(budget.take(REQUEST))
            await asyncio.sleep(1)
            first.cancel()
        return second.result()[1]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(session()) == pytest.approx(60 / 0.97, abs=0.01)


def test_budgets_are_told_apart_by_account_and_model() -> None:
    quota, loop = budget_and_loop()

    async def session() -> None:
        budget = quota.budget(ENDPOINT, "key", "m")
        assert quota.budget(ENDPOINT, "key", "m") is budget
        assert quota.budget(ENDPOINT, "key", "other").pace is not budget.pace
        assert quota.budget(ENDPOINT, "other", "m").pace is not budget.pace

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session())


def test_event_loops_of_a_process_share_a_budget() -> None:
    quota = Quota(load_settings({}), clock=lambda: 0.0)

    async def session() -> Ticket:
        return (await quota.budget(ENDPOINT, "", "m").take(REQUEST))[0]

    tickets = []
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            tickets.append(runner.run(session()))
    assert [ticket.taken[0] for ticket in tickets] == [1, 2]
    (use,) = quota.snapshot()
    assert use.sent == 2


def test_files_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    for name, modified in (("old", 1.0), ("new", time.time())):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (modified, modified))
    quota = Quota(load_settings({}), tmp_path)

    async def session() -> None:
        await quota.budget(ENDPOINT, "", "m").take(REQUEST)

    asyncio.run(session())
    quota.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert "old" not in left
    assert "new" in left
    assert len(left) == 2


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("chat", {"messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 50}, 150),
        ("chat", {"messages": [{"role": "user", "content": "x" * 400}]}, 120),
        ("chat", {"messages": [{"role": "user", "content": "x" * 400}], "n": 3, "max_tokens": 10}, 130),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x" * 400},
                            {"type": "image_url", "image_url": {"url": "data:" + "x" * 10**6}},
                        ],
                    }
                ]
            },
            920,
        ),
        ("completion", {"prompt": "x" * 40, "max_tokens": 1}, 11),
        ("embeddings", {"input": ["x" * 40, "x" * 40]}, 20),
    ],
)
def test_tokens_are_estimated_offline(operation: str, body: dict[str, object], expected: float) -> None:
    request = ModelRequest(operation=operation, model="m", body=body)
    assert estimate_tokens(request, 20.0) == expected
