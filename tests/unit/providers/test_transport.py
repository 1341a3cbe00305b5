"""Errors of the HTTP library and what stands behind them, in our words. The suite over the clients raises most of them."""

from __future__ import annotations

import errno
import socket
import ssl
from itertools import pairwise

import httpx2
import openai
import pytest

from headrace.domain.connection import Connection
from headrace.providers.endpoint import make_endpoint
from headrace.providers.transport import transport_failure

ENDPOINT = make_endpoint(Connection(name="mine", type="open_ai", origin="mine.yaml"))
REQUEST = httpx2.Request("POST", "https://api.openai.com/v1")


def chain(*errors: BaseException) -> BaseException:
    """The first of ``errors``, caused by the second, and so on."""
    for effect, cause in pairwise(errors):
        effect.__cause__ = cause
    return errors[0]


def refused() -> OSError:
    return ConnectionRefusedError(errno.ECONNREFUSED, "no")


CASES = {
    "a limit of ours": (TimeoutError(), "P704", "within 9 s"),
    "a limit of ours while a connection was made": (
        chain(TimeoutError(), httpx2.ConnectError("x"), refused()), "P704", "within 9 s",
    ),
    "no answer": (httpx2.ReadTimeout("x"), "P704", "within 9 s"),
    "no connection in time": (httpx2.ConnectTimeout("x"), "P708", "no connection within 10 s"),
    "refused": (chain(httpx2.ConnectError("x"), refused()), "P708", "reached: connection refused."),
    "several addresses": (
        chain(httpx2.ConnectError("x"), OSError("all failed"), ExceptionGroup("m", [refused(), refused()])),
        "P708", "connection refused",
    ),
    "no address": (
        chain(httpx2.ConnectError("x"), socket.gaierror(socket.EAI_NONAME, "x")), "P708", "cannot be resolved",
    ),
    "certificate": (
        chain(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("x")), "P708", "(SSLCertVerificationError)",
    ),
    "cut handshake": (chain(httpx2.ConnectError("x"), ssl.SSLEOFError(8, "x")), "P703", "(ConnectError)"),
    "reset handshake": (
        chain(httpx2.ConnectError("x"), EOFError(), ConnectionResetError(errno.ECONNRESET, "x")),
        "P703", "(ConnectError)",
    ),
    "proxy": (httpx2.ProxyError("502 a sentence of the proxy"), "P708", "the proxy answered 502."),
    "cut": (chain(httpx2.ReadError("x"), refused()), "P703", "(ReadError)"),
    "not http": (httpx2.RemoteProtocolError("x"), "P703", "(RemoteProtocolError)"),
    "something else": (RuntimeError("x"), "P703", "(RuntimeError)"),
}  # fmt: skip


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_error_becomes_its_problem(case: str, is_wrapped: bool) -> None:
    error, code, said = CASES[case]
    if is_wrapped and not isinstance(error, TimeoutError):
        error = chain(openai.APIConnectionError(request=REQUEST), error)
    (problem,) = transport_failure(ENDPOINT, error, "m", 9.0).problems
    assert (problem.code, said in problem.what) == (code, True), problem.what
    assert "sentence" not in problem.what
