"""Microsoft Entra ID tokens, through ``azure-identity`` (extra ``azure``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from headrace.errors import AccessDeniedError, Problem
from headrace.providers.azure_network import SIGN_IN
from headrace.providers.endpoint import Endpoint
from headrace.providers.loading import load_by_name

# Requests that are under way when a token ends must still find it valid.
_RENEW_BEFORE_S = 300.0
_CREDENTIAL = "headrace.providers.azure_credential:AzureCredential"
"""Reached by name: most connections have a key."""


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
    """What we use of an ``azure-identity`` credential."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Fetch a token; blocks."""
        ...


class EntraTokens:
    """Tokens for one endpoint: fetched in a thread, kept until shortly before they end.

    Args:
        endpoint: Whose scope the tokens are for.
        open_credential: Makes the credential; the default chain of ``azure-identity`` unless told otherwise.
        clock: Seconds since the Unix epoch.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        open_credential: Callable[[], Credential] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._open_credential = open_credential or _open_credential
        self._clock = clock
        self._credential: Credential | None = None
        self._held: AccessToken | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that is valid for some minutes more.

        Raises:
            UsageError: C505 when the extra ``azure`` is not installed.
            AccessDeniedError: P701 when no token is given.
        """
        if self._held is None or self._is_ending(self._held):
            async with self._lock:
                # Many requests wait for the lock; the first of them fetches for all.
                if self._held is None or self._is_ending(self._held):
                    self._held = await asyncio.to_thread(self._fetch)
        return self._held.token

    def _is_ending(self, held: AccessToken) -> bool:
        return held.expires_on - self._clock() < _RENEW_BEFORE_S

    def _fetch(self) -> AccessToken:
        if self._credential is None:
            self._credential = self._open_credential()
        try:
            return self._credential.get_token(self._endpoint.scope or "")
        except AccessDeniedError as error:
            raise AccessDeniedError(_no_token(self._endpoint, error.problems[0])) from error
        except _azure_error() as error:
            raise AccessDeniedError(_no_token(self._endpoint, type(error).__name__)) from error


def _open_credential() -> Credential:
    credential: Credential = load_by_name(_CREDENTIAL)()
    return credential


def _azure_error() -> Any:
    """Root of the errors of ``azure-identity``; only called once that package has been used."""
    return import_module("azure.core.exceptions").AzureError


def _no_token(endpoint: Endpoint, why: str | Problem) -> Problem:
    connection = endpoint.connection
    tried = why if isinstance(why, Problem) else None
    kind = "" if tried else f" ({why})"
    advice = (tried.fix if tried else None) or SIGN_IN
    whom = f'connection "{connection.name}"'
    instead = f"give the connection ({connection.origin}) an api_key"
    if connection.type == "endpoint":
        whom = f"the endpoint at {endpoint.host}"
        instead = "name a connection that has its key in place of auth: entra"
    return Problem(
        code="P701",
        what=f"Microsoft Entra ID gave no token for {whom}{kind}.",
        fix=f"{advice.rstrip('.')}; or {instead}.",
        detail=tried.detail if tried else (),
    )
