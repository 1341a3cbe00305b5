"""What a node kind or a Python tool takes: signatures as data, so that planning can check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.flow import NO_DEFAULT

TOOL_MARK = "__headrace_tool__"
"""Attribute that the ``tool`` decorator leaves on a function; its value is a mapping of the decorator's options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolParameter:
    """One parameter.

    Attributes:
        types: Type names of the format (int, double, bool, string, list, object, prompt_template, image, …) or
            connection class names; literals are converted to the first. None: literals stay as they are.
        is_required: No default: a node that does not set it fails.
        is_default_declared: The default stands in the flow's file and not in the code.
        is_type_guessed: Neither the flow's file nor the code says a type.
        shown_type: What they say where values are taken as they are, because the default is ``None``; else empty.
    """

    name: str
    types: tuple[str, ...]
    default: Any = NO_DEFAULT
    is_default_declared: bool = False
    is_type_guessed: bool = False
    shown_type: str = ""

    @property
    def is_required(self) -> bool:
        """Whether the tool has no default for it."""
        return self.default is NO_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """How a tool learns which model to ask.

    Attributes:
        key: The input that names the model; of a prompty, the key of its configuration.
        unread: What other services call it and this one does not read; empty where it reads every name.
        connection_type: Type word of the connection that is asked.
        default: The model that is asked where none is named; empty where the request then names none.
        is_optional: The service has one model and needs no name.
    """

    key: str
    unread: str
    connection_type: str
    default: str = ""
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool's name, parameters in order, and whether it takes any further keyword arguments.

    Attributes:
        reserved: Names that a template variable may not have.
        template_variables: What its template takes from outside.
        image_variables: Those of them that the template shows as an image: ``![image]({{name}})``.
        outputs: Type names of the results of a flow's entry, by name; empty where its code does not say.
        model: How it learns which model to ask; ``None`` for a tool that asks none, or that asks a certain one.
    """

    name: str
    parameters: tuple[ToolParameter, ...]
    takes_any: bool = False
    reserved: tuple[str, ...] = ()
    template_variables: tuple[str, ...] = ()
    image_variables: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    model: ModelName | None = None

    def parameter(self, name: str) -> ToolParameter | None:
        """The parameter of that name, if there is one."""
        return next((item for item in self.parameters if item.name == name), None)
