"""Connection files: an endpoint, its settings and its secrets, in prompt flow's YAML.

::

    name: my_aoai
    type: azure_open_ai
    api_base: https://example.openai.azure.com/
    api_key: ${env:AZURE_OPENAI_API_KEY}      # or the key itself, or <user-input> for "not set yet"

A secret of the form ``${env:NAME}`` is kept as the name of the variable, and one of the form ``${keyvault:URL}`` as the
address of a secret of Azure Key Vault; both are read when they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.domain.connection import Connection, Secret
from headrace.errors import DefinitionError, Problem, nearest
from headrace.formats.positions import dump_yaml, load_yaml, read_text
from headrace.formats.shape import Block, Findings, root_block
from headrace.source import SourceMap

SCRUBBED = "******"
"""What stands for a secret wherever it is shown."""

VAULT_FORM = "${keyvault:https://VAULT.vault.azure.net/secrets/NAME}"
"""How a secret of Azure Key Vault is named."""

ELSEWHERE = "workspace "
"""What the origin of a connection begins with that a workspace in Azure keeps."""

NO_CHANGE = frozenset(("<no-change>", SCRUBBED))
"""Values of a file that leave what is stored as it is; a connection that is new has to be asked for them."""

_PLACEHOLDERS = NO_CHANGE | {"<user-input>", ""}
_VARIABLE = re.compile(r"\$\{env:([^}]+)\}")
_VAULT = re.compile(r"\$\{keyvault:\s*([^}\s]*)\s*\}", re.IGNORECASE)
_VAULT_URL = re.compile(r"https://[\w.-]+/secrets/[\w-]+(?:/[\w-]+)?/?")
_BOOK_KEEPING = (
    "$schema", "name", "type", "module", "class", "created_date", "last_modified_date", "expiry_time",
    "scope",
)  # fmt: skip
_CUSTOM_KEYS = ("custom_type", "package", "package_version")
CUSTOM_PREFIX = "promptflow.connection."
_MODULE, _VECTOR_MODULE = "promptflow.connections", "promptflow_vectordb.connections"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionType:
    """What a connection of one type consists of.

    Attributes:
        class_name: Name of the class that projects annotate parameters with.
        configs: Plain fields with their defaults; an empty default means that the field may be absent.
        secrets: Secret fields.
        required: Fields that a file must have.
    """

    class_name: str
    configs: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ("api_key",)
    required: tuple[str, ...] = ()


_AUTH_MODE = "auth_mode"
_AUTH_MODES = ("key", "meid_token")

CONNECTION_TYPES: Mapping[str, ConnectionType] = {
    "azure_open_ai": ConnectionType(
        class_name="AzureOpenAIConnection",
        configs={
            "api_base": "",
            "api_type": "azure",
            "api_version": "2024-02-01",
            "auth_mode": "key",
            "resource_id": "",
        },
        required=("api_base",),
    ),
    "open_ai": ConnectionType(
        class_name="OpenAIConnection",
        configs={"organization": "", "base_url": ""},
        required=("api_key",),
    ),
    "serverless": ConnectionType(
        class_name="ServerlessConnection", configs={"api_base": ""}, required=("api_key", "api_base")
    ),
    "azure_ai_services": ConnectionType(
        class_name="AzureAIServicesConnection",
        configs={"endpoint": "", "auth_mode": "key"},
        required=("endpoint",),
    ),
    "azure_content_safety": ConnectionType(
        class_name="AzureContentSafetyConnection",
        configs={"endpoint": "", "api_version": "2023-10-01", "api_type": "Content Safety"},
        required=("endpoint",),
    ),
    "cognitive_search": ConnectionType(
        class_name="CognitiveSearchConnection",
        configs={"api_base": "", "api_version": "2023-11-01", "auth_mode": "key"},
        required=("api_base",),
    ),
    "form_recognizer": ConnectionType(
        class_name="FormRecognizerConnection",
        configs={"endpoint": "", "api_version": "2023-07-31", "api_type": "Form Recognizer"},
        required=("endpoint",),
    ),
    "serp": ConnectionType(class_name="SerpConnection"),
    "qdrant": ConnectionType(class_name="QdrantConnection", configs={"api_base": ""}, required=("api_base",)),
    "weaviate": ConnectionType(
        class_name="WeaviateConnection", configs={"api_base": ""}, required=("api_base",)
    ),
    "custom": ConnectionType(class_name="CustomConnection", secrets=()),
    "baseline": ConnectionType(class_name="BaselineConnection", secrets=()),
}
"""Type word of connection files → what belongs to it."""


def load_connection(path: Path) -> Connection:
    """Read a connection file; its ``name`` falls back to the name of the file.

    Raises:
        DefinitionError: C502 for everything that is wrong with the fields, F001, F002, F003, F011.
    """
    data, source_map = load_yaml(read_text(path), str(path))
    connection = connection_from_mapping(data, source_map)
    return replace(connection, name=connection.name or path.stem, origin=str(path))


def connection_from_mapping(
    data: Any, source_map: SourceMap | None = None, on_unknown: Callable[[Problem], None] | None = None
) -> Connection:
    """Make a connection from the mapping that a connection file holds.

    Args:
        data: Plain data, keys as in a file.
        source_map: Where the values stand; without it problems have no place.
        on_unknown: Hears of every unknown field, as a warning; without it they are errors.

    Raises:
        DefinitionError: C502 for every field that is missing, unknown or of the wrong kind.
    """
    findings = Findings(source_map or SourceMap(file="", values={}, keys={}))
    connection = _read(root_block(data, findings), "warning" if on_unknown else "error")
    problems = [replace(problem, code="C502") for problem in findings.problems]
    if source_map is None:
        problems = [replace(problem, span=None, related=()) for problem in problems]
    if findings.has_errors() or connection is None:
        raise DefinitionError(*problems)
    for problem in problems:
        if on_unknown is not None:
            on_unknown(problem)
    return connection


def _read(root: Block, unknown: str) -> Connection | None:
    if not root.data:
        return None
    name = root.text("name") or ""
    word = root.required_text("type", "The connection")
    if word is None:
        return None
    word = type_word(word)
    kind = CONNECTION_TYPES.get(word)
    if kind is None:
        guess = nearest(word, tuple(CONNECTION_TYPES))
        start = f'Did you mean "{guess}"? ' if guess else ""
        fix = f"{start}Types: {', '.join(CONNECTION_TYPES)}."
        root.findings.add("C502", ("type",), f"There is no connection type {word!r}.", fix)
        return None
    if word == "custom":
        return _read_custom(root, name, unknown)
    _check_fields(root, word, kind, unknown)
    configs = {}
    for config_name, default in kind.configs.items():
        found = root.word(_AUTH_MODE, _AUTH_MODES) if config_name == _AUTH_MODE else root.text(config_name)
        text = found or default
        if text:
            configs[config_name] = text
    secrets = {key: secret for key in kind.secrets if (secret := _read_secret(root, key)) is not None}
    return Connection(name=name, type=word, configs=configs, secrets=secrets)


def type_word(word: str) -> str:
    """The type word of a file for the names that prompt flow writes elsewhere: ``AzureOpenAIConnection``."""
    for known, kind in CONNECTION_TYPES.items():
        if word in (kind.class_name, kind.class_name.removesuffix("Connection")):
            return known
    return word


def _check_fields(root: Block, word: str, kind: ConnectionType, unknown: str) -> None:
    fields = (*kind.configs, *kind.secrets)
    for key in root.data:
        if key not in fields and key not in _BOOK_KEEPING:
            guess = nearest(key, fields)
            fix = f'Did you mean "{guess}"?' if guess else f"Fields: {', '.join(fields) or 'none'}."
            what = f"A connection of type {word} has no field {key!r}."
            root.findings.add("C502", root.at(key), what, fix, severity=unknown, at_key=True)
    for key in kind.required:
        if root.data.get(key) in (None, ""):
            root.missing(key, f"A connection of type {word}")


def _read_custom(root: Block, name: str, unknown: str) -> Connection:
    known = (*_BOOK_KEEPING, *_CUSTOM_KEYS, "configs", "secrets")
    root.check_keys(known, "A custom connection", severity=unknown)
    configs, secrets = root.block("configs"), root.block("secrets")
    plain = {key: configs.text(key) or "" for key in configs.data}
    for key in (*_CUSTOM_KEYS, "module"):
        text = root.text(key) if "custom_type" in root else None
        if text is not None:
            plain[f"{CUSTOM_PREFIX}{key}"] = text
    if not secrets.data:
        root.missing("secrets", "A custom connection")
    return Connection(
        name=name,
        type="custom",
        configs=plain,
        secrets={key: _read_secret(secrets, key) or Secret() for key in secrets.data},
    )


def _read_secret(block: Block, key: str) -> Secret | None:
    """The secret at ``key``; a placeholder is a secret that is not set, an absent key is none."""
    if key not in block:
        return None
    text = block.text(key)
    if text is None or text in _PLACEHOLDERS:
        return Secret()
    variable = _VARIABLE.fullmatch(text)
    if variable:
        return Secret(variable=variable[1])
    if _VAULT.fullmatch(text):
        address = find_vault_url(text)
        if address is None:
            what = f"The secret {key!r} does not name a secret of Azure Key Vault."
            block.findings.add("C502", block.at(key), what, f"Write {VAULT_FORM}.")
        return Secret(vault_url=address)
    if _VARIABLE.search(text):
        what = f"The secret {key!r} has a variable inside other text."
        block.findings.add("C502", block.at(key), what, "Make ${env:NAME} the whole value.")
    return Secret(value=text)


def render_connection(connection: Connection, *, show_secrets: bool) -> str:
    """Write a connection as the text of a connection file.

    Args:
        connection: What to write.
        show_secrets: Whether secret values are written as they are; else as ``******``. The names of
            environment variables and addresses in key vaults are no secrets and always written.
    """
    return dump_yaml(connection_to_data(connection, show_secrets=show_secrets))


def connection_to_data(connection: Connection, *, show_secrets: bool) -> dict[str, Any]:
    """A connection as the mapping that :func:`connection_from_mapping` reads; see :func:`render_connection`."""
    texts = {
        key: _secret_text(secret) if show_secrets or secret.value is None else SCRUBBED
        for key, secret in connection.secrets.items()
    }
    return {"name": connection.name, "type": connection.type, **_fields(connection, texts)}


def connection_to_json(connection: Connection) -> dict[str, Any]:
    """A connection as plain data for people and programs, every secret as ``******``.

    What is kept elsewhere says where, as ``origin``; prompt flow has no such field.
    """
    texts = dict.fromkeys(connection.secrets, SCRUBBED)
    module = _VECTOR_MODULE if connection.type in ("qdrant", "weaviate") else _MODULE
    return {
        "name": connection.name,
        "module": module,
        "type": connection.type,
        **_fields(connection, texts),
        **({"origin": connection.origin} if connection.origin.startswith(ELSEWHERE) else {}),
    }


def find_vault_url(text: str) -> str | None:
    """The address in a text of the form :data:`VAULT_FORM`, with or without a version; ``None`` for any other."""
    match = _VAULT.fullmatch(text.strip())
    return match[1] if match and is_vault_url(match[1]) else None


def is_vault_url(text: str) -> bool:
    """Whether a text is the address of a secret in a key vault, ``https://VAULT.vault.azure.net/secrets/NAME``."""
    return _VAULT_URL.fullmatch(text) is not None


def _secret_text(secret: Secret) -> str:
    if secret.vault_url is not None:
        return f"${{keyvault:{secret.vault_url}}}"
    if secret.variable is not None:
        return f"${{env:{secret.variable}}}"
    return secret.value if secret.value is not None else "<user-input>"


def _fields(connection: Connection, secrets: Mapping[str, str]) -> dict[str, Any]:
    if connection.type != "custom":
        return {**connection.configs, **secrets}
    own = {key: text for key, text in connection.configs.items() if not key.startswith(CUSTOM_PREFIX)}
    strong = {
        key.removeprefix(CUSTOM_PREFIX): text
        for key, text in connection.configs.items()
        if key.startswith(CUSTOM_PREFIX)
    }
    return {**strong, "configs": own, "secrets": dict(secrets)}
