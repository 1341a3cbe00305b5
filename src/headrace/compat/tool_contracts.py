"""What a tool takes and is, under the names of ``promptflow.contracts.tool``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from headrace.tools.connection_types import (
    CONNECTION_CLASSES,
    CustomStrongTypeConnection,
    is_connection_class,
)
from headrace.tools.value_types import AssistantDefinition, FilePath, PromptTemplate, Secret

_BOOLEANS = {"true": True, "false": False}


class ToolFuncCallScenario(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Why an authoring tool calls a function of a tool's settings."""

    GENERATED_BY = "generated_by"
    REVERSE_GENERATED_BY = "reverse_generated_by"
    DYNAMIC_LIST = "dynamic_list"


class ValueType(str, Enum):  # noqa: UP042
    """Type names of flow inputs and tool parameters."""

    INT = "int"
    DOUBLE = "double"
    BOOL = "bool"
    STRING = "string"
    SECRET = "secret"  # noqa: S105 - the name of a type
    PROMPT_TEMPLATE = "prompt_template"
    LIST = "list"
    OBJECT = "object"
    FILE_PATH = "file_path"
    IMAGE = "image"
    ASSISTANT_DEFINITION = "assistant_definition"

    @staticmethod
    def from_value(value: Any) -> ValueType:
        """The type that a value has."""
        return ValueType.from_type(type(value))

    @staticmethod
    def from_type(kind: type) -> ValueType:
        """The type that an annotation stands for; ``object`` for everything unknown."""
        return _BY_TYPE.get(kind.__name__, ValueType.OBJECT) if isinstance(kind, type) else ValueType.OBJECT

    def parse(self, value: Any) -> Any:
        """A value of this type, made from text where it must be.

        Raises:
            ValueError: The value cannot be one of this type.
        """
        parse = _PARSERS.get(self)
        return parse(value) if parse else value


class ConnectionType:
    """Questions about connections."""

    @staticmethod
    def get_connection_class(type_name: str) -> type | None:
        """The class of this name; ``None`` when there is none."""
        return _CLASSES.get(type_name) if isinstance(type_name, str) else None

    @staticmethod
    def is_connection_class_name(type_name: str) -> bool:
        """Whether it is the name of a connection class."""
        return ConnectionType.get_connection_class(type_name) is not None

    @staticmethod
    def is_connection_value(value: Any) -> bool:
        """Whether it is a connection, or a connection class."""
        return is_connection_class(value if isinstance(value, type) else type(value))

    @staticmethod
    def is_custom_strong_type(value: Any) -> bool:
        """Whether it is a class that a project declares for its connections, or an object of one."""
        return issubclass(value if isinstance(value, type) else type(value), CustomStrongTypeConnection)


_CLASSES = {cls.__name__: cls for cls in (*CONNECTION_CLASSES.values(), CustomStrongTypeConnection)}
_BY_TYPE = {
    "int": ValueType.INT,
    "float": ValueType.DOUBLE,
    "bool": ValueType.BOOL,
    "str": ValueType.STRING,
    "list": ValueType.LIST,
    Secret.__name__: ValueType.SECRET,
    PromptTemplate.__name__: ValueType.PROMPT_TEMPLATE,
    FilePath.__name__: ValueType.FILE_PATH,
    "Image": ValueType.IMAGE,
    AssistantDefinition.__name__: ValueType.ASSISTANT_DEFINITION,
}


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    message = f"Invalid boolean value {value!r}"
    raise ValueError(message)


def _list(value: Any) -> list[Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if isinstance(found, list):
        return found
    message = f"Invalid list value {found!r}"
    raise ValueError(message)


def _object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


_PARSERS: Mapping[ValueType, Callable[[Any], Any]] = {
    ValueType.INT: int,
    ValueType.DOUBLE: float,
    ValueType.BOOL: _boolean,
    ValueType.STRING: str,
    ValueType.LIST: _list,
    ValueType.OBJECT: _object,
}
