"""What connections may come from in Azure: the workspace that a project names, and secrets of key vaults.

Nothing of it is opened, and nothing of Azure is imported, before a project or a connection asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.config import Settings
from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.connection import Connection
from headrace.errors import Problem
from headrace.formats.connection_provider import read_connection_address, read_provider
from headrace.formats.pf_config import CONNECTION_PROVIDER, find_value, read_settings
from headrace.providers.loading import load_by_name

_CREDENTIAL = "headrace.providers.azure_credential:AzureCredential"
_VAULT = "headrace.providers.azure_vault:AzureVault"
_CONNECTIONS = "headrace.providers.workspace_connections:WorkspaceConnections"
"""Reached by name: few projects keep anything in Azure."""

PROVIDER_VARIABLE = "PF_CONNECTION_PROVIDER"
"""Says where connections are kept; it wins over ``pf.yaml``."""

_VARIABLES = (PROVIDER_VARIABLE, "PROMPTFLOW_CONNECTION_PROVIDER")


class AzureSources:
    """Opened on first use.

    Args:
        settings: The environment.
        cwd: Where the search for ``pf.yaml`` and ``config.json`` begins.
    """

    def __init__(self, settings: Settings, cwd: Path) -> None:
        self._settings = settings
        self._cwd = cwd

    def find(self, name: str) -> Connection | None:
        """The connection of a name, or of a whole address, in a workspace; ``None`` when there is none.

        Raises:
            DefinitionError: C514 or C515 for a setting or a connection that cannot be used.
            RemoteError: P713 when the workspace cannot be read, X201 without a token.
        """
        address = read_connection_address(name) if "/" in name else None
        if address is None and (self.workspace is None or "/" in name):
            return None
        workspace, own_name = address or (self.workspace, name)
        found: Connection | None = self._connections.find(workspace, own_name)
        return found

    def list_all(self) -> tuple[tuple[Connection, ...], tuple[Problem, ...]]:
        """Every connection of the workspace that the project names; see ``WorkspaceConnections.list_all``."""
        if self.workspace is None:
            return (), ()
        listed: tuple[tuple[Connection, ...], tuple[Problem, ...]] = self._connections.list_all(
            self.workspace
        )
        return listed

    def vault_secret(self, address: str) -> str:
        """A secret of a vault; see ``AzureVault.read``."""
        return str(self._vault.read(address))

    def workspace_secret(self, resource_id: str, field_name: str) -> str | None:
        """A secret of a connection of a workspace; see ``WorkspaceConnections.secret``."""
        value: str | None = self._connections.secret(resource_id, field_name)
        return value

    @cached_property
    def workspace(self) -> AzureWorkspace | None:
        """The workspace that keeps the project's connections; ``None`` when they are kept here.

        Raises:
            DefinitionError: C514 for a setting that names none.
        """
        setting = _first(self._settings.environment) or self._from_file()
        return read_provider(setting, self._cwd) if setting else None

    def _from_file(self) -> str | None:
        return find_value(read_settings(self._settings, self._cwd), CONNECTION_PROVIDER)

    @cached_property
    def _credential(self) -> Any:
        return load_by_name(_CREDENTIAL)()

    @cached_property
    def _vault(self) -> Any:
        return load_by_name(_VAULT)(lambda: self._credential)

    @cached_property
    def _connections(self) -> Any:
        return load_by_name(_CONNECTIONS)(lambda: self._credential)

    def close(self) -> None:
        """Give back what was opened."""
        for name in ("_vault", "_connections", "_credential"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def _first(environment: Mapping[str, str]) -> str | None:
    return next((environment[name] for name in _VARIABLES if environment.get(name)), None)
