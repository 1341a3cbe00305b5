"""Where the requests of an OpenAI-compatible connection go: address, path, API version. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, Problem

OPENAI_BASE_URL = "https://api.openai.com/v1"
DATED_SCOPE = "https://cognitiveservices.azure.com/.default"
V1_SCOPE = "https://ai.azure.com/.default"
_V1 = "/openai/v1"

CONNECT_TIMEOUT_S = 10.0
"""How long making a connection may take, seconds."""

PATHS: Mapping[str, str] = {
    "chat": "/chat/completions",
    "completion": "/completions",
    "embeddings": "/embeddings",
}
"""Path of each operation below the base address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address of one connection.

    Attributes:
        connection: The connection, for messages.
        system: OpenTelemetry's provider name.
        base_url: Address without a slash at its end; on Azure's dated API that of the resource.
        api_version: Azure's dated API version; ``None`` for every other API.
        scope: What a Microsoft Entra ID token has to be for; ``None`` outside Azure.
        organization: OpenAI organization, if any.
        address: Host name.
        port: Port number.
    """

    connection: Connection
    system: str
    base_url: str
    address: str
    port: int
    api_version: str | None = None
    scope: str | None = None
    organization: str | None = None

    @property
    def host(self) -> str:
        """Host as people write it: with the port where it is not the scheme's own."""
        is_usual = self.port == (443 if self.base_url.startswith("https:") else 80)
        return self.address if is_usual else f"{self.address}:{self.port}"

    def url(self, operation: str, model: str) -> str:
        """Address of one operation; ``model`` is part of it on Azure's dated API only."""
        path = PATHS[operation]
        if self.api_version is None:
            return self.base_url + path
        deployment = quote(model, safe="")
        version = quote(self.api_version, safe="")
        return f"{self.base_url}/openai/deployments/{deployment}{path}?api-version={version}"


def make_endpoint(connection: Connection) -> Endpoint:
    """Work out the address of a connection of type ``open_ai``, ``azure_open_ai`` or ``serverless``.

    Raises:
        DefinitionError: C502 when the address is missing or not an http(s) address, C504 for another type.
    """
    configs = connection.configs
    if connection.type == "open_ai":
        base_url = configs.get("base_url") or OPENAI_BASE_URL
        organization = configs.get("organization") or None
        return _endpoint(connection, "base_url", base_url, system="openai", organization=organization)
    if connection.type == "serverless":
        base_url = configs.get("api_base", "")
        suffix = "" if base_url.rstrip("/").endswith("/v1") else "/v1"
        return _endpoint(connection, "api_base", base_url, system="azure.ai.inference", suffix=suffix)
    if connection.type == "azure_open_ai":
        base_url = configs.get("api_base", "").rstrip("/")
        # A resource's v1 API has no dated versions: requests look like OpenAI's own.
        is_v1 = base_url.endswith(_V1)
        if is_v1:  # Azure says addresses of resources with a slash at their end
            base_url = base_url.removesuffix(_V1).rstrip("/") + _V1
        return _endpoint(
            connection,
            "api_base",
            base_url,
            system="azure.ai.openai",
            api_version=None if is_v1 else configs.get("api_version") or "2024-02-01",
            scope=V1_SCOPE if is_v1 else DATED_SCOPE,
        )
    raise DefinitionError(
        Problem(
            code="C504",
            what=f'Connection "{connection.name}" is of type {connection.type}: no model service.',
            fix="Use a connection of type open_ai, azure_open_ai, serverless or baseline.",
        )
    )


def _endpoint(
    connection: Connection,
    field_name: str,
    base_url: str,
    *,
    system: str,
    suffix: str = "",
    api_version: str | None = None,
    scope: str | None = None,
    organization: str | None = None,
) -> Endpoint:
    address, port = _address(connection, field_name, base_url)
    return Endpoint(
        connection=connection,
        system=system,
        base_url=base_url.rstrip("/") + suffix,
        address=address,
        port=port,
        api_version=api_version,
        scope=scope,
        organization=organization,
    )


def _address(connection: Connection, field_name: str, base_url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    has_user = bool(parts.username or parts.password)
    is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.netloc.isascii()
    if is_address and parts.hostname and not parts.query and not has_user:
        return parts.hostname, port or (443 if parts.scheme == "https" else 80)
    raise DefinitionError(
        Problem(
            code="C502",
            what=f'The {field_name} of connection "{connection.name}" is not an address of the form https://host or '
            "https://host/path.",
            fix=f"Set {field_name} in {connection.origin} to the address of the service, without a query and without "
            "a user name.",
        )
    )
