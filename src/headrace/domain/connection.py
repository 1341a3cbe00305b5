"""Connections: an endpoint and its secrets by reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secret:
    """A secret value that never prints itself.

    Attributes:
        value: The secret as stored, or ``None`` when ``variable`` names where it is.
        variable: Environment variable that holds it.
    """

    value: str | None = None
    variable: str | None = None

    def __repr__(self) -> str:
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
