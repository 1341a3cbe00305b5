"""Connections as workspaces of Azure Machine Learning keep them, made into ours.

The form is that of ``Microsoft.MachineLearningServices/workspaces/connections``, 2024-04-01-preview; which of its
fields means what is as prompt flow reads it (promptflow-core, ``_workspace_connection_provider``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, Problem
from headrace.formats.connection_file import CONNECTION_TYPES, type_word

_FLOW_PREFIX = "azureml.flow."
_TYPES = {
    "azureopenai": "azure_open_ai",
    "openai": "open_ai",
    "serp": "serp",
    "cognitivesearch": "cognitive_search",
    "serverless": "serverless",
    "aiservices": "azure_ai_services",
    "customkeys": "custom",
}
"""Category, in small letters, to our type."""
_KINDS = {"content safety": "azure_content_safety", "form recognizer": "form_recognizer"}
"""Kind of a ``CognitiveService`` to our type."""
_TARGETS = {"api_base", "endpoint", "base_url"}
_NAMED_BY_METADATA = {
    "api_type": "apitype",
    "api_version": "apiversion",
    "organization": "organization",
    "resource_id": "resourceid",
}
_BY_IDENTITY = frozenset(
    ("aad", "managedidentity", "useridentity", "serviceprincipal", "accountmanagedidentity")
)


def connection_from_workspace(body: Mapping[str, Any], origin: str) -> Connection:
    """Make a connection of what the service answers.

    Where the answer holds credentials, their names become secrets; each secret names the resource that gives it.

    Args:
        body: The answer, with ``name``, ``id`` and ``properties``.
        origin: Where it was found, for people.

    Raises:
        DefinitionError: C515 for one that no flow can use.
    """
    name, resource_id = str(body.get("name", "")), str(body.get("id", ""))
    properties = body.get("properties") or {}
    metadata = {str(key).lower(): value for key, value in (properties.get("metadata") or {}).items()}
    word = _type(properties, metadata)
    if word is None:
        raise DefinitionError(_unusable(name, str(properties.get("category")), origin))
    secret = Secret(resource_id=resource_id)
    if word == "custom":
        names = ((properties.get("credentials") or {}).get("keys") or {}).keys()
        return Connection(
            name=name,
            type=word,
            configs={
                key: str(value)
                for key, value in (properties.get("metadata") or {}).items()
                if not key.lower().startswith(_FLOW_PREFIX)
            },
            secrets=dict.fromkeys(names, secret),
            origin=origin,
        )
    has_key = str(properties.get("authType", "")).lower() not in _BY_IDENTITY
    return Connection(
        name=name,
        type=word,
        configs=_configs(word, str(properties.get("target") or ""), metadata, has_key=has_key),
        secrets={"api_key": secret} if has_key else {},
        origin=origin,
    )


def workspace_secrets(body: Mapping[str, Any]) -> dict[str, str]:
    """The secret values in an answer to ``listsecrets``, by the names of our fields."""
    credentials = (body.get("properties") or {}).get("credentials") or {}
    keys = credentials.get("keys")
    if isinstance(keys, Mapping):
        return {str(name): str(value) for name, value in keys.items()}
    key = credentials.get("key")
    return {"api_key": str(key)} if key else {}


def _type(properties: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Our type word; what prompt flow noted counts before the category, which was ``CustomKeys`` for all once."""
    noted = metadata.get(f"{_FLOW_PREFIX}connection_type")
    if noted:
        word = type_word(str(noted))
        if word in CONNECTION_TYPES:
            return word
    category = str(properties.get("category", "")).lower()
    if category == "cognitiveservice":
        return _KINDS.get(str(metadata.get("kind", "")).lower())
    return _TYPES.get(category)


def _configs(word: str, target: str, metadata: Mapping[str, Any], *, has_key: bool) -> dict[str, str]:
    configs = {}
    for field_name, default in CONNECTION_TYPES[word].configs.items():
        if field_name in _TARGETS:
            text = target
        elif field_name == "auth_mode":
            text = "key" if has_key else "meid_token"
        else:
            text = str(metadata.get(_NAMED_BY_METADATA.get(field_name, field_name)) or "")
        if text or default:
            configs[field_name] = text or default
    return configs


def _unusable(name: str, category: str, origin: str) -> Problem:
    usable = ", ".join(sorted({*_TYPES.values(), *_KINDS.values()}))
    return Problem(
        code="C515",
        what=f'The connection "{name}" ({origin}) is of the kind {category}, which no flow can use.',
        fix=f"Name another one, or keep its fields in a connection file. Usable types: {usable}.",
    )
