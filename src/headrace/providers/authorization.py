"""The header that lets a request in: a key, or a Microsoft Entra ID token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from headrace.domain.connection import Connection, override_variable
from headrace.errors import DefinitionError, Problem
from headrace.providers.endpoint import OPENAI_BASE_URL, Endpoint, make_endpoint
from headrace.providers.entra import EntraTokens

NONE = "none"
BEARER = "bearer"
API_KEY = "api-key"
ENTRA = "entra"

SecretLookup = Callable[[Connection, str], str | None]
"""Resolves a secret field of a connection now; ``None`` when it is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """How the requests of one connection are let in.

    Attributes:
        kind: :data:`NONE`, :data:`BEARER`, :data:`API_KEY` (Azure's own header) or :data:`ENTRA`.
        secret: The key or token, resolved at every request, so that a key may change while we run.
    """

    kind: str
    secret: Callable[[], Awaitable[str]]

    async def headers(self) -> Mapping[str, str]:
        """The header of one request; empty for a service that asks for none.

        Raises:
            DefinitionError: C503 when the key is not there, C505 when the extra ``azure`` is not installed.
            AccessDeniedError: P701 when Microsoft Entra ID gives no token.
        """
        if self.kind == NONE:
            return {}
        secret = await self.secret()
        return {"api-key": secret} if self.kind == API_KEY else {"Authorization": f"Bearer {secret}"}


def make_authorization(endpoint: Endpoint, secret: SecretLookup) -> Authorization:
    """Choose how requests to ``endpoint`` are let in.

    A local server behind ``base_url`` often wants no key, so ``open_ai`` without one sends none; OpenAI's own
    address needs one. Azure without a key, or with ``auth_mode: meid_token``, means Microsoft Entra ID. A key
    field that is there but empty is a key that was forgotten.
    """
    connection = endpoint.connection
    key = partial(_key, connection, secret)
    has_key = "api_key" in connection.secrets
    if connection.type == "azure_open_ai":
        if connection.configs.get("auth_mode") == "meid_token" or not has_key:
            return Authorization(kind=ENTRA, secret=EntraTokens(endpoint).token)
        return Authorization(kind=BEARER if endpoint.api_version is None else API_KEY, secret=key)
    if connection.type == "open_ai" and not has_key and endpoint.base_url != OPENAI_BASE_URL:
        return Authorization(kind=NONE, secret=key)
    return Authorization(kind=BEARER, secret=key)


def check_access(connection: Connection, secret: SecretLookup) -> None:
    """Look at what the requests of a connection need, without sending one: its address and its key.

    Raises:
        DefinitionError: C502 for an address or key that cannot be one, C503 when the key is not there.
    """
    authorization = make_authorization(make_endpoint(connection), secret)
    if authorization.kind in (BEARER, API_KEY):
        _find_key(connection, secret)


async def _key(connection: Connection, secret: SecretLookup) -> str:
    stored = connection.secrets.get("api_key")
    if stored is not None and stored.is_remote:  # others go on while somebody in Azure is asked
        return await asyncio.to_thread(_find_key, connection, secret)
    return _find_key(connection, secret)


def _find_key(connection: Connection, secret: SecretLookup) -> str:
    # Keys are often pasted or read from files with a line break at their end; a header cannot hold one.
    value = (secret(connection, "api_key") or "").strip()
    if value and (not value.isascii() or not value.isprintable()):
        raise DefinitionError(_unsendable_key(connection))
    if value:
        return value
    raise DefinitionError(missing_key(connection))


def missing_key(connection: Connection) -> Problem:
    """C503: the connection has no key."""
    return Problem(
        code="C503",
        what=f'Connection "{connection.name}" has no api_key.',
        fix=how_to_set_key(connection),
    )


def _unsendable_key(connection: Connection) -> Problem:
    return Problem(
        code="C502",
        what=f'The api_key of connection "{connection.name}" holds characters that no key has.',
        fix=how_to_set_key(connection),
    )


def how_to_set_key(connection: Connection) -> str:
    """One sentence on where the key of a connection comes from, for fixes."""
    stored = connection.secrets.get("api_key")
    if stored is not None and stored.variable:
        return f"Set the environment variable {stored.variable} to a valid key."
    if stored is not None and stored.vault_url:
        return f"Put a valid key into the secret {stored.vault_url}."
    if stored is not None and stored.resource_id:
        return f"Put a valid key into the connection where it is kept: {connection.origin}."
    if connection.origin.endswith(".prompty"):
        return f"Set api_key under model.configuration in {connection.origin} to a valid key."
    variable = override_variable(connection.name, "api_key")
    if connection.origin in ("", "environment", "built in"):
        return f"Set the environment variable {variable} to a valid key."
    return f"Set api_key in {connection.origin}, or the environment variable {variable}, to a valid key."
