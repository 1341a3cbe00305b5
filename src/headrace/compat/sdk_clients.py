"""Clients of the ``openai`` package for a connection object, under the names of promptflow's tools."""

from __future__ import annotations

from typing import Any

from headrace.providers.loading import load_by_name
from headrace.tools.connection_types import connection_type


def normalize_connection_config(connection: Any) -> dict[str, Any]:
    """Keyword arguments of the ``openai`` package's client for a connection.

    Raises:
        TypeError: The connection does not lead to a model service.
    """
    kind = connection_type(type(connection))
    if kind == "azure_open_ai":
        config = {
            "max_retries": 0,
            "api_version": connection.api_version,
            "azure_endpoint": connection.api_base,
        }
        if connection.api_key:
            return {**config, "api_key": connection.api_key}
        return {**config, "azure_ad_token_provider": connection.get_token}
    if kind == "open_ai":
        return {
            "max_retries": 0,
            "api_key": connection.api_key,
            "organization": connection.organization,
            "base_url": connection.base_url,
        }
    if kind == "serverless":
        base_url = connection.api_base
        return {
            "max_retries": 0,
            "api_key": connection.api_key,
            "base_url": base_url if base_url.endswith("/v1") else base_url + "/v1",
        }
    message = f"A connection to a model service is needed, but a {type(connection).__name__} was given."
    raise TypeError(message)


def init_azure_openai_client(connection: Any) -> Any:
    """``openai.AzureOpenAI`` for a connection."""
    return load_by_name("openai:AzureOpenAI")(**normalize_connection_config(connection))


def init_openai_client(connection: Any) -> Any:
    """``openai.OpenAI`` for a connection."""
    return load_by_name("openai:OpenAI")(**normalize_connection_config(connection))
