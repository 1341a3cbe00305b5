"""Reading limits from the headers of answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.providers.allowance import Allowance, Allowances, parse_duration, read_allowances


def test_openai_states_limits_with_units() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "2s",
    }
    assert read_allowances(headers) == Allowances(
        requests=Allowance(limit=500, remaining=499, reset_s=0.12),
        tokens=Allowance(limit=30_000, remaining=29_000, reset_s=2),
    )


def test_azure_states_what_is_left_and_seconds() -> None:
    headers = {"x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "13"}
    assert read_allowances(headers) == Allowances(
        requests=Allowance(), tokens=Allowance(remaining=900, reset_s=13)
    )


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit-requests": "many"}, {"retry-after": "1"}])
def test_nothing_is_stated(headers: dict[str, str]) -> None:
    assert read_allowances(headers) is None


def test_no_limit_is_sometimes_written_as_zero() -> None:
    stated = read_allowances({"x-ratelimit-limit-requests": "0"})
    assert stated is not None
    assert stated.requests.limit is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0", 0.0),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("soon", None),
        ("3 s", None),
        ("-1s", None),
    ],
)
def test_duration(text: str | None, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.text())
def test_any_text_is_read_or_left_alone(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0
