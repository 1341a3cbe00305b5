"""Connections as Python tools receive them: objects with the fields of their type as attributes.

Projects import the classes as ``promptflow.connections``. What is stored is
:class:`headrace.domain.connection.Connection`; :func:`make_connection_object` makes one from the other when
a node's parameter is annotated with one of these classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.connection import Secret as StoredSecret
from headrace.formats.connection_file import CUSTOM_PREFIX, render_connection
from headrace.providers.loading import load_by_name
from headrace.tools.blocking import run_blocking
from headrace.tools.value_types import Secret

_REQUIRED: Any = object()
_KEY = "key"
_STORED = "_headrace_is_stored"


class ConnectionObject:
    """What all connections share: ``configs``, ``secrets``, ``name``, and both mappings behind ``c["key"]``.

    Attributes:
        name: Name of the connection; ``None`` for one that code has made.
        configs: Plain fields.
        secrets: Secret fields; never printed.
    """

    TYPE: ClassVar[str] = ""

    def __init__(
        self,
        *,
        name: str | None = None,
        configs: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self.name = name
        self.configs: dict[str, Any] = dict(configs or {})
        self.secrets: dict[str, Any] = dict(secrets or {})

    def fingerprint_form(self) -> dict[str, Any]:
        """Where it leads, without its keys and without its name, which is up to each person."""
        return {"type": self.TYPE, **{name: str(value) for name, value in sorted(self.configs.items())}}

    @property
    def type(self) -> str:
        """Name of the type, e.g. ``AzureOpenAI``."""
        return self.TYPE

    def keys(self) -> list[str]:
        """Names of all fields, so that ``dict(connection)`` and ``**connection`` work."""
        return [*self.configs, *self.secrets]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __str__(self) -> str:
        return render_connection(kept_connection(self), show_secrets=False)

    def __getitem__(self, key: str) -> Any:
        for fields in (self.secrets, self.configs):
            if key in fields:
                return fields[key]
        message = f"Connection {self.name!r} has no field {key!r}."
        raise KeyError(message)


class _TypedConnection(ConnectionObject):
    """A connection whose fields are known: attributes read and write ``configs`` and ``secrets``."""

    FIELDS: ClassVar[Mapping[str, Any]] = {}
    """Plain fields in order, with defaults."""
    SECRETS: ClassVar[Mapping[str, Any]] = {"api_key": _REQUIRED}

    def __init__(self, *values: Any, **fields: Any) -> None:
        known = {**self.SECRETS, **self.FIELDS}
        given = dict(zip(self._positions(), values, strict=False)) | fields
        missing = [name for name, default in known.items() if default is _REQUIRED and name not in given]
        if missing:
            message = f"{type(self).__name__} needs {', '.join(missing)}."
            raise TypeError(message)
        super().__init__(
            name=given.get("name"),
            configs={name: given.get(name, default) for name, default in self.FIELDS.items()},
            secrets={name: given.get(name, default) for name, default in self.SECRETS.items()},
        )
        if not self._uses_key():
            self.secrets.clear()

    @classmethod
    def _positions(cls) -> list[str]:
        """Field names in the order of positional arguments: required ones first."""
        known = {**cls.SECRETS, **cls.FIELDS}
        return sorted(known, key=lambda name: known[name] is not _REQUIRED)

    def _uses_key(self) -> bool:
        return bool(self.configs.get("auth_mode", _KEY) == _KEY)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).SECRETS:
            return self.secrets.get(name)
        if name in type(self).FIELDS:
            return self.configs.get(name)
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(message)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).SECRETS:
            self.secrets[name] = value
        elif name in type(self).FIELDS:
            self.configs[name] = value
        else:
            super().__setattr__(name, value)


class AzureOpenAIConnection(_TypedConnection):
    """Azure OpenAI."""

    TYPE = "AzureOpenAI"
    SECRETS: ClassVar = {"api_key": None}
    FIELDS: ClassVar = {
        "api_base": _REQUIRED,
        "api_type": "azure",
        "api_version": "2024-02-01",
        "auth_mode": _KEY,
        "resource_id": None,
    }

    @classmethod
    def from_env(cls, name: str | None = None) -> Self:
        """From ``AZURE_OPENAI_ENDPOINT``, ``AZURE_OPENAI_API_KEY`` and, if set, ``OPENAI_API_VERSION``.

        Raises:
            ValueError: One of the first two is not set.
        """
        values = _environment("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")
        version = load_settings().environment.get("OPENAI_API_VERSION")
        optional = {"api_version": version} if version else {}
        return cls(api_base=values[0], api_key=values[1], name=name, **optional)

    def get_token(self) -> str:
        """A Microsoft Entra ID token for the service; the extra ``azure`` must be installed."""
        endpoint = load_by_name("headrace.providers.endpoint:make_endpoint")(stored_connection(self))
        token: str = run_blocking(load_by_name("headrace.providers.entra:EntraTokens")(endpoint).token)
        return token


class OpenAIConnection(_TypedConnection):
    """OpenAI, or any service that speaks its protocol at ``base_url``."""

    TYPE = "OpenAI"
    FIELDS: ClassVar = {"organization": None, "base_url": None}

    def __init__(self, *values: Any, **fields: Any) -> None:
        super().__init__(*values, **fields)
        if self.configs["base_url"] in ("", "_"):
            self.configs["base_url"] = None

    @classmethod
    def from_env(cls, name: str | None = None) -> Self:
        """From ``OPENAI_API_KEY`` and, if set, ``OPENAI_BASE_URL`` and ``OPENAI_ORG_ID``.

        Raises:
            ValueError: ``OPENAI_API_KEY`` is not set.
        """
        (key,) = _environment("OPENAI_API_KEY")
        variables = load_settings().environment
        return cls(
            api_key=key,
            organization=variables.get("OPENAI_ORG_ID"),
            base_url=variables.get("OPENAI_BASE_URL"),
            name=name,
        )


class ServerlessConnection(_TypedConnection):
    """A model behind a serverless endpoint."""

    TYPE = "Serverless"
    FIELDS: ClassVar = {"api_base": _REQUIRED}


class AzureAIServicesConnection(_TypedConnection):
    """Azure AI services."""

    TYPE = "AzureAIServices"
    SECRETS: ClassVar = {"api_key": None}
    FIELDS: ClassVar = {"endpoint": _REQUIRED, "auth_mode": _KEY}


class AzureContentSafetyConnection(_TypedConnection):
    """Azure AI Content Safety."""

    TYPE = "AzureContentSafety"
    FIELDS: ClassVar = {"endpoint": _REQUIRED, "api_version": "2023-10-01", "api_type": "Content Safety"}


class FormRecognizerConnection(_TypedConnection):
    """Azure Document Intelligence under its earlier name."""

    TYPE = "FormRecognizer"
    FIELDS: ClassVar = {"endpoint": _REQUIRED, "api_version": "2023-07-31", "api_type": "Form Recognizer"}


class CognitiveSearchConnection(_TypedConnection):
    """Azure AI Search under its earlier name."""

    TYPE = "CognitiveSearch"
    SECRETS: ClassVar = {"api_key": None}
    FIELDS: ClassVar = {"api_base": _REQUIRED, "api_version": "2023-11-01", "auth_mode": _KEY}


class SerpConnection(_TypedConnection):
    """SerpAPI."""

    TYPE = "Serp"


class QdrantConnection(_TypedConnection):
    """Qdrant."""

    TYPE = "Qdrant"
    FIELDS: ClassVar = {"api_base": _REQUIRED}


class WeaviateConnection(_TypedConnection):
    """Weaviate."""

    TYPE = "Weaviate"
    FIELDS: ClassVar = {"api_base": _REQUIRED}


class CustomConnection(ConnectionObject):
    """Any fields: ``c.configs``, ``c.secrets``, ``c["key"]`` and ``c.key``."""

    TYPE = "Custom"

    def __init__(
        self,
        secrets: Mapping[str, Any] | None,
        configs: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(configs=configs, secrets=secrets, **fields)

    def __getattr__(self, name: str) -> Any:
        for fields in (self.__dict__.get("secrets", {}), self.__dict__.get("configs", {})):
            if name in fields:
                return fields[name]
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(message)

    def is_secret(self, name: str) -> bool:
        """Whether a field is one of the secrets."""
        return name in self.secrets


class CustomStrongTypeConnection(ConnectionObject):
    """Base of connection classes that a project declares by annotations; ``Secret`` marks the secrets."""

    TYPE = "NotSet"

    def __init__(
        self,
        secrets: Mapping[str, Any] | None,
        configs: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(configs=configs, secrets=secrets, **fields)

    def __getattribute__(self, name: str) -> Any:
        # Not __getattr__: a default in the class body would hide the connection's own value.
        declared = _declared_fields(object.__getattribute__(self, "__class__"))
        if name in declared:
            fields = self.secrets if declared[name] in (Secret, "Secret") else self.configs
            if name in fields:
                return fields[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        declared = _declared_fields(type(self))
        if name in declared:
            fields = self.secrets if declared[name] in (Secret, "Secret") else self.configs
            fields[name] = value
        object.__setattr__(self, name, value)


def _declared_fields(cls: type) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, CustomStrongTypeConnection) and base is not CustomStrongTypeConnection:
            fields.update(inspect.get_annotations(base))
    return fields


CONNECTION_CLASSES: Mapping[str, type[ConnectionObject]] = {
    "azure_open_ai": AzureOpenAIConnection,
    "open_ai": OpenAIConnection,
    "serverless": ServerlessConnection,
    "azure_ai_services": AzureAIServicesConnection,
    "azure_content_safety": AzureContentSafetyConnection,
    "form_recognizer": FormRecognizerConnection,
    "cognitive_search": CognitiveSearchConnection,
    "serp": SerpConnection,
    "qdrant": QdrantConnection,
    "weaviate": WeaviateConnection,
    "custom": CustomConnection,
}
"""Connection type of a file to the class that a tool names in its annotations."""

_TYPES = {cls.__name__: type_name for type_name, cls in CONNECTION_CLASSES.items()}
_CLASSES = frozenset(CONNECTION_CLASSES.values())


def is_connection_class(value: Any) -> bool:
    """Whether an annotation is a connection class: one of ours, prompt flow's own of the same name, or a strong type.

    A class of a project that inherits another one is none, as under prompt flow: the name of a connection stays text.
    """
    if not isinstance(value, type):
        return False
    if value in _CLASSES or issubclass(value, CustomStrongTypeConnection):
        return True
    return value.__name__ in _TYPES and value.__module__.partition(".")[0].startswith("promptflow")


def connection_type(cls: type) -> str | None:
    """The connection type that a class stands for; ``None`` for classes that stand for none."""
    if issubclass(cls, CustomStrongTypeConnection):
        return "custom"
    return _TYPES.get(cls.__name__)


def named_class(name: str) -> type | None:
    """The connection class of that name, if there is one."""
    found = globals().get(name)
    return found if is_connection_class(found) and not name.startswith("_") else None


def make_connection_object(
    connection: Connection, cls: type, secret: Callable[[Connection, str], str | None]
) -> Any:
    """The object of class ``cls`` for a stored connection, its secrets resolved now.

    Args:
        connection: What is stored.
        cls: A class for which :func:`connection_type` is the connection's type.
        secret: Resolves one secret field.

    Raises:
        TypeError: The connection lacks a field that the class needs.
    """
    secrets = {name: secret(connection, name) for name in connection.secrets}
    if connection_type(cls) == "custom":
        return cls(name=connection.name, configs=dict(connection.configs), secrets=secrets)
    known = {name: value for name, value in connection.configs.items() if value is not None}
    made = cls(name=connection.name, **known, **secrets)
    if isinstance(made, ConnectionObject):
        made.__dict__[_STORED] = True
    return made


def is_stored(value: Any) -> bool:
    """Whether a connection object stands for a stored connection, so that its name leads to the run's client."""
    return isinstance(value, ConnectionObject) and bool(value.__dict__.get(_STORED))


