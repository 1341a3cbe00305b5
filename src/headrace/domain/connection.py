"""Connections: an endpoint and its secrets by reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secret:
    """A secret value that never prints itself.

    Attributes:
        value: The secret as stored, or ``None`` when one of the others says where it is.
        variable: Environment variable that holds it.
        vault_url: Address of a secret of Azure Key Vault.
        resource_id: Id of a connection of an Azure Machine Learning workspace, which keeps it.
    """

    value: str | None = None
    variable: str | None = None
    vault_url: str | None = None
    resource_id: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether it has a value, or says where one is."""
        return any(item is not None for item in (self.value, self.variable, self.vault_url, self.resource_id))

    @property
    def is_remote(self) -> bool:
        """Whether somebody in Azure has to be asked for it."""
        return self.vault_url is not None or self.resource_id is not None

    def __repr__(self) -> str:
        if self.vault_url is not None:
            return f"Secret(vault_url={self.vault_url!r})"
        if self.resource_id is not None:
            return f"Secret(resource_id={self.resource_id!r})"
        return "Secret(******)" if self.variable is None else f"Secret(variable={self.variable!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection.

    Attributes:
        name: Unique within a workspace.
        type: azure_open_ai, open_ai, serverless, custom, baseline, …
        configs: Plain fields, e.g. ``{"api_base": …, "api_version": …}``.
        secrets: Secret fields by name.
        origin: Where it was found, for people: a path, ``environment`` or ``built in``.
    """

    name: str
    type: str
    configs: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    origin: str = ""


def override_variable(name: str, field_name: str) -> str:
    """The process variable that overrides a field, as in prompt flow: ``<CONNECTION>_<KEY>``."""
    text = f"{name}_{field_name}".upper()
    return text.replace(" ", "_").replace("-", "_")
