"""Errors of ``httpx2``, on which the ``openai`` package runs, in our words."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

import httpx2

from headrace.errors import RemoteError
from headrace.providers.endpoint import CONNECT_TIMEOUT_S, Endpoint
from headrace.providers.failures import broken_off, timed_out, unreachable, untrusted


def transport_failure(endpoint: Endpoint, error: BaseException, model: str, timeout_s: float) -> RemoteError:
    """The error for an exception of the transport, found among ``error`` and its causes.

    Args:
        endpoint: Where the request went.
        error: What a client library raised.
        model: Model or deployment that was asked for.
        timeout_s: The limit that a :class:`TimeoutError` means, seconds.
    """
    if isinstance(error, TimeoutError):  # our own limit, which cuts a request wherever it is
        return timed_out(endpoint, model, timeout_s)
    causes = tuple(_causes(error))
    found = next((cause for cause in causes if isinstance(cause, httpx2.TransportError)), causes[-1])
    kind = type(found).__name__
    if isinstance(found, httpx2.ConnectTimeout):
        return unreachable(endpoint, f"no connection within {CONNECT_TIMEOUT_S:g} s")
    if isinstance(found, httpx2.TimeoutException):
        return timed_out(endpoint, model, timeout_s)
    if isinstance(found, httpx2.ConnectError):
        return _not_connected(endpoint, causes, kind)
    if isinstance(found, httpx2.ProxyError):
        # Status and reason of the proxy's answer; the reason is left away because the proxy chose its words.
        return unreachable(endpoint, f"the proxy answered {str(found).partition(' ')[0]}")
    return broken_off(endpoint, kind)


def _not_connected(endpoint: Endpoint, causes: tuple[BaseException, ...], kind: str) -> RemoteError:
    """What kept a connection from being made: the system says it, deeper than the client libraries."""
    reasons = [cause for cause in causes if isinstance(cause, OSError)]
    if any(isinstance(reason, ssl.SSLEOFError | ssl.SSLZeroReturnError) for reason in reasons):
        return broken_off(endpoint, kind)
    untrusting = next((reason for reason in reasons if isinstance(reason, ssl.SSLError)), None)
    if untrusting is not None:
        return untrusted(endpoint, type(untrusting).__name__)
    if any(isinstance(reason, socket.gaierror) for reason in reasons):
        return unreachable(endpoint, "its name cannot be resolved")
    number = next((reason.errno for reason in reasons if reason.errno), None)
    if number is None or number in (errno.ECONNRESET, errno.EPIPE):
        return broken_off(endpoint, kind)
    return unreachable(endpoint, os.strerror(number).lower())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, then what it came from, down to the bottom; of several attempts the first one first."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _causes(part)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)
