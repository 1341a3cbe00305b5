"""The lean adapter for OpenAI-compatible services: one HTTP request per call, on :mod:`headrace.providers.http1`.

It sends what the ``openai`` package sends, without that package's import time and cost per call; see
docs/decisions/0005. Services behind a proxy are left to :mod:`headrace.providers.openai_client`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from urllib.parse import quote, urlsplit

from headrace import __version__
from headrace.config import Settings
from headrace.domain.connection import Connection
from headrace.errors import RemoteError
from headrace.providers.answers import parse_answer, read_chunk
from headrace.providers.authorization import SecretLookup, make_authorization
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk
from headrace.providers.endpoint import CONNECT_TIMEOUT_S, Endpoint, make_endpoint
from headrace.providers.failures import (
    bad_answer,
    broken_off,
    stalled,
    status_failure,
    stream_failure,
    timed_out,
    unreachable,
    untrusted,
)
from headrace.providers.http1 import (
    BrokenConnectionError,
    ConnectTimeoutError,
    HttpAnswer,
    HttpPool,
    IdleTimeoutError,
)
from headrace.providers.limits import Jitter, RetryPolicy, Sleep, parse_retry_after, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.quota import Budget, Quota
from headrace.providers.streams import OpenStream, begin_stream, in_time, read_events, send_stream
from headrace.providers.tls import trusted_certificates


class OpenAIWireClient:
    """Calls one OpenAI-compatible service; a :class:`~headrace.providers.base.ModelClient`.

    Args:
        connection: Of type ``open_ai``, ``azure_open_ai`` or ``serverless``.
        secret: Resolves its secrets.
        settings: Model timeout and retries.
        quota: Says when requests are sent.
        sleep: Waits between attempts.
        jitter: Spreads those waits.
        clock: Seconds since the Unix epoch.

    Raises:
        DefinitionError: C502 when the connection has no usable address.
    """

    def __init__(
        self,
        connection: Connection,
        secret: SecretLookup,
        settings: Settings,
        *,
        quota: Quota,
        sleep: Sleep = asyncio.sleep,
        jitter: Jitter = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = make_endpoint(connection)
        self._authorization = make_authorization(self._endpoint, secret)
        self._budgets = quota.of_client(self._endpoint, secret)
        self._policy = RetryPolicy(max_retries=settings.max_retries)
        self._timeout_s = settings.model_timeout_s
        self._idle_timeout_s = settings.idle_timeout_s
        self._headers = _fixed_headers(self._endpoint)
        self._pool = HttpPool(
            self._endpoint.address,
            self._endpoint.port,
            tls=trusted_certificates(self._endpoint.base_url),
            connect_timeout_s=CONNECT_TIMEOUT_S,
            idle_timeout_s=settings.idle_timeout_s,
        )
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._targets: dict[tuple[str, str], str] = {}
        self.system = self._endpoint.system
        self.address: str | None = self._endpoint.address
        self.port: int | None = self._endpoint.port

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Send one request, retrying what is retryable; see the protocol."""
        budget = self._budgets(request.model)
        attempt = partial(self._attempt, request, _encode({"model": request.model, **request.body}), budget)
        sent = await send_with_retries(attempt, request, budget, self._policy, self._sleep, self._jitter)
        budget.settle(sent.ticket, sent.result.usage)
        if sent.retries or sent.waited_s:
            return replace(sent.result, retries=sent.retries, waited_s=sent.waited_s)
        return sent.result

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Yield the answer piece by piece; see the protocol."""
        budget = self._budgets(request.model)
        content = _encode({"model": request.model, **request.body, "stream": True})
        begin = partial(self._begin_stream, request, content, budget)
        return send_stream(begin, request, budget, self._policy, self._sleep, self._jitter)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def _attempt(
        self, request: ModelRequest, content: bytes, budget: Budget, ticket: Ticket
    ) -> ModelResponse:
        """Send the request once."""
        authorization = await self._authorization.headers()
        answer = await self._exchange(request, content, authorization)
        budget.hear(ticket, answer.headers)
        if 200 <= answer.status < 300:
            return parse_answer(self._endpoint, request.operation, answer.content)
        retry_after_s = parse_retry_after(answer.headers, self._clock())
        raise status_failure(self._endpoint, request.model, answer.status, answer.content, retry_after_s)

    async def _begin_stream(
        self, request: ModelRequest, content: bytes, budget: Budget, ticket: Ticket
    ) -> OpenStream:
        """Open the stream and wait for its first piece."""
        return await begin_stream(self._endpoint, self._read_stream(request, content, budget, ticket))

    async def _read_stream(
        self, request: ModelRequest, content: bytes, budget: Budget, ticket: Ticket
    ) -> AsyncGenerator[StreamChunk]:
        endpoint, model = self._endpoint, request.model
        authorization = await self._authorization.headers()
        headers = {**self._headers, **request.headers, **authorization}
        limit_s = self._timeout_s or None
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(limit_s):
                    opened = self._pool.stream(self._target(request), headers, content)
                    answer = await stack.enter_async_context(opened)
                    budget.hear(ticket, answer.headers)
                    if not 200 <= answer.status < 300:
                        retry_after_s = parse_retry_after(answer.headers, self._clock())
                        refusal = await answer.read()
                        raise status_failure(endpoint, model, answer.status, refusal, retry_after_s)
                events = read_events(answer.pieces())
                async for event in in_time(events, endpoint, model, self._idle_timeout_s, limit_s):
                    if isinstance(event, dict) and event.get("error"):
                        raise stream_failure(endpoint, model, event["error"])
                    chunk = read_chunk(event) if isinstance(event, dict) else None
                    if chunk is not None:
                        yield chunk
                await answer.expect_end()
        except OSError as error:
            raise self._failure(error, model) from error
        except ValueError as error:
            raise bad_answer(endpoint, "an event that is not JSON") from error

    async def _exchange(
        self, request: ModelRequest, content: bytes, authorization: Mapping[str, str]
    ) -> HttpAnswer:
        """One HTTP exchange."""
        headers = {**self._headers, **request.headers, **authorization}
        try:
            async with asyncio.timeout(self._timeout_s or None):
                return await self._pool.post(self._target(request), headers, content)
        except OSError as error:  # timeouts and broken connections are among them
            raise self._failure(error, request.model) from error

    def _failure(self, error: OSError, model: str) -> RemoteError:
        """Translate an error of the connection."""
        endpoint, kind = self._endpoint, type(error).__name__
        if isinstance(error, ssl.SSLError):
            return untrusted(endpoint, kind)
        if isinstance(error, socket.gaierror):
            return unreachable(endpoint, "its name cannot be resolved")
        if isinstance(error, ConnectTimeoutError):
            return unreachable(endpoint, f"no connection within {CONNECT_TIMEOUT_S:g} s")
        if isinstance(error, IdleTimeoutError):
            return stalled(endpoint, model, self._idle_timeout_s)
        if isinstance(error, TimeoutError):
            return timed_out(endpoint, model, self._timeout_s)
        if isinstance(error, BrokenConnectionError | ConnectionResetError | BrokenPipeError):
            return broken_off(endpoint, kind)
        return unreachable(endpoint, os.strerror(error.errno).lower() if error.errno else kind)

    def _target(self, request: ModelRequest) -> str:
        """Path and query of an operation, the same for all requests to one model."""
        key = (request.operation, request.model)
        target = self._targets.get(key)
        if target is None:
            parts = urlsplit(self._endpoint.url(*key))
            path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
            target = self._targets[key] = f"{path}?{parts.query}" if parts.query else path
        return target


def _encode(body: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, as damaged data has it, is JSON when it is escaped.
        return json.dumps(body, separators=(",", ":")).encode()


def _fixed_headers(endpoint: Endpoint) -> Mapping[str, str]:
    """The headers of every request to ``endpoint``."""
    headers = {
        "Host": urlsplit(endpoint.base_url).netloc,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Content-Type": "application/json",
        "User-Agent": f"headrace/{__version__}",
    }
    if endpoint.organization:
        headers["OpenAI-Organization"] = endpoint.organization
    return headers
