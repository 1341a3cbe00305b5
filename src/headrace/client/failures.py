"""What went wrong with a call, in the errors of the house.

Messages hold no content: what the endpoint said is the error's ``refusal``.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2

from headrace.errors import (
    AccessDeniedError,
    Problem,
    RateLimitedError,
    Refusal,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)

RETRIED = frozenset({408, 429, 503})
"""Statuses that say that nothing was done; any other answer is the answer."""

_CONTAINER_STATUS = "ms-azureml-model-error-statuscode"
_BROKEN = "Look at the log of the endpoint for the request id."
_SLOW = "Try again later, or raise timeout_s of the client."
_ADDRESS = "Check the address, that the endpoint runs there, and HTTPS_PROXY where a proxy is needed."


def answered_status(status: int, headers: Mapping[str, str]) -> int:
    """The status that counts: Azure ML answers 424 where the container behind it answered something else than 200."""
    inner = headers.get(_CONTAINER_STATUS, "")
    return int(inner) if status == 424 and inner.isascii() and inner.isdecimal() else status


def refused(
    host: str,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    request_id: str,
    retry_after_s: float | None,
) -> RemoteError:
    """The error for a status that is not 2xx.

    Args:
        host: Host and port of the endpoint.
        status: As :func:`answered_status` has it.
        headers: Of the answer, names in lower case.
        content: Its body.
        request_id: Id of the call.
        retry_after_s: Seconds that the endpoint asks to wait.
    """
    refusal = _read_refusal(status, headers, content, request_id)
    kind, code, fix = _family(status)
    named = f" {refusal.code}" if refusal.code else ""
    what = f"The endpoint at {host} answered {status}{named} (request {refusal.request_id})."
    error = kind(Problem(code=code, what=what, fix=fix), retry_after_s=retry_after_s)
    error.retryable = status in RETRIED
    error.refusal = refusal
    return error


def failed_midway(host: str, said: Mapping[str, Any], request_id: str) -> RemoteError:
    """The error that a stream ended with: the status was sent before."""
    status = 504 if said.get("problem") == "E603" else 500 if said["code"] == "SystemError" else 400
    refusal = _refusal(status, said, request_id)
    kind, code, _ = _family(status)
    what = f"The flow at {host} failed after a part of its answer: {refusal.code} (request {request_id})."
    error = kind(Problem(code=code, what=what, fix=_BROKEN))
    error.retryable = False
    error.refusal = refusal
    return error


def _family(status: int) -> tuple[type[RemoteError], str, str]:
    if status in (401, 403):
        return (
            AccessDeniedError,
            "P701",
            "Give the client a key or a token_provider that may ask this endpoint.",
        )
    if status == 429:
        return RateLimitedError, "P702", "Send less at once, or give the endpoint more places."
    if status in (408, 504):
        return RemoteTimeoutError, "P704", _SLOW
    if status >= 500:
        return RemoteUnavailableError, "P703", _BROKEN
    if 300 <= status < 400:
        return RemoteRequestError, "P705", "Give the address that it redirects to; a key is never sent on."
    if status == 404:
        return RemoteRequestError, "P705", "Check the address and the path of the flow."
    return RemoteRequestError, "P705", "Read refusal.message of the error: it says what does not fit."


def _read_refusal(status: int, headers: Mapping[str, str], content: bytes, request_id: str) -> Refusal:
    request_id = headers.get("x-request-id") or request_id
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error", body) if isinstance(body, dict) else None
    said = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
    return _refusal(status, said, request_id)


def _refusal(status: int, said: Mapping[str, Any], request_id: str) -> Refusal:
    code, problem, message = said.get("code"), said.get("problem"), said.get("message")
    return Refusal(
        status=status,
        code=code if isinstance(code, str) and code.isidentifier() and len(code) <= 60 else "",
        problem=problem if isinstance(problem, str) else "",
        message=message if isinstance(message, str) else "",
        request_id=request_id,
    )


def not_answered(host: str, error: httpx2.HTTPError, timeout_s: float, *, has_begun: bool) -> RemoteError:
    """The error where no whole answer came.

    Args:
        host: Host and port of the endpoint.
        error: What the transport raised.
        timeout_s: How long the endpoint may say nothing.
        has_begun: A part of an answer had arrived.
    """
    if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
        what = f"The endpoint at {host} said nothing for {timeout_s:g} s."
        failure: RemoteError = RemoteTimeoutError(Problem(code="P704", what=what, fix=_SLOW))
        failure.retryable = False  # it may still be at work on the request
        return failure
    if isinstance(
        error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ProxyError
    ):
        failure = RemoteUnavailableError(
            Problem(code="P708", what=f"No connection to the endpoint at {host} could be made.", fix=_ADDRESS)
        )
        failure.retryable = not _is_untrusted(error)
        return failure
    when = "in the middle of its answer" if has_begun else "without an answer"
    what = f"The endpoint at {host} broke the connection off {when}."
    failure = RemoteUnavailableError(Problem(code="P703", what=what, fix=_BROKEN))
    failure.retryable = not has_begun and isinstance(error, httpx2.TransportError)
    return failure


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def unreadable(host: str, request_id: str) -> RemoteRequestError:
    """P707: an answer that is neither JSON nor events with JSON."""
    what = f"The endpoint at {host} answered with something that cannot be read (request {request_id})."
    fix = "Check the address: a flow answers at /score in JSON."
    return RemoteRequestError(Problem(code="P707", what=what, fix=fix))
