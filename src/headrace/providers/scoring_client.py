"""Calls a flow that runs elsewhere: inputs are posted as JSON, outputs come back (promptflow-format: 10).

Requests take their turn in the quota, and are sent again, as those of model calls are. A redirect is not followed, so
that a key goes where the user said and nowhere else. What the endpoint says of its version comes with each answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx2

from headrace import __version__
from headrace.config import Settings
from headrace.domain.connection import Connection
from headrace.domain.remote import ANSWER, AUTH, DEPLOYED, ENTRA, HEADER, KEY, PIN, SCOPE, DeployedPlace
from headrace.domain.run import Usage
from headrace.errors import DefinitionError, Problem, RemoteError
from headrace.providers.authorization import SecretLookup
from headrace.providers.base import ModelRequest, ModelResponse, StreamChunk
from headrace.providers.endpoint import CONNECT_TIMEOUT_S, Endpoint
from headrace.providers.entra import Credential, EntraTokens
from headrace.providers.http1 import IDLE_S, KEEP_ALIVE
from headrace.providers.limits import Jitter, RetryPolicy, Sleep, parse_retry_after, send_with_retries
from headrace.providers.loading import load_left_out
from headrace.providers.pace import Ticket
from headrace.providers.proxies import find_proxy
from headrace.providers.quota import Budget, Quota
from headrace.providers.scoring_failures import (
    BadAnswerError,
    failed_midway,
    refused,
    too_large,
    transport_failed,
    unreadable,
)
from headrace.providers.tls import trusted_certificates

_LARGEST_BYTES = 32 * 1024 * 1024
_VERSION_EVERY_S = 30.0
_VERSION_TIMEOUT_S = 5.0
_VERSION_HEADERS = ("x-headrace-flow-version", PIN)
_LONGEST_VERSION = 80
_ACCESS = "headrace.operations.deployed_arms:DeployedAccess"
"""Reached by name: it stands above the providers, and few endpoints are found by a deployment file."""

_REFERENCE = re.compile(r"\$\{([^{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    status: int
    headers: Mapping[str, str]
    content: bytes


class ScoringClient:
    """Calls one address; a :class:`~headrace.providers.base.ModelClient` whose one operation is ``score``.

    Args:
        connection: Of type ``endpoint``, with the fields ``url``, ``timeout_s`` and headers, and the secrets that go
            with each request.
        secret: Resolves its secrets.
        settings: Model timeout and retries.
        quota: Says when requests are sent.
        sleep: Waits between attempts.
        jitter: Spreads those waits.
        clock: Seconds since the Unix epoch.
        open_credential: Makes what asks Microsoft Entra ID; the usual chain unless given.
    """

    system = "headrace.endpoint"

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
        open_credential: Callable[[], Credential] | None = None,
    ) -> None:
        self._url = connection.configs["url"]
        parts = urlsplit(self._url)
        self.address: str | None = parts.hostname
        self.port: int | None = parts.port or (443 if parts.scheme == "https" else 80)
        self._endpoint = Endpoint(
            connection=connection,
            system=self.system,
            base_url=self._url,
            address=parts.hostname or "",
            port=self.port,
            scope=connection.configs.get(SCOPE),
        )
        is_token = connection.configs.get(AUTH) == ENTRA
        self._tokens = EntraTokens(self._endpoint, open_credential=open_credential) if is_token else None
        self._access = _open_access(connection, settings)
        self._connection = connection
        self._secret = secret
        self._budgets = quota.of_client(self._endpoint, secret)
        self._policy = RetryPolicy(max_retries=settings.max_retries)
        self._timeout_s = float(connection.configs.get("timeout_s") or settings.model_timeout_s)
        self._proxy = find_proxy(self._url, settings.environment)
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None
        self._version = _SaidVersion(self._url)

    async def send(self, request: ModelRequest) -> ModelResponse:
        """Post the body of the request; the JSON value of the answer is ``answer`` of the response's body."""
        budget = self._budgets(request.model)
        content = json.dumps(request.body, ensure_ascii=True).encode()
        attempt = partial(self._attempt, request, content, budget)
        sent = await send_with_retries(attempt, request, budget, self._policy, self._sleep, self._jitter)
        return replace(sent.result, retries=sent.retries, waited_s=sent.waited_s)

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamChunk]:
        """Yield the whole answer as one piece of JSON."""
        response = await self.send(request)
        text = json.dumps(response.body[ANSWER])
        yield StreamChunk(
            text=text, usage=response.usage, retries=response.retries, waited_s=response.waited_s
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _attempt(
        self, request: ModelRequest, content: bytes, budget: Budget, ticket: Ticket
    ) -> ModelResponse:
        url, way_in = await self._find_address()
        headers = {**request.headers, **way_in, **await self._headers(), "Content-Type": "application/json"}
        answer = await self._exchange("POST", url, headers, content, self._timeout_s)
        budget.hear(ticket, answer.headers)
        if answer.status == 401 and self._access is not None:
            self._access.forget()
        if not 200 <= answer.status < 300:
            retry_after_s = parse_retry_after(answer.headers, self._clock())
            raise refused(self._endpoint, answer.status, answer.headers, answer.content, retry_after_s)
        value = self._read(answer)
        version = next((answer.headers[name] for name in _VERSION_HEADERS if answer.headers.get(name)), None)
        version = version or await self._version.ask(self._ask_version)
        return ModelResponse(body={ANSWER: value}, usage=Usage(calls=1), model=version)

    async def _find_address(self) -> tuple[str, Mapping[str, str]]:
        """Where this request goes, and the headers that let it in; the target of what is deployed says both."""
        if self._access is None:
            return self._url, {}
        found = self._access.held()
        if found is None:
            found = await asyncio.to_thread(self._access.address)
        return found.url, found.headers

    def _read(self, answer: _Read) -> Any:
        try:
            if answer.headers.get("content-type", "").lower().startswith("text/event-stream"):
                return _read_events(self._endpoint, answer.content.decode("utf-8"))
            return json.loads(answer.content)
        except (ValueError, RecursionError, BadAnswerError) as error:
            raise unreadable(self._endpoint, answer.headers.get("content-type")) from error

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, timeout_s: float
    ) -> _Read:
        """One HTTP exchange, with a limit on the size of its answer."""
        client = self._open_client()
        try:
            async with (
                asyncio.timeout(timeout_s or None),
                client.stream(method, url, headers=dict(headers), content=content) as response,
            ):
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _LARGEST_BYTES:
                        raise too_large(self._endpoint, _LARGEST_BYTES)
                return _Read(status=response.status_code, headers=dict(response.headers), content=bytes(body))
        except (httpx2.HTTPError, TimeoutError) as error:
            raise transport_failed(self._endpoint, error, timeout_s) from error

    async def _headers(self) -> dict[str, str]:
        """Headers of the user, the key or token among them, fresh for each request.

        Raises:
            DefinitionError: C503 for a variable that is not set, C502 for a value that no header can have.
            UsageError: C505 when a token is needed and the extra ``azure`` is not installed.
            AccessDeniedError: P701 when no token is given.
        """
        is_asked = any(item.is_remote for item in self._connection.secrets.values())
        # Others go on while somebody in Azure is asked.
        headers = await asyncio.to_thread(self._given_headers) if is_asked else self._given_headers()
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {await self._tokens.token()}"
        return headers

    def _given_headers(self) -> dict[str, str]:
        configs = self._connection.configs
        headers = {
            name.removeprefix(HEADER): _REFERENCE.sub(lambda match: self._value(match[1]), text)
            for name, text in configs.items()
            if name.startswith(HEADER)
        }
        if KEY in self._connection.secrets:
            headers["Authorization"] = f"Bearer {self._value(KEY)}"
        for name, value in headers.items():
            if not value.isascii() or not value.isprintable():
                what = (
                    f"The header {name} of {self._connection.name} would hold characters that no header has."
                )
                fix = "Correct the value in the connection or the environment variable that it comes from."
                raise DefinitionError(Problem(code="C502", what=what, fix=fix))
        return headers

    def _value(self, name: str) -> str:
        return (self._secret(self._connection, name) or "").strip()

    async def _ask_version(self, url: str) -> bytes | None:
        """What stands at another address of the endpoint; ``None`` where nothing does."""
        try:
            _, way_in = await self._find_address()
            headers = {**way_in, **await self._headers()}
            answer = await self._exchange("GET", url, headers, None, _VERSION_TIMEOUT_S)
        except RemoteError:
            return None
        return answer.content if answer.status == 200 else None

    def _open_client(self) -> httpx2.AsyncClient:
        if self._client is None:
            transport = httpx2.AsyncHTTPTransport(
                verify=trusted_certificates(self._url) or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                trust_env=False,
                proxy=self._proxy,
                limits=httpx2.Limits(keepalive_expiry=IDLE_S),
                socket_options=KEEP_ALIVE,
            )
            self._client = httpx2.AsyncClient(
                transport=transport,
                follow_redirects=False,
                trust_env=False,
                headers={"Accept": "application/json", "User-Agent": f"headrace/{__version__}"},
                timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),
            )
        return self._client


