"""The budgets of model services: who may send a request, and when. See docs/decisions/0012.

One :class:`Quota` per process knows a budget per service, account and model. Requests of all clients, runs and
event loops of the process pass through it, and what it knows of a budget it shares with other processes.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.config import QuotaLimit, Settings
from headrace.domain.run import Usage
from headrace.errors import Problem, RateLimitedError
from headrace.providers.allowance import read_allowances
from headrace.providers.authorization import SecretLookup
from headrace.providers.base import ModelRequest
from headrace.providers.endpoint import Endpoint
from headrace.providers.failures import MORE_QUOTA
from headrace.providers.pace import Rules, Ticket, request_limit, request_rate, token_limit
from headrace.providers.shared_pace import SharedPace
from headrace.providers.turns import Turns, current_lane, paused

Clock = Callable[[], float]
"""Seconds that only go forward, the same in all processes of this machine."""

_CHARACTERS_PER_TOKEN = 4
_ANSWER_TOKENS = 256.0
_IMAGE_TOKENS = 800
_WEIGHT = 0.1
_OLD_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What this process did with one budget, and what is known of it.

    Attributes:
        service: Host of the service.
        model: Model or deployment.
        sent: Requests sent so far, retries included.
        refused: Those that were answered with 429.
        waited_s: Sum of the time that requests waited for their turn, seconds.
        n_waiting: Requests that wait now.
        requests_per_minute: What is allowed, as configured, stated or learned; ``None`` when no limit is known.
        tokens_per_minute: Likewise.
        paused_s: Seconds for which nothing is sent, from now; 0 when requests are sent.
        in_flight: Requests that were sent and are not over.
        in_flight_limit: Most of them that there may be, as learned; ``None`` when no limit is known.
    """

    service: str
    model: str
    sent: int
    refused: int
    waited_s: float
    n_waiting: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    paused_s: float
    in_flight: int
    in_flight_limit: int | None


@dataclass(slots=True)
class _Waiter:
    turn: asyncio.Future[Ticket]
    tokens: float
    until: float


