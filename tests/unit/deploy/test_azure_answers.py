"""Answers of Azure in the one form that all its packages take."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.deploy.azure_answers import PlainAnswers, seconds_until

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 29 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 29 Nov 2026 12:00:30 -0000", 30),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0),
        ("17", None),
        ("", None),
        ("soon", None),
    ],
)
def test_a_date_to_wait_until_becomes_seconds(text: str, seconds: int | None) -> None:
    assert seconds_until(text, NOW) == seconds


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [("PUT", 202, 201), ("PUT", 200, 200), ("PATCH", 201, 202), ("DELETE", 202, 202), ("GET", 202, 202)],
)
def test_accepted_is_said_in_one_way(method: str, status: int, said: int) -> None:
    request: Any = SimpleNamespace(http_request=SimpleNamespace(method=method))
    answer = SimpleNamespace(status_code=status, headers={"Retry-After": "17"})
    PlainAnswers().on_response(request, SimpleNamespace(http_response=answer))  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers) == (said, {"Retry-After": "17"})
