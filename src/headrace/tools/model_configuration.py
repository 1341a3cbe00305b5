"""Which model a flow object talks to: plain settings, or the name of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from headrace.providers.loading import load_by_name

_MIXED = "headrace.compat.exception_families:promptflow.core._errors.InvalidConnectionError"
"""What projects catch; reached by name, because compat stands above."""


class ModelConfiguration:
    """Base of both configurations."""

    def fingerprint_form(self) -> dict[str, Any]:
        """All settings but the key."""
        return {name: value for name, value in vars(self).items() if name != "api_key"}


@dataclass
class AzureOpenAIModelConfiguration(ModelConfiguration):
    """A deployment of Azure OpenAI; ``connection`` excludes the other fields but the deployment."""

    azure_deployment: str
    azure_endpoint: str | None = None
    api_version: str | None = None
    api_key: str | None = None
    connection: str | None = None

    def __post_init__(self) -> None:
        _check_exclusive(self.connection, self.azure_endpoint, self.api_version, self.api_key)

    @classmethod
    def from_connection(cls, connection: Any, azure_deployment: str) -> Self:
        """The settings of a connection object."""
        return cls(
            azure_deployment=azure_deployment,
            azure_endpoint=connection.api_base,
            api_version=connection.api_version,
            api_key=connection.api_key,
        )


@dataclass
class OpenAIModelConfiguration(ModelConfiguration):
    """A model of OpenAI or of a service that speaks its protocol; ``connection`` excludes the other fields."""

    model: str
    base_url: str | None = None
    api_key: str | None = None
    organization: str | None = None
    connection: str | None = None

    def __post_init__(self) -> None:
        _check_exclusive(self.connection, self.base_url, self.api_key, self.organization)

    @classmethod
    def from_connection(cls, connection: Any, model: str) -> Self:
        """The settings of a connection object."""
        return cls(
            model=model,
            base_url=connection.base_url,
            api_key=connection.api_key,
            organization=connection.organization,
        )


def named_class(name: str) -> type[ModelConfiguration] | None:
    """The configuration class of that name, if there is one."""
    classes: dict[str, type[ModelConfiguration]] = {
        item.__name__: item for item in (AzureOpenAIModelConfiguration, OpenAIModelConfiguration)
    }
    return classes.get(name)


def _check_exclusive(connection: str | None, *settings: str | None) -> None:
    if connection and any(settings):
        message = "A model configuration takes either a connection or its own settings, not both."
        raise load_by_name(_MIXED)(message)