class Budget:
    """One budget, for the requests of one event loop."""

    def __init__(self, endpoint: Endpoint, model: str, pace: SharedPace, wait_s: float, clock: Clock) -> None:
        self.endpoint = endpoint
        self.model = model
        self.pace = pace
        self.sent = 0
        self.refused = 0
        self.waited_s = 0.0
        self._wait_s = wait_s
        self._clock = clock
        self._turns: Turns[_Waiter] = Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        self._answer_tokens = _ANSWER_TOKENS

    def now(self) -> float:
        """The budget's clock, seconds."""
        return self._clock()

    @property
    def n_waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._turns)

    async def take(self, request: ModelRequest, waited_s: float = 0.0) -> tuple[Ticket, float]:
        """Wait until a request may be sent.

        Args:
            request: What is to be sent; its tokens are estimated.
            waited_s: How long it waited before, seconds.

        Returns:
            The ticket, and how long the request has waited by now.

        Raises:
            RateLimitedError: P702 when it would have to wait longer than ``HEADRACE_QUOTA_WAIT_S`` in all.
        """
        tokens = estimate_tokens(request, self._answer_tokens)
        if not self._turns:
            ticket = self.pace.take(tokens)
            if isinstance(ticket, Ticket):
                self.sent += 1
                return ticket, waited_s
        began = self._clock()
        try:
            with paused():
                ticket = await self._wait(tokens, self._wait_s - waited_s)
        finally:
            waited = self._clock() - began
            self.waited_s += waited
        self.sent += 1
        return ticket, waited_s + waited

    async def _wait(self, tokens: float, patience_s: float) -> Ticket:
        pace, now = self.pace.look()
        hold_s = pace.hold_until - now
        # For any request, so that one of them may look whether it still is.
        is_hopeless = hold_s > self._wait_s
        if hold_s > patience_s and not (is_hopeless and self.pace.try_again()):
            raise RateLimitedError(self._too_long(hold_s))
        waiter = _Waiter(asyncio.get_running_loop().create_future(), tokens, now + patience_s)
        self._turns.add(current_lane.get(), waiter)
        self._serve()
        is_taken = False
        try:
            async with asyncio.timeout(patience_s) as limit:
                ticket = await waiter.turn
            is_taken = True
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise RateLimitedError(self._too_long(patience_s)) from error
        finally:
            if not is_taken:
                self._give_up(waiter)
        return ticket

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter.turn.done() and not waiter.turn.cancelled():
            if waiter.turn.exception() is None:
                self.leave(waiter.turn.result())  # its turn had come, but nobody is there any more to take it
        else:
            self._turns.drop(lambda other: other is waiter)

    def _serve(self) -> None:
        """Let in whose turn it is, and come back when the next one may be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._turns:
            waiter = self._turns.peek()
            if waiter.turn.done():
                self._turns.pop()
                continue
            ticket = self.pace.take(waiter.tokens)
            if not isinstance(ticket, Ticket):
                pace, now = self.pace.look()
                if pace.hold_until > waiter.until:  # it need not wait to learn that
                    self._turns.pop()
                    waiter.turn.set_exception(RateLimitedError(self._too_long(pace.hold_until - now)))
                    continue
                self._is_full = not self.pace.concurrency.has_place()
                self._timer = asyncio.get_running_loop().call_later(ticket, self._serve)
                return
            self._turns.pop()
            waiter.turn.set_result(ticket)

    def hear(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        """Read what an answer says about limits."""
        stated = read_allowances(headers)
        if stated is not None:
            self.pace.hear(ticket, stated)
            if self._turns:
                self._serve()

    def refuse(self, ticket: Ticket, asked_s: float | None) -> None:
        """Note that a request was answered with 429."""
        self.refused += 1
        self.pace.refuse(ticket, asked_s)
        if self._turns:
            self._serve()

    def leave(self, ticket: Ticket, *, is_served: bool = False) -> None:
        """A request is over: its place is free. May be said more than once.

        Args:
            ticket: Of the request.
            is_served: Whether the service served it.
        """
        self.pace.leave(ticket, is_served=is_served)
        if self._turns and self._is_full:
            self._serve()

    def settle(self, ticket: Ticket, usage: Usage) -> None:
        """Note what a request really cost."""
        self._answer_tokens += _WEIGHT * (usage.completion_tokens - self._answer_tokens)
        if usage.total_tokens:
            self.pace.settle(ticket, float(usage.total_tokens))

    def use(self) -> BudgetUse:
        """What there is to see."""
        pace, now = self.pace.look()
        requests = (
            request_rate(pace, self.pace.rules) * self.pace.rules.minute_s if pace.learned else math.inf
        )
        requests = min(requests, request_limit(pace, self.pace.rules))
        tokens = token_limit(pace, self.pace.rules)
        cap = self.pace.concurrency.cap
        return BudgetUse(
            service=self.endpoint.host,
            model=self.model,
            sent=self.sent,
            refused=self.refused,
            waited_s=self.waited_s,
            n_waiting=self.n_waiting,
            requests_per_minute=None if math.isinf(requests) else requests,
            tokens_per_minute=None if math.isinf(tokens) else tokens,
            paused_s=max(0.0, pace.hold_until - now),
            in_flight=self.pace.concurrency.in_flight,
            in_flight_limit=None if math.isinf(cap) else int(cap),
        )

    def _too_long(self, wait_s: float) -> Problem:
        return Problem(
            code="P702",
            what=f"A request for model {self.model!r} at {self.endpoint.host} would have to wait {wait_s:.0f} s or "
            "longer for the service's quota.",
            fix=MORE_QUOTA,
        )


class Quota:
    """All budgets of this process.

    Args:
        settings: Configured limits, and how long a request may wait.
        folder: Where budgets are shared with other processes; ``None`` keeps them in this one.
        clock: Seconds that only go forward, the same in all processes of this machine.
        minute_s: How long a minute is; tests have shorter ones.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path | None = None,
        *,
        clock: Clock = time.monotonic,
        minute_s: float = 60.0,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._minute_s = minute_s
        self._lock = threading.Lock()
        self._paces: dict[str, SharedPace] = {}
        self._budgets: list[Budget] = []
        # Whoever waits is woken by the event loop that it waits in, so each has its own queue.
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Budget]] = (
            weakref.WeakKeyDictionary()
        )

    def of_client(self, endpoint: Endpoint, secret: SecretLookup) -> Callable[[str], Budget]:
        """What finds the budget of a model for one client, which belongs to one event loop."""
        connection = endpoint.connection
        budgets: dict[str, Budget] = {}

        def find(model: str) -> Budget:
            budget = budgets.get(model)
            if budget is None:
                # Azure's quotas belong to a deployment, whoever asks; elsewhere they belong to the key's account.
                is_azure = connection.type == "azure_open_ai"
                account = "" if is_azure else secret(connection, "api_key") or ""
                budget = budgets[model] = self.budget(endpoint, account, model)
            return budget

        return find

    def budget(self, endpoint: Endpoint, account: str, model: str) -> Budget:
        """The budget of one model, for requests of the running event loop.

        Args:
            endpoint: Where the requests go.
            account: What else tells one quota of a service from another: the key where it belongs to an account.
            model: Model or deployment.
        """
        key = _key(endpoint, account, model)
        with self._lock:
            budgets = self._by_loop.setdefault(asyncio.get_running_loop(), {})
            budget = budgets.get(key)
            if budget is None:
                pace = self._paces.get(key)
                if pace is None:
                    pace = self._paces[key] = self._open(key, endpoint, model)
                budget = budgets[key] = Budget(
                    endpoint, model, pace, self._settings.quota_wait_s, self._clock
                )
                self._budgets.append(budget)
            return budget

    def snapshot(self) -> tuple[BudgetUse, ...]:
        """What this process did with each budget so far; safe to call from any thread."""
        with self._lock:
            budgets = tuple(self._budgets)
        found: dict[int, BudgetUse] = {}
        for budget in budgets:
            use, before = budget.use(), found.get(id(budget.pace))
            found[id(budget.pace)] = use if before is None else _sum(before, use)
        return tuple(found.values())

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for pace in self._paces.values():
                pace.close()

    def _open(self, key: str, endpoint: Endpoint, model: str) -> SharedPace:
        name = endpoint.connection.name
        limit = self._settings.quota.get(f"{name}/{model}") or self._settings.quota.get(name) or QuotaLimit()
        rules = Rules(
            requests_per_minute=limit.requests_per_minute,
            tokens_per_minute=limit.tokens_per_minute,
            minute_s=self._minute_s,
        )
        if self._folder is None:
            return SharedPace(None, rules, self._clock)
        if not self._paces:
            _tidy(self._folder)
        return SharedPace(self._folder / key, rules, self._clock)


