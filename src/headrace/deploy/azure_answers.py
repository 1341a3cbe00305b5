"""Answers that Azure may give and its packages do not take: another status for "accepted", a date to wait until, null.

Also the versions of resources, which the packages neither keep nor send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from traceback import walk_tb
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    DeserializationError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

_RETRY_AFTER = "Retry-After"
_MOST_REFUSED = 4
_STUMBLED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_PACKAGES, _OURS = ("azure", "msrest"), "headrace"
_SIGNING_IN = ("azure.identity", "azure.core.credentials")
"""What they stumble over is what they were given here, and no answer."""
_MEANT: Mapping[tuple[str, int], int] = {("PUT", 202): 201, ("PATCH", 201): 202}
"""Method and status to one that says the same, and that all packages take as the begin of an operation."""


class PlainAnswers(SansIOHTTPPolicy[Any, Any]):
    """Says in one way what services say in several: ``per_call_policies`` of every client.

    - ``Retry-After`` may be a date (RFC 9110, 10.2.3); the packages read a whole number of seconds, and fail otherwise.
    - A change that is accepted may be answered with 200, 201 or 202 (``Azure/azure-resource-manager-rpc``,
      "asynchronous operations"); each package knows two of them, and takes the third for a failure.
    """

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Change an answer before its package reads it."""
        answer = response.http_response
        method = str(request.http_request.method).upper()
        answer.status_code = _MEANT.get((method, answer.status_code), answer.status_code)
        said = answer.headers.get(_RETRY_AFTER)
        if said is not None and (seconds := seconds_until(str(said))) is not None:
            answer.headers[_RETRY_AFTER] = str(seconds)


def seconds_until(text: str, now: datetime | None = None) -> int | None:
    """The seconds until a date of HTTP, at least 0; ``None`` for what is none, such as a number.

    Args:
        text: What ``Retry-After`` holds.
        now: Aware; the clock of this machine unless told otherwise.
    """
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0, round((until - (now or datetime.now(UTC))).total_seconds()))


class SameVersion(SansIOHTTPPolicy[Any, Any]):
    """Lets a resource be replaced only in the version that was read last, so that nobody's change in between is lost.

    What differs is refused with 412. A service that says no version of a resource (``ETag``) is asked as before, and so
    is one that goes on refusing the version that it goes on saying, longer than reads may lag behind.
    """

    def __init__(self) -> None:
        self._read: dict[str, str] = {}
        self._refused: Counter[tuple[str, str]] = Counter()

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Send the version with a change."""
        path = _path(request)
        known = self._read.get(path)
        is_taken = self._refused[path, known or ""] < _MOST_REFUSED
        if request.http_request.method == "PUT" and known and is_taken:
            request.http_request.headers["If-Match"] = known

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Keep the version that was read, and that was refused."""
        path, answer, sent = _path(request), response.http_response, request.http_request
        if sent.method == "GET":
            said = str(answer.headers.get("ETag") or "")
            # Weak ones never match (RFC 9110, 13.1.1).
            self._read[path] = said if answer.status_code == 200 and not said.startswith("W/") else ""
        elif answer.status_code == 412 and "If-Match" in sent.headers:
            self._refused[path, sent.headers["If-Match"]] += 1


def _path(request: PipelineRequest[Any]) -> str:
    return urlsplit(str(request.http_request.url)).path.lower()


_NOT_SENT_AGAIN = (408, 502)
"""Statuses after which the packages send no POST and no PATCH again, although nobody knows what became of it."""


def unwrapped(error: AzureError) -> AzureError:
    """What a package raised first: ``azure-ai-ml`` wraps some of it into an error that says no more than its text."""
    cause = error.__cause__
    return cause if isinstance(cause, ServiceRequestError | ServiceResponseError) else error


def is_lost(error: AzureError) -> bool:
    """Whether a request or its answer was lost on the way, so that nobody knows whether it had an effect."""
    error = unwrapped(error)
    if isinstance(error, ServiceRequestError | ServiceResponseError | IncompleteReadError):
        return True
    return isinstance(error, HttpResponseError) and error.status_code in _NOT_SENT_AGAIN


class UnreadableAnswerError(AzureError):
    """An answer that a package of Azure stumbles over, such as null where it expects a list."""


@contextmanager
def readable_answers() -> Iterator[None]:
    """Say of an answer that a package of Azure stumbles over that it does.

    Raises:
        UnreadableAnswerError: With what the package made of it.
    """
    try:
        yield
    except _STUMBLED as error:
        package = _package_of(error)
        if package is None and not isinstance(error, DeserializationError):
            raise
        said = f"{type(error).__name__}: {error}" if package else str(error)
        what = f"{package or 'its package'} cannot read an answer ({said})"
        raise UnreadableAnswerError(what) from error


def _package_of(error: BaseException) -> str | None:
    """The package of Azure that raised an error, as far as one did and not we."""
    names = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)]
    known = [name for name in names if name.partition(".")[0] in (*_PACKAGES, _OURS)]
    if not known or known[-1].startswith((_OURS, *_SIGNING_IN)):
        return None
    return "-".join(known[-1].split(".")[:3])
