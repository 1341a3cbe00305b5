"""Errors of ``aiohttp``, on which the ``openai`` package runs here, in our words."""

from __future__ import annotations

import os
import ssl

import aiohttp

from headrace.errors import RemoteError
from headrace.providers.endpoint import CONNECT_TIMEOUT_S, Endpoint
from headrace.providers.failures import broken_off, timed_out, unreachable, untrusted


def transport_failure(endpoint: Endpoint, error: BaseException, model: str, timeout_s: float) -> RemoteError:
    """The error for an exception of the transport, found among the causes of ``error``.

    Args:
        endpoint: Where the request went.
        error: What a client library raised.
        model: Model or deployment that was asked for.
        timeout_s: The limit that a :class:`TimeoutError` means, seconds.
    """
    cause = _transport_cause(error)
    kind = type(cause).__name__
    if isinstance(cause, aiohttp.ClientSSLError | ssl.SSLError):
        return untrusted(endpoint, kind)
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return unreachable(endpoint, "its name cannot be resolved")
    if isinstance(cause, aiohttp.ClientConnectorError):
        number = cause.os_error.errno
        return unreachable(endpoint, os.strerror(number).lower() if number else kind)
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return unreachable(endpoint, f"no connection within {CONNECT_TIMEOUT_S:g} s")
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return unreachable(endpoint, f"the proxy answered {cause.status}")
    if isinstance(cause, TimeoutError):
        return timed_out(endpoint, model, timeout_s)
    return broken_off(endpoint, kind)


def _transport_cause(error: BaseException) -> BaseException:
    """The deepest cause that says something: client libraries wrap, and name some errors wrongly."""
    found, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, aiohttp.ClientError | TimeoutError | ssl.SSLError):
            return cause
        found, cause = cause, cause.__cause__ or cause.__context__
    return error if isinstance(error, aiohttp.ClientError | TimeoutError | OSError) else found