class _Address(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class _Access(Protocol):
    def held(self) -> _Address | None: ...

    def address(self) -> _Address: ...

    def forget(self) -> None: ...


def _open_access(connection: Connection, settings: Settings) -> _Access | None:
    """Who knows address and key of something that is deployed; its target is asked with the first request."""
    said = connection.configs.get(DEPLOYED)
    if said is None:
        return None
    folder = Path(connection.origin).absolute().parent
    access: _Access = load_left_out(_ACCESS)(settings, folder, DeployedPlace(**json.loads(said)))
    return access


class _SaidVersion:
    """What an endpoint says of itself at ``/version``, asked for again after a while; nothing where it says nothing."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        is_score = path.endswith("/score")
        self._url = (
            urlunsplit((parts.scheme, parts.netloc, f"{path[: -len('/score')]}/version", "", ""))
            if is_score
            else None
        )
        self._said: str | None = None
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def ask(self, fetch: Callable[[str], Any]) -> str | None:
        """The version; ``fetch`` gets the content of an address."""
        if self._url is None or not self._is_old():
            return self._said
        async with self._lock:
            if self._url is not None and self._is_old():
                said = _version_text(await fetch(self._url))
                if said is None and self._asked_at is None:
                    self._url = None  # it says nothing of itself: it is not asked again
                self._said = said or self._said
                self._asked_at = time.monotonic()
        return self._said

    def _is_old(self) -> bool:
        return self._asked_at is None or time.monotonic() - self._asked_at >= _VERSION_EVERY_S


def _version_text(content: bytes | None) -> str | None:
    try:
        body = json.loads(content or b"null")
    except ValueError:
        return None
    version = body.get("version") if isinstance(body, dict) else None
    is_text = isinstance(version, (str, int, float)) and not isinstance(version, bool)
    return str(version)[:_LONGEST_VERSION] if is_text and str(version).isprintable() else None


def _read_events(endpoint: Endpoint, text: str) -> Any:
    """The outputs that a stream of events adds up to: texts of one name are pieces of one text.

    Raises:
        BadAnswerError: There is no event, or one that is no mapping.
        ValueError: One is not JSON.
        RemoteError: One says that the flow has failed.
    """
    found: dict[str, Any] = {}
    is_empty = True
    for event in re.split(r"\r?\n\r?\n", text):
        lines = [line[5:].removeprefix(" ") for line in event.splitlines() if line.startswith("data:")]
        data = "\n".join(lines)
        if not lines or data == "[DONE]":
            continue
        piece = json.loads(data)
        if not isinstance(piece, dict):
            raise BadAnswerError
        failed = failed_midway(endpoint, piece)
        if failed is not None:
            raise failed
        is_empty = False
        for name, value in piece.items():
            before = found.get(name)
            found[name] = before + value if isinstance(before, str) and isinstance(value, str) else value
    if is_empty:
        raise BadAnswerError
    return found
