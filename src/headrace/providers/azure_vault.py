"""Secrets of Azure Key Vault, read with our identity when they are needed and kept in memory only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from headrace.errors import (
    AccessDeniedError,
    Problem,
    RemoteError,
    RemoteRequestError,
    RemoteUnavailableError,
)
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.loading import load_optional

_KEPT_S = 600.0
"""How long a secret counts before it is read again, so that a changed one is taken up without a new start."""


class AzureVault:
    """Reads secrets; may be used from many threads.

    Args:
        credential: Opens our identity; called once, when the first secret is read.
        clock: Seconds that only grow.
    """

    def __init__(
        self, credential: Callable[[], AzureCredential], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._credential = credential
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._kept: dict[str, tuple[str, float]] = {}

    def read(self, address: str) -> str:
        """The value of a secret.

        Args:
            address: ``https://NAME.vault.azure.net/secrets/SECRET``, with or without a version.

        Raises:
            UsageError: C505 when the extra ``azure`` is not installed.
            AccessDeniedError: X201 without a token, P714 when the identity may not read it.
            RemoteError: P714 when it is not there, or the vault cannot be reached.
        """
        with self._lock:
            value, read_at = self._kept.get(address, ("", 0.0))
            if address in self._kept and self._clock() - read_at < _KEPT_S:
                return value
            value = self._fetch(address)
            self._kept[address] = (value, self._clock())
            return value

    def _fetch(self, address: str) -> str:
        parts = urlsplit(address)
        _, name, version = (*parts.path.strip("/").split("/"), "")[:3]
        vault = f"https://{parts.netloc}"
        if vault not in self._clients:
            client_class = load_optional("azure.keyvault.secrets:SecretClient", extra="azure")
            self._clients[vault] = client_class(vault, self._credential())
        errors = import_module("azure.core.exceptions")
        try:
            found = self._clients[vault].get_secret(name, version or None)
        except errors.AzureError as error:
            raise _explain(error, address) from error
        return str(found.value or "")

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._kept.clear()


def _explain(error: Any, address: str) -> RemoteError:
    status = getattr(error, "status_code", None)
    host = urlsplit(address).netloc
    where = f"The secret {address}"
    kinds: Mapping[int | None, tuple[type[RemoteError], str, str]] = {
        401: (AccessDeniedError, "refuses our identity", "Sign in to the tenant of the vault."),
        403: (
            AccessDeniedError,
            "may not be read by our identity, or is disabled",
            f'Give the identity the role "Key Vault Secrets User" on {host}; it takes effect after some minutes. '
            "A vault with access policies, or with a firewall, has to let it in there.",
        ),
        404: (
            RemoteRequestError,
            "does not exist",
            "Check the name of the vault, of the secret, and its version.",
        ),
    }
    kind, what, fix = kinds.get(
        status, (RemoteUnavailableError, "cannot be read now", f"Check that {host} can be reached from here.")
    )
    return kind(Problem(code="P714", what=f"{where} {what}.", fix=fix))