def _tidy(folder: Path) -> None:
    """Remove what nobody has used for a day; it would be forgotten anyway."""
    with suppress(OSError):  # there is no such folder, or another process is faster
        for path in folder.iterdir():
            if path.stat().st_mtime < time.time() - _OLD_S:
                path.unlink()


def _key(endpoint: Endpoint, account: str, model: str) -> str:
    # The name of the host, because a home folder may be shared by machines whose clocks have nothing in common.
    parts = (socket.gethostname(), endpoint.base_url, endpoint.organization or "", account, model)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _sum(first: BudgetUse, second: BudgetUse) -> BudgetUse:
    return replace(
        second,
        sent=first.sent + second.sent,
        refused=first.refused + second.refused,
        waited_s=first.waited_s + second.waited_s,
        n_waiting=first.n_waiting + second.n_waiting,
    )


def estimate_tokens(request: ModelRequest, answer_tokens: float) -> float:
    """About how many tokens a request will cost, found without a tokenizer.

    Args:
        request: The request; an answer is counted at its ``max_tokens``, as services do.
        answer_tokens: What an answer costs where the request sets no such limit.
    """
    body = request.body
    prompt = (
        _characters(body.get("messages") or body.get("prompt") or body.get("input")) / _CHARACTERS_PER_TOKEN
    )
    if request.operation in ("embeddings", "score"):  # what a flow elsewhere asks of models is its own
        return prompt
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    choices = body.get("n") or 1
    answer = float(limit) if isinstance(limit, int | float) else answer_tokens
    return prompt + answer * (choices if isinstance(choices, int) else 1)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        if value.get("type") == "image_url":
            return _IMAGE_TOKENS * _CHARACTERS_PER_TOKEN
        return _characters(value.get("content") or value.get("text"))
    if isinstance(value, Iterable):
        return sum(_characters(item) for item in value)
    return 0
