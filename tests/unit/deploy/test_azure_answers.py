"""Answers of Azure in the one form that all its packages take."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ResourceExistsError,
    ServiceRequestError,
)
from azure.identity import ClientSecretCredential

from headrace.deploy.azure_answers import PlainAnswers, SameVersion, is_lost, readable_answers, seconds_until

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


BLUE = "https://management.azure.com/subscriptions/s/onlineEndpoints/Blue?api-version=1"


class Wire:
    """Requests through :class:`SameVersion`, one after the other."""

    def __init__(self) -> None:
        self.policy = SameVersion()

    def send(self, method: str, status: int, url: str = BLUE, **headers: str) -> str | None:
        """Which version a request asked for."""
        sent = SimpleNamespace(method=method, url=url, headers={})
        request: Any = SimpleNamespace(http_request=sent)
        answer: Any = SimpleNamespace(http_response=SimpleNamespace(status_code=status, headers=headers))
        self.policy.on_request(request)
        self.policy.on_response(request, answer)
        return sent.headers.get("If-Match")


def test_what_was_read_is_replaced_and_nothing_else() -> None:
    wire = Wire()
    assert wire.send("PUT", 201) is None
    assert wire.send("GET", 200, ETag='"1"') is None
    assert wire.send("PUT", 200, url=BLUE.lower()) == '"1"'
    assert wire.send("PUT", 200, url=BLUE.replace("Blue", "Green")) is None
    assert wire.send("DELETE", 202) is None
    wire.send("GET", 200, ETag='"2"')
    assert wire.send("PUT", 412) == '"2"'
    wire.send("GET", 404)
    assert wire.send("PUT", 201) is None


@pytest.mark.parametrize("said", ["", 'W/"1"'])
def test_a_service_that_says_no_version_that_can_match_is_asked_as_before(said: str) -> None:
    wire = Wire()
    wire.send("GET", 200, ETag=said)
    assert wire.send("PUT", 200) is None


def test_a_service_that_refuses_what_it_says_is_asked_as_before_after_a_while() -> None:
    wire, asked = Wire(), []
    for _ in range(6):
        wire.send("GET", 200, ETag='"1"')
        asked.append(wire.send("PUT", 412))
    assert asked == ['"1"'] * 4 + [None] * 2


def refused(status: int, kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    error = kind("no")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ServiceRequestError("no"), True),
        (refused(200, IncompleteReadError), True),
        (refused(502), True),
        (refused(408), True),
        (refused(200), False),
        (refused(409, ResourceExistsError), False),
    ],
)
def test_nobody_knows_what_became_of_what_was_lost_on_the_way(error: Any, *, lost: bool) -> None:
    assert is_lost(error) == lost


def test_what_was_lost_is_found_in_what_a_package_wraps_it_into() -> None:
    wrapped = AzureError("Error with code: no")
    wrapped.__cause__ = ServiceRequestError("no")
    assert is_lost(wrapped)
    wrapped.__cause__ = refused(404)
    assert not is_lost(wrapped)


def test_what_signing_in_stumbles_over_is_no_answer_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="Invalid tenant"), readable_answers():
        ClientSecretCredential("my tenant", "app", "secret")
