"""What went wrong with a request to a flow that runs elsewhere, in our words and with what its server says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from headrace.domain.remote import AUTH, ENTRA, scope_of
from headrace.errors import (
    AccessDeniedError,
    Problem,
    RateLimitedError,
    RemoteError,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
)
from headrace.providers.authorization import how_to_set_key
from headrace.providers.endpoint import Endpoint
from headrace.providers.failures import MORE_QUOTA
from headrace.providers.transport import transport_failure

_CONTAINER_STATUS = "ms-azureml-model-error-statuscode"
_CONTAINER_REASON = "ms-azureml-model-error-reason"
_RETRIED = (408, 429, 503)
"""Statuses that say that nothing was done. After 502 and 504 nobody knows whether the flow has run, and it may cost."""

_OURS = ("UserError", "SystemError")
_LONGEST = 300
_SLOW = "Try again later, or raise timeout_s of the flow behind the address."
_BROKEN = "Look at the log of the endpoint; the lines that failed can be run again."


class BadAnswerError(ValueError):
    """An answer that holds no outputs."""


def refused(
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    retry_after_s: float | None,
) -> RemoteError:
    """The error for a status other than 2xx.

    Azure answers 424 where the container behind it answered something else than 200; then that counts. Only what says
    that nothing was done is sent again.

    Args:
        endpoint: Where the request went.
        status: HTTP status.
        headers: Of the answer, by names in lower case.
        content: Its body: prompt flow's error JSON, or anything.
        retry_after_s: Seconds that the endpoint asks to wait, ``None`` when it does not say.
    """
    inner = headers.get(_CONTAINER_STATUS, "")
    is_inner = status == 424 and inner.isascii() and inner.isdecimal()
    status = int(inner) if is_inner else status
    code, message = _said(content)
    message = message or (_line(headers.get(_CONTAINER_REASON)) if is_inner else "")
    failed = _failure(endpoint, status, headers, _what(endpoint, status, code, message), retry_after_s)
    failed.retryable = status in _RETRIED
    return failed


def failed_midway(endpoint: Endpoint, piece: Mapping[str, Any]) -> RemoteError | None:
    """The error that an event of a stream says, ``None`` for a piece of an answer: its status was sent before."""
    error = piece.get("error") if len(piece) == 1 else None
    if (
        not isinstance(error, dict)
        or error.get("code") not in _OURS
        or not isinstance(error.get("message"), str)
    ):
        return None
    status = 504 if error.get("problem") == "E603" else 500 if error["code"] == "SystemError" else 400
    code, message = _said_by(error)
    what = f"The endpoint at {endpoint.host} failed after a part of its answer: {code}: {message}"
    failed = _failure(endpoint, status, {}, what, None)
    failed.retryable = False
    return failed


def _what(endpoint: Endpoint, status: int, code: str, message: str) -> str:
    what = f"The endpoint at {endpoint.host} answered {status}{f' {code}' if code else ''}"
    return what + (f": {message}" if message else ".")


def _failure(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], what: str, retry_after_s: float | None
) -> RemoteError:
    if status in (401, 403):
        return AccessDeniedError(Problem(code="P701", what=what, fix=_way_in(endpoint, status)))
    if status == 429:
        return RateLimitedError(Problem(code="P702", what=what, fix=MORE_QUOTA), retry_after_s=retry_after_s)
    if status in (408, 504):
        return RemoteTimeoutError(Problem(code="P704", what=what, fix=_SLOW), retry_after_s=retry_after_s)
    if status >= 500:
        return RemoteUnavailableError(
            Problem(code="P703", what=what, fix=_BROKEN), retry_after_s=retry_after_s
        )
    return RemoteRequestError(
        Problem(code="P705", what=what, fix=_fix(status, headers)), retry_after_s=retry_after_s
    )


def _way_in(endpoint: Endpoint, status: int) -> str:
    if endpoint.connection.configs.get(AUTH) != ENTRA:
        return how_to_set_key(endpoint.connection)
    if scope_of(endpoint.base_url) is None:
        return f"Let whoever is signed in call it; the token was for {endpoint.scope}."
    if status == 401:
        return "Let the endpoint take tokens, authentication: entra; one that takes keys needs a connection instead."
    return (
        "Give whoever is signed in a role on the endpoint with the action "
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action, such as AzureML Data Scientist."
    )


def _fix(status: int, headers: Mapping[str, str]) -> str:
    if 300 <= status < 400:
        target = urlsplit(headers.get("location", ""))
        where = f" ({target.scheme}://{target.netloc}{target.path})" if target.netloc else ""
        return f"Set url to where the endpoint redirects to{where}; the key is not sent there unasked."
    if status == 404:
        return "Check url: prompt flow answers at /score."
    if status == 424:
        return _BROKEN
    return (
        "Compare the inputs of the line, and the inputs of the flow behind the address, with what it takes."
    )


def _said(content: bytes) -> tuple[str, str]:
    """Code and first line of the message of an error body; each may be empty."""
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return "", ""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        return "", _line(error)
    if not isinstance(error, dict):
        return "", ""
    return _said_by(error)


def _said_by(error: Mapping[str, Any]) -> tuple[str, str]:
    names = [_line(error.get(key)) for key in ("code", "problem")]
    return " ".join(name for name in names if name), _line(error.get("message") or error.get("detail"))


def _line(value: Any) -> str:
    lines = value.strip().splitlines() if isinstance(value, str) else []
    first = "".join(mark if mark.isprintable() else " " for mark in lines[0]) if lines else ""
    return first if len(first) <= _LONGEST else first[: _LONGEST - 1] + "…"


def transport_failed(endpoint: Endpoint, error: BaseException, timeout_s: float) -> RemoteError:
    """The error where no whole answer came within ``timeout_s`` seconds."""
    if isinstance(error, TimeoutError):
        what = f"The endpoint at {endpoint.host} did not answer within {timeout_s:g} s."
        late = RemoteTimeoutError(Problem(code="P704", what=what, fix=_SLOW))
        late.retryable = False  # it may still be at work on the request
        return late
    failure = transport_failure(endpoint, error, "", timeout_s)
    failure.problems = tuple(_of_endpoint(problem) for problem in failure.problems)
    return failure


def _of_endpoint(problem: Problem) -> Problem:
    what = problem.what.replace("model service", "endpoint", 1)
    fix = "Check url, that the endpoint runs there, and HTTPS_PROXY where a proxy is needed."
    return Problem(code=problem.code, what=what, fix=fix if problem.code == "P708" else _BROKEN)


def unreadable(endpoint: Endpoint, content_type: str | None) -> RemoteRequestError:
    """P707: an answer that is neither JSON nor a stream of events with JSON."""
    kind = (content_type or "").partition(";")[0].strip()
    said = f" ({kind})" if kind and kind.isprintable() and len(kind) <= _LONGEST else ""
    what = f"The endpoint at {endpoint.host} answered with something that is not JSON{said}."
    return RemoteRequestError(
        Problem(code="P707", what=what, fix="Check url: prompt flow answers at /score.")
    )


def too_large(endpoint: Endpoint, n_bytes: int) -> RemoteRequestError:
    """P707: an answer that is larger than anybody would want to record."""
    what = f"The endpoint at {endpoint.host} answered with more than {n_bytes // 2**20} MB."
    return RemoteRequestError(Problem(code="P707", what=what, fix="Let it answer with less."))
