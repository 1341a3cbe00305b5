"""What a Python function takes, read from its signature (promptflow-format: 3.3)."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin

from headrace.domain.flow import NO_DEFAULT
from headrace.domain.multimedia import Image
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.tools.connection_types import connection_type, is_connection_class
from headrace.tools.value_types import AssistantDefinition, FilePath, PromptTemplate, Secret

_TYPE_NAMES: Mapping[Any, str] = {
    int: "int",
    float: "double",
    bool: "bool",
    str: "string",
    list: "list",
    dict: "object",
    PromptTemplate: "prompt_template",
    Image: "image",
    Secret: "secret",
    FilePath: "file_path",
    AssistantDefinition: "assistant_definition",
}
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_TYPING_WORDS = ("Optional", "Union", "None", "typing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function's parameters as the flow format sees them.

    Attributes:
        spec: For checking and for converting literals.
        connections: Parameters that receive a connection, with the classes they are annotated with.
        prompt: The parameter annotated ``PromptTemplate``, if there is one.
    """

    spec: ToolSpec
    connections: Mapping[str, tuple[type, ...]]
    prompt: str | None


def read_signature(
    function: Callable[..., Any],
    *,
    name: str,
    init: Mapping[str, inspect.Parameter] | None = None,
    has_positions: bool = False,
) -> Signature:
    """Read a function's signature.

    Args:
        function: The tool, or a method of a tool class.
        name: Name of the tool.
        init: Parameters of the constructor of the tool class, which are inputs of the node as well.
        has_positions: Whether the caller gives by position what can be given so only; a node gives names.

    Raises:
        ValueError: The constructor and the method have a parameter of the same name, or one cannot be given by name.
    """
    own = inspect.signature(function).parameters
    shared = [key for key in init or {} if key in own]
    if shared:
        message = f"its class's constructor and its method both have a parameter {shared[0]!r}"
        raise ValueError(message)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    parameters: list[ToolParameter] = []
    connections: dict[str, tuple[type, ...]] = {}
    prompt = None
    for key, parameter in {**(init or {}), **own}.items():
        if key == "self" or parameter.kind in _VARIABLE:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and not has_positions:
            if parameter.default is not inspect.Parameter.empty:
                continue
            message = f"its parameter {key!r} is given by position only, and a node gives its inputs by name"
            raise ValueError(message)
        annotation = _annotation(parameter, names)
        classes = _connection_classes(annotation)
        if classes:
            connections[key] = classes
        elif annotation is PromptTemplate:
            prompt = key
        parameters.append(
            ToolParameter(
                name=key,
                types=_class_names(classes) if classes else (_type_name(annotation),),
                default=NO_DEFAULT if parameter.default is inspect.Parameter.empty else parameter.default,
            )
        )
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values())
    spec = ToolSpec(name=name, parameters=tuple(parameters), takes_any=takes_any)
    return Signature(spec=spec, connections=connections, prompt=prompt)


def _annotation(parameter: inspect.Parameter, names: Mapping[str, Any]) -> Any:
    """The annotation; that of the default where there is none; connection classes even where it is text."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return _named_connections(annotation, names) or object
    if annotation is not inspect.Parameter.empty:
        return annotation
    return object if parameter.default is inspect.Parameter.empty else type(parameter.default)


def _named_connections(text: str, names: Mapping[str, Any]) -> Any:
    """The connection classes that an annotation given as text names, as a union; ``None`` for other text.

    Prompt flow takes annotations that are text for ``object``, so that a file that imports annotations from
    ``__future__`` gets a connection's name instead of the connection. All other types are kept as it reads them.
    """
    words = [word for word in re.findall(r"\w+", text) if word not in _TYPING_WORDS]
    classes = [names.get(word) for word in words]
    if classes and all(is_connection_class(item) for item in classes):
        return Union[tuple(classes)]  # noqa: UP007 - made from a list
    return None


def _connection_classes(annotation: Any) -> tuple[type, ...]:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    members = get_args(annotation) if is_union else (annotation,)
    members = tuple(member for member in members if member is not type(None))
    return members if members and all(is_connection_class(member) for member in members) else ()


def _class_names(classes: tuple[type, ...]) -> tuple[str, ...]:
    """Class names for literals; a project's own classes stand for ``CustomConnection``."""
    names = ["CustomConnection" if connection_type(cls) == "custom" else cls.__name__ for cls in classes]
    return tuple(dict.fromkeys(names))


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Union:  # `X | None` is an object to prompt flow, Optional[X] is X
        members = [member for member in get_args(annotation) if member is not type(None)]
        annotation = members[0] if len(members) == 1 else object
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "string"
    return _TYPE_NAMES.get(annotation, "object") if _is_hashable(annotation) else "object"


def _is_hashable(value: Any) -> bool:
    return type(value).__hash__ is not None
