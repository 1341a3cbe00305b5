"""Microsoft Entra ID tokens of a credential as ``azure-identity`` makes them, kept until shortly before they end."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from headrace.domain.remote import is_private, scope_of
from headrace.errors import Problem, UsageError

# Requests that are under way when a token ends must still find it valid.
_RENEW_BEFORE_S = 300.0


class AccessToken(Protocol):
    """A token and its end, seconds since the Unix epoch."""

    @property
    def token(self) -> str:
        """The token itself."""
        ...

    @property
    def expires_on(self) -> int:
        """When it ends."""
        ...


class Credential(Protocol):
    """What a client uses of a credential."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Fetch a token; blocks."""
        ...


class AsyncCredential(Protocol):
    """The same of one of ``azure.identity.aio``."""

    def get_token(self, *scopes: str) -> Awaitable[AccessToken]:
        """Fetch a token."""
        ...


def find_scope(url: str, scope: str | None) -> str:
    """What a token for an address is for.

    Raises:
        UsageError: C507 where nothing says so, or the token would be readable on its way.
    """
    found = scope or scope_of(url)
    if found is None:
        what = "Nothing says what the tokens of credential are for: the address is none of Azure Machine Learning."
        raise UsageError(Problem(code="C507", what=what, fix='Give scope="api://APPLICATION/.default".'))
    if not is_private(url):
        what = "A token would go over the network for everybody to read."
        raise UsageError(Problem(code="C507", what=what, fix="Give the address with https://."))
    return found


class Tokens:
    """Tokens for one scope. Threads may share it.

    Args:
        credential: Gives them.
        scope: What they are for.
        clock: Seconds since the Unix epoch.
    """

    def __init__(self, credential: Credential, scope: str, clock: Callable[[], float] = time.time) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._held: AccessToken | None = None
        self._lock = threading.Lock()

    def token(self) -> str:
        """A token that is valid for some minutes more; what the credential raises passes."""
        with self._lock:  # many requests wait; the first of them fetches for all
            if self._held is None or self._held.expires_on - self._clock() < _RENEW_BEFORE_S:
                self._held = self._credential.get_token(self._scope)
            return self._held.token


class AsyncTokens:
    """The same for an event loop: others go on while a token is fetched.

    Args:
        credential: Gives them; one that blocks is asked in a thread.
        scope: What they are for.
        clock: Seconds since the Unix epoch.
    """

    def __init__(
        self, credential: Credential | AsyncCredential, scope: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._held: AccessToken | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that is valid for some minutes more; what the credential raises passes."""
        async with self._lock:
            if self._held is None or self._held.expires_on - self._clock() < _RENEW_BEFORE_S:
                self._held = await self._fetch()
            return self._held.token

    async def _fetch(self) -> AccessToken:
        fetch: Any = self._credential.get_token
        if inspect.iscoroutinefunction(fetch):
            fetched: AccessToken = await fetch(self._scope)
            return fetched
        found = await asyncio.to_thread(fetch, self._scope)
        return await found if inspect.isawaitable(found) else found  # type: ignore[no-any-return]
