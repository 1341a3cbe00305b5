"""The adapter on the ``openai`` package and its own transport: proxies, and everything when asked to.

``HEADRACE_MODEL_CLIENT=openai`` sends all requests through it. It sends the same requests as
:mod:`headrace.providers.openai_wire` and passes the same conformance suite.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import openai

from headrace.config import Settings
from headrace.domain.connection import Connection
from headrace.errors import RemoteError
from headrace.providers.answers import NOT_AN_OBJECT, read_answer, read_chunk
from headrace.providers.authorization import SecretLookup, make_authorization
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk
from headrace.providers.endpoint import CONNECT_TIMEOUT_S, make_endpoint
from headrace.providers.failures import bad_answer, status_failure, stream_failure
from headrace.providers.http1 import IDLE_S, KEEP_ALIVE
from headrace.providers.limits import Jitter, RetryPolicy, Sleep, parse_retry_after, send_with_retries
from headrace.providers.pace import Ticket
from headrace.providers.proxies import find_proxy
from headrace.providers.quota import Budget, Quota
from headrace.providers.streams import OpenStream, begin_stream, in_time, send_stream
from headrace.providers.tls import trusted_certificates
from headrace.providers.transport import transport_failure

# In the middle of a stream the package lets errors of its transport out.
_ERRORS = (openai.OpenAIError, TimeoutError, httpx2.HTTPError)

_hear_headers: ContextVar[Callable[[Mapping[str, str]], None]] = ContextVar("headrace_hear_headers")
"""Who wants the headers of the answers to what this context sends: the package keeps them to itself."""


async def _hear(response: httpx2.Response) -> None:
    _hear_headers.get()(response.headers)


class OpenAIPackageClient:
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
        self._proxy = find_proxy(self._endpoint.base_url, settings.environment)
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._client: openai.AsyncOpenAI | None = None
        self.system = self._endpoint.system
        self.address: str | None = self._endpoint.address
        self.port: int | None = self._endpoint.port

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Send one request, retrying what is retryable; see the protocol."""
        budget = self._budgets(request.model)
        attempt = partial(self._attempt, request, budget)
        sent = await send_with_retries(attempt, request, budget, self._policy, self._sleep, self._jitter)
        budget.settle(sent.ticket, sent.result.usage)
        return replace(sent.result, retries=sent.retries, waited_s=sent.waited_s)

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Yield the answer piece by piece; see the protocol."""
        budget = self._budgets(request.model)
        begin = partial(self._begin_stream, request, budget)
        return send_stream(begin, request, budget, self._policy, self._sleep, self._jitter)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    async def _attempt(self, request: ModelRequest, budget: Budget, ticket: Ticket) -> ModelResponse:
        """Send the request once."""
        client = self._open_client()  # reading certificates is not a part of the request's time
        _hear_headers.set(partial(budget.hear, ticket))
        try:
            async with asyncio.timeout(self._timeout_s or None):
                body = await client.post(
                    self._endpoint.url(request.operation, request.model),
                    cast_to=object,
                    body={"model": request.model, **request.body},
                    options=await self._options(request),
                )
        except _ERRORS as error:
            raise self._failure(error, request.model) from error
        except ValueError as error:
            raise bad_answer(self._endpoint, NOT_AN_OBJECT) from error
        return read_answer(self._endpoint, request.operation, body)

    async def _begin_stream(self, request: ModelRequest, budget: Budget, ticket: Ticket) -> OpenStream:
        """Open the stream and wait for its first piece."""
        _hear_headers.set(partial(budget.hear, ticket))
        return await begin_stream(self._endpoint, self._read_stream(request))

    async def _read_stream(self, request: ModelRequest) -> AsyncGenerator[StreamChunk]:
        try:
            events = await self._open_client().post(
                self._endpoint.url(request.operation, request.model),
                cast_to=object,
                body={"model": request.model, **request.body, "stream": True},
                options=await self._options(request),
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # Leaving the block closes the connection of a stream that nobody reads to its end.
            async with events:
                async for event in in_time(events, self._endpoint, request.model, self._idle_timeout_s):
                    chunk = read_chunk(event) if isinstance(event, dict) else None
                    if chunk is not None:
                        yield chunk
        except _ERRORS as error:
            raise self._failure(error, request.model) from error
        except ValueError as error:
            raise bad_answer(self._endpoint, "an event that is not JSON") from error

    async def _options(self, request: ModelRequest) -> Any:
        """The headers of one request; where the key has another header, or none, the package's own must go."""
        authorization = await self._authorization.headers()
        return {"headers": {"Authorization": openai.omit, **request.headers, **authorization}}

    def _failure(self, error: Exception, model: str) -> RemoteError:
        """Translate an error of the package or of its transport."""
        if isinstance(error, openai.APIStatusError):
            response = error.response
            retry_after_s = parse_retry_after(response.headers, self._clock())
            content, status = response.content, response.status_code
            return status_failure(self._endpoint, model, status, content, retry_after_s)
        if type(error) is openai.APIError:
            return stream_failure(self._endpoint, model, error.body)
        return transport_failure(self._endpoint, error, model, self._timeout_s)

    def _open_client(self) -> openai.AsyncOpenAI:
        """The package's client, made at the first call because it belongs to the running event loop."""
        if self._client is None:
            self._client = self._make_client()
            # The package would take these from the environment; requests must be what the connection says.
            self._client.organization = self._endpoint.organization
            self._client.project = None
        return self._client

    def _make_client(self) -> openai.AsyncOpenAI:
        transport = httpx2.AsyncHTTPTransport(
            # Plain HTTP never asks whom to trust; reading certificates for it would take longer than a request.
            verify=trusted_certificates(self._endpoint.base_url) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            proxy=self._proxy,
            # How many requests are in flight is the engine's to say; a pool that is smaller would hold them up.
            limits=httpx2.Limits(keepalive_expiry=IDLE_S),
            socket_options=KEEP_ALIVE,
        )
        http_client = openai.DefaultAsyncHttpxClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            event_hooks={"response": [_hear]},
        )
        return openai.AsyncOpenAI(
            base_url=self._endpoint.base_url,
            api_key="sent by us",  # every request brings its own header, fresh from the connection
            max_retries=0,
            timeout=openai.Timeout(self._timeout_s or None, connect=CONNECT_TIMEOUT_S),
            http_client=http_client,
        )
