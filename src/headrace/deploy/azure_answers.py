"""Answers that Azure may give and its packages do not take: another status for "accepted", a date to wait until."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

_RETRY_AFTER = "Retry-After"
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
