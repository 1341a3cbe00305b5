"""The retry policy: what is sent again, how often, after which wait."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.virtual_loop import VirtualLoop

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.errors import (
    AccessDeniedError,
    Problem,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteUnavailableError,
)
from headrace.providers.base import ModelRequest
from headrace.providers.endpoint import make_endpoint
from headrace.providers.limits import RetryPolicy, parse_retry_after, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.quota import Quota

ENDPOINT = make_endpoint(Connection(name="c", type="open_ai", configs={"base_url": "http://localhost/v1"}))
REQUEST = ModelRequest(operation="chat", model="m", body={"messages": [{"role": "user", "content": "hi"}]})
NOW = 1_700_000_000.0


def failure(
    kind: type[RemoteError], code: str, *, is_retryable: bool, asked_s: float | None = None
) -> RemoteError:
    error = kind(Problem(code=code, what="It failed."), retry_after_s=asked_s)
    error.retryable = is_retryable
    return error


def busy(asked_s: float | None = None) -> RemoteError:
    return failure(RateLimitedError, "P702", is_retryable=True, asked_s=asked_s)


def down(asked_s: float | None = None) -> RemoteError:
    return failure(RemoteUnavailableError, "P703", is_retryable=True, asked_s=asked_s)


def unprocessable() -> RemoteError:
    return failure(RemoteRequestError, "P705", is_retryable=True)


def run(
    script: list[RemoteError | str], max_retries: int = 8, **environment: str
) -> tuple[tuple[str, int] | RemoteError, list[float]]:
    waits: list[float] = []
    steps = iter(script)
    loop = VirtualLoop()

    async def attempt(_: Ticket) -> str:
        step = next(steps)
        if isinstance(step, RemoteError):
            raise step
        return step

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(seconds)

    async def session() -> tuple[str, int] | RemoteError:
        budget = Quota(load_settings(environment), clock=loop.time).budget(ENDPOINT, "", "m")
        policy = RetryPolicy(max_retries=max_retries)
        try:
            sent = await send_with_retries(attempt, REQUEST, budget, policy, sleep, lambda: 1.0)
        except RemoteError as error:
            return error
        return sent.result, sent.retries

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(session()), waits


def test_first_answer_needs_no_wait() -> None:
    assert run(["done"]) == (("done", 0), [])


def test_waits_double_up_to_the_cap() -> None:
    result, waits = run([*(down() for _ in range(8)), "done"])
    assert result == ("done", 8)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]


def test_asked_wait_is_kept_and_capped() -> None:
    _, waits = run([down(2.0), down(500.0), down(0.0), "done"])
    assert waits == pytest.approx([2.2, 60.0, 0.0])


def test_refusal_for_the_quota_is_none_of_the_policy() -> None:
    result, waits = run([busy() for _ in range(9)] + ["done"], max_retries=0)
    assert (result, waits) == (("done", 9), [])


def test_refusals_and_faults_have_patience_of_their_own() -> None:
    result, waits = run([busy(), down(), busy(1.0), down(), "done"], max_retries=2)
    assert (result, waits) == (("done", 4), [0.5, 1.0])


def test_wait_for_the_quota_ends() -> None:
    result, _ = run([busy() for _ in range(99)], HEADRACE_QUOTA_WAIT_S="30")
    assert isinstance(result, RateLimitedError)
    assert "attempts were made." in result.problems[0].detail[0]


def test_faults_end_after_their_time() -> None:
    result, waits = run([down(60.0) for _ in range(99)], max_retries=98)
    assert isinstance(result, RemoteUnavailableError)
    assert sum(waits) <= 600


def test_patience_ends_with_the_retries() -> None:
    result, waits = run([down() for _ in range(4)], max_retries=3)
    assert isinstance(result, RemoteUnavailableError)
    assert len(waits) == 3
    assert "4 attempts were made." in result.problems[0].detail


def test_what_is_not_retryable_ends_at_once() -> None:
    denied = failure(AccessDeniedError, "P701", is_retryable=False)
    result, waits = run([denied])
    assert result is denied
    assert (waits, denied.problems[0].detail) == ([], ())


def test_unprocessable_ends_after_three_in_a_row() -> None:
    result, waits = run([unprocessable() for _ in range(9)])
    assert isinstance(result, RemoteRequestError)
    assert len(waits) == 2


def test_another_failure_in_between_starts_the_count_again() -> None:
    script: list[RemoteError | str] = [
        unprocessable(),
        unprocessable(),
        down(),
        unprocessable(),
        unprocessable(),
        "done",
    ]
    assert run(script)[0] == ("done", 5)


@given(st.integers(0, 10_000), st.one_of(st.none(), st.floats(0, 1e9)), st.floats(0, 1, exclude_max=True))
def test_no_wait_is_negative_or_longer_than_the_cap(retries: int, asked: float | None, jitter: float) -> None:
    delay_s = RetryPolicy(max_retries=1).delay_s(retries, asked, lambda: jitter)
    assert 0 <= delay_s <= 60
    if asked is not None:
        assert delay_s >= min(asked, 60)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 -0000"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert parse_retry_after(headers, NOW) == expected


@given(st.text())
def test_retry_after_reads_or_refuses_any_text(text: str) -> None:
    found = parse_retry_after({"retry-after": text}, NOW)
    assert found is None or found >= 0
