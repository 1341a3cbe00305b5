"""How fast a budget is used: never above what is allowed, and never stuck."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.providers.allowance import Allowance, Allowances
from headrace.providers.pace import (
    MARGIN,
    Rules,
    Ticket,
    begin,
    hear,
    is_stale,
    refuse,
    request_rate,
    request_room,
    settle,
    take,
    token_room,
)


def stated(remaining: float, limit: float | None = 600, reset_s: float | None = None) -> Allowances:
    return Allowances(
        requests=Allowance(limit=limit, remaining=remaining, reset_s=reset_s), tokens=Allowance()
    )


def sent_at(pauses: list[float], rules: Rules, tokens: float = 0) -> list[float]:
    """When requests are let in that come after the given pauses and wait in line."""
    pace, now, found = begin(rules, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        while not isinstance(ticket := take(pace, rules, tokens, now), Ticket):
            assert ticket > 0
            now += ticket
        found.append(now)
    return found


PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 100)), min_size=1, max_size=200)


@given(PAUSES, st.integers(1, 500))
def test_configured_rate_is_kept_in_every_window(pauses: list[float], allowed: int) -> None:
    found = sent_at(pauses, Rules(requests_per_minute=allowed))
    for first, begin_s in enumerate(found):
        assert sum(begin_s <= at < begin_s + 60 for at in found[first:]) <= allowed


@given(PAUSES, st.integers(1, 5_000))
def test_tokens_are_kept_in_the_long_run(pauses: list[float], tokens: int) -> None:
    rules = Rules(tokens_per_minute=6_000)
    found = sent_at(pauses, rules, tokens)
    room = token_room(begin(rules, 0.0), rules)
    assert (len(found) - 1) * tokens <= MARGIN * 100 * (found[-1] - found[0]) + room + 1e-6


@given(st.integers(1, 5_000))
def test_waiting_requests_are_let_in_at_the_rate(allowed: int) -> None:
    rules = Rules(requests_per_minute=allowed)
    found = sent_at([0.0] * 100, rules)
    room = request_room(begin(rules, 0.0), rules)
    assert found[-1] <= 100 * 60 / (MARGIN * allowed) + 1e-6
    assert found[-1] >= (100 - room - 1) * 60 / (MARGIN * allowed) - 1e-6


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "stated", "refused", "asked"]), st.floats(0, 30), st.floats(0, 500)),
        max_size=60,
    )
)
def test_whatever_happens_a_request_is_let_in_at_last(events: list[tuple[str, float, float]]) -> None:
    rules = Rules()
    pace, now = begin(rules, 0.0), 0.0
    for kind, pause, number in events:
        now += pause
        ticket = take(pace, rules, 10, now)
        if not isinstance(ticket, Ticket):
            now += ticket
            continue
        now += 0.1
        if kind == "stated":
            hear(pace, rules, ticket, stated(number), now)
        elif kind != "ok":
            refuse(pace, rules, ticket, number if kind == "asked" else None, now)
    for _ in range(50):
        ticket = take(pace, rules, 10, now)
        if isinstance(ticket, Ticket):
            return
        assert 0 < ticket <= 3_600
        now += ticket
    pytest.fail("nothing is let in")


def test_nothing_waits_where_no_limit_is_known() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    assert all(isinstance(take(pace, rules, 1e6, 0.0), Ticket) for _ in range(10_000))
    assert not pace.is_limited


def test_what_is_left_may_be_sent_at_once() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    ticket = take(pace, rules, 0, 0.0)
    assert isinstance(ticket, Ticket)
    hear(pace, rules, ticket, stated(300), 0.0)
    n = 0
    while isinstance(take(pace, rules, 0, 0.0), Ticket):
        n += 1
    assert n == 300


def test_requests_in_flight_are_not_left_any_more() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    tickets = [take(pace, rules, 0, 0.0) for _ in range(10)]
    first, last = tickets[0], tickets[-1]
    assert isinstance(first, Ticket)
    assert isinstance(last, Ticket)
    hear(pace, rules, first, stated(20), 0.0)
    assert pace.requests.level == 11
    hear(pace, rules, last, stated(20), 0.0)
    assert pace.requests.level == 20


def test_refusal_stops_everything_and_one_request_goes_ahead() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    tickets = [take(pace, rules, 0, 0.01 * number) for number in range(20)]
    for ticket in tickets[10:]:
        assert isinstance(ticket, Ticket)
        refuse(pace, rules, ticket, 5.0, 0.5)
    assert take(pace, rules, 0, 1.0) == pytest.approx(4.5)
    assert isinstance(take(pace, rules, 0, 5.6), Ticket)
    assert not isinstance(take(pace, rules, 0, 5.6), Ticket)
    assert isinstance(take(pace, rules, 0, 7.7), Ticket)
    # Ten requests and the one that went ahead were let in in 7.7 seconds.
    assert request_rate(pace, rules) == pytest.approx(0.98 * 11 / 7.7)


def test_backoff_grows_where_the_service_does_not_say_when_to_come_back() -> None:
    rules = Rules()
    pace, now, waits = begin(rules, 0.0), 0.0, []
    for _ in range(7):
        ticket = take(pace, rules, 0, now)
        assert isinstance(ticket, Ticket)
        refuse(pace, rules, ticket, None, now)
        waits.append(pace.hold_until - now)
        now = pace.hold_until
    assert waits == pytest.approx([0.5, 1, 2, 4, 7.5, 7.5, 7.5])


def test_service_that_always_says_at_once_is_not_stormed() -> None:
    rules = Rules()
    pace, now, times = begin(rules, 0.0), 0.0, []
    for _ in range(12):
        while not isinstance(ticket := take(pace, rules, 0, now), Ticket):
            now += ticket
        times.append(now)
        refuse(pace, rules, ticket, 0.001, now)
    assert max(after - before for before, after in pairwise(times)) > 5


def test_window_that_is_used_up_is_waited_for() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    ticket = take(pace, rules, 0, 0.0)
    assert isinstance(ticket, Ticket)
    hear(
        pace, rules, ticket, stated(599, reset_s=58), 0.0
    )  # little by little it would take a tenth of a second
    hear(pace, rules, ticket, stated(0, reset_s=40), 20.0)
    assert take(pace, rules, 0, 20.0) == pytest.approx(40)


def test_limit_that_is_not_stated_is_found_from_what_is_left() -> None:
    rules = Rules()
    pace = begin(rules, 0.0)
    ticket = take(pace, rules, 0, 0.0)
    assert isinstance(ticket, Ticket)
    hear(pace, rules, ticket, stated(59, limit=None), 0.0)
    assert request_rate(pace, rules) == pytest.approx(MARGIN)


def test_tokens_are_corrected_by_what_was_used() -> None:
    rules = Rules(tokens_per_minute=60_000)
    pace = begin(rules, 0.0)
    ticket = take(pace, rules, 1_000, 0.0)
    assert isinstance(ticket, Ticket)
    settle(pace, ticket, 3_000)
    wait_s = take(pace, rules, 1_000, 0.0)
    assert isinstance(wait_s, float)
    assert wait_s == pytest.approx((3_000 + 1_000 - 1_200) / (MARGIN * 1_000))


def test_request_larger_than_the_bucket_is_let_in() -> None:
    rules = Rules(tokens_per_minute=1_000)
    pace = begin(rules, 0.0)
    assert isinstance(take(pace, rules, 50_000, 0.0), Ticket)
    wait_s = take(pace, rules, 10, 0.0)
    assert isinstance(wait_s, float)
    assert wait_s == pytest.approx(49_990 / (MARGIN * 1_000 / 60), rel=0.01)


@pytest.mark.parametrize(
    ("now", "expected"), [(0.0, True), (1_000.0, False), (1_500.0, False), (1_700.0, True)]
)
def test_state_of_another_time_is_stale(now: float, *, expected: bool) -> None:
    assert is_stale(begin(Rules(), 1_000.0), Rules(), now) is expected
