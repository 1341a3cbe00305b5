"""The model that a prompty's configuration means: a stored connection, or one that the file itself describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.domain.connection import Connection, Secret
from headrace.domain.flow import Flow, Node
from headrace.errors import DefinitionError, Problem, at_place
from headrace.providers.authorization import check_access
from headrace.source import Pointer
from headrace.tools.base import ConnectionLookup
from headrace.tools.connections import find_connection
from headrace.tools.model_parameters import FAMILIES

_POINTER: Pointer = ("model", "configuration")
_AZURE_FIELDS = ("azure_endpoint", "api_version", "api_key")
_OPENAI_FIELDS = ("base_url", "api_key", "organization")
_UNSET = re.compile(r"\$\{env:(.*)\}", re.IGNORECASE)


def find_model(flow: Flow, node: Node, lookup: ConnectionLookup) -> tuple[str | Connection, str]:
    """Where a prompty's requests go, and to which model or deployment.

    Where the configuration says neither a connection nor a field of one, the environment does, by prompt flow's names:
    ``AZURE_OPENAI_ENDPOINT``, ``AZURE_OPENAI_API_KEY`` and ``OPENAI_API_VERSION``, or ``OPENAI_API_KEY``,
    ``OPENAI_BASE_URL`` and ``OPENAI_ORG_ID``. Azure without a key means Microsoft Entra ID.

    Args:
        flow: A prompty.
        node: Its node.
        lookup: Finds stored connections.

    Returns:
        The name of a stored connection or the described one; and the name of the model, empty where there is none.

    Raises:
        DefinitionError: C501, C502, C503 or C504 at the place in the front matter.
    """
    configuration = flow.prompt.configuration if flow.prompt else {}
    environment = flow.prompt.variables if flow.prompt else {}
    model = str(configuration.get("azure_deployment") or configuration.get("model") or "")
    name = configuration.get("connection")
    if name:
        _check_alone(flow, configuration)
        pointer = (*_POINTER, "connection")
        return find_connection(str(name), tuple(FAMILIES), flow, node, pointer, lookup).name, model
    is_azure = str(configuration.get("type")).lower().startswith("azure")
    given = {key: str(value) for key, value in configuration.items() if value not in (None, "")}
    _check_replaced(flow, given, "azure_endpoint" if is_azure else "base_url")
    connection = _azure(flow, given, environment) if is_azure else _openai(flow, given, environment)
    try:
        check_access(connection, lookup.secret)
    except DefinitionError as error:
        raise at_place(error, flow.source_map.span(_POINTER), _POINTER) from error
    return connection, model


def _check_alone(flow: Flow, configuration: Mapping[str, Any]) -> None:
    mixed = [
        key
        for key in {**dict.fromkeys(_AZURE_FIELDS), **dict.fromkeys(_OPENAI_FIELDS)}
        if configuration.get(key)
    ]
    if mixed:
        pointer = (*_POINTER, mixed[0])
        raise DefinitionError(
            Problem(
                code="C502",
                what=f"The configuration names a connection and sets {' and '.join(mixed)} as well.",
                span=flow.source_map.key_span(pointer),
                pointer=pointer,
                fix=f"Keep either connection or {', '.join(mixed)}.",
            )
        )


def _check_replaced(flow: Flow, given: Mapping[str, str], address: str) -> None:
    """Refuse an address that still is ``${env:NAME}``; any other text may be meant as it stands."""
    found = _UNSET.fullmatch(given.get(address, ""))
    if found:
        pointer = (*_POINTER, address)
        raise DefinitionError(
            Problem(
                code="C503",
                what=f"The {address} is taken from the environment variable {found[1]}, which is not set.",
                span=flow.source_map.span(pointer),
                pointer=pointer,
                fix=f"Set {found[1]} to the address of the service.",
            )
        )


def _azure(flow: Flow, given: Mapping[str, str], environment: Mapping[str, str]) -> Connection:
    endpoint = given.get("azure_endpoint") or environment.get("AZURE_OPENAI_ENDPOINT")
    if not endpoint:
        raise DefinitionError(_not_said(flow, "azure_endpoint", "AZURE_OPENAI_ENDPOINT"))
    key, version = given.get("api_key"), given.get("api_version")
    if not any(name in given for name in _AZURE_FIELDS):
        key, version = environment.get("AZURE_OPENAI_API_KEY"), environment.get("OPENAI_API_VERSION")
    configs = {
        "api_base": endpoint,
        "api_type": "azure",
        "api_version": version or "2024-02-01",
        "auth_mode": "key" if key else "meid_token",
    }
    return _described(flow, "azure_open_ai", configs, key)


def _openai(flow: Flow, given: Mapping[str, str], environment: Mapping[str, str]) -> Connection:
    key = given.get("api_key")
    if not any(name in given for name in _OPENAI_FIELDS):
        key = environment.get("OPENAI_API_KEY")
        if not key:
            raise DefinitionError(_not_said(flow, "api_key", "OPENAI_API_KEY"))
    configs = {
        "base_url": given.get("base_url") or environment.get("OPENAI_BASE_URL"),
        "organization": given.get("organization") or environment.get("OPENAI_ORG_ID"),
    }
    return _described(flow, "open_ai", {name: value for name, value in configs.items() if value}, key)


def _described(flow: Flow, kind: str, configs: Mapping[str, str], key: str | None) -> Connection:
    return Connection(
        name=Path(flow.file).stem,
        type=kind,
        configs=configs,
        secrets={"api_key": Secret(value=key)} if key else {},
        origin=flow.file,
    )


def _not_said(flow: Flow, field: str, variable: str) -> Problem:
    return Problem(
        code="C503",
        what=f"The configuration sets no {field}, and the environment variable {variable} is not set.",
        span=flow.source_map.key_span(_POINTER),
        pointer=_POINTER,
        fix=f"Set {variable}, add {field} to the configuration, or name a connection there.",
    )