def stored_connection(value: Any) -> Connection:
    """The stored form of a connection object that leads to a model service.

    Raises:
        TypeError: The object is not a connection to a model service.
    """
    if connection_type(type(value)) not in ("azure_open_ai", "open_ai", "serverless"):
        message = f"A connection to a model service is needed, but a {type(value).__name__} was given."
        raise TypeError(message)
    return kept_connection(value)


def kept_connection(value: ConnectionObject) -> Connection:
    """The form in which a connection object is kept; that of a project's own class remembers the class.

    Raises:
        TypeError: Its class stands for no type of connection.
    """
    cls = type(value)
    # A project's own class is of the type of its base.
    type_name = next(filter(None, map(connection_type, cls.__mro__)), None)
    if type_name is None:
        message = f"{cls.__name__} is no type of connection."
        raise TypeError(message)
    own = (
        {"custom_type": cls.__name__, "module": cls.__module__}
        if issubclass(cls, CustomStrongTypeConnection)
        else {}
    )
    strong = {f"{CUSTOM_PREFIX}{name}": text for name, text in own.items()}
    return Connection(
        name=value.name or cls.__name__,
        type=type_name,
        configs={name: str(item) for name, item in value.configs.items() if item is not None} | strong,
        secrets={name: StoredSecret(value=str(item)) for name, item in value.secrets.items() if item},
        origin="made by code",
    )


def _environment(*names: str) -> list[str]:
    variables = load_settings().environment
    missing = [name for name in names if not variables.get(name)]
    if missing:
        message = f"Set the environment variable{'s' if len(missing) > 1 else ''} {', '.join(missing)}."
        raise ValueError(message)
    return [variables[name] for name in names]
