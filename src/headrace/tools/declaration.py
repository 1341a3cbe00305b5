"""The words with which a Python file declares its tool.

Projects import them as ``promptflow.core.tool``, ``ToolProvider`` and so on. Declaring leaves a mark and
nothing
else: the function stays what it is, so that it can be called and tested like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, overload

from headrace.domain.tool import TOOL_MARK

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class ToolType(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Kinds that a tool may declare itself to be."""

    LLM = "llm"
    PYTHON = "python"
    CSHARP = "csharp"
    PROMPT = "prompt"
    _ACTION = "action"
    CUSTOM_LLM = "custom_llm"


@overload
def tool(func: FunctionT) -> FunctionT: ...
@overload
def tool(
    func: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    type: str | None = None,
    input_settings: Mapping[str, Any] | None = None,
    streaming_option_parameter: str | None = None,
    **extra: Any,
) -> Callable[[FunctionT], FunctionT]: ...
def tool(func: Any = None, *, type: str | None = None, **options: Any) -> Any:  # noqa: A002 - the signature that projects call
    """Mark a function, or a method of a :class:`ToolProvider`, as the tool of its file.

    Args:
        func: The function, when the decorator is used without parentheses.
        type: ``python`` or ``custom_llm``; anything else that is not a kind of tool is refused.
        **options: ``name``, ``description`` and settings that only authoring tools look at.

    Raises:
        ValueError: ``type`` is not a kind of tool.
    """
    if type is not None and type not in [kind.value for kind in ToolType]:
        message = f"Tool type {type!r} is not one of {', '.join(kind.value for kind in ToolType)}."
        raise ValueError(message)

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, TOOL_MARK, {"type": type, **options})
        return function

    return mark if func is None else mark(func)


class ToolProvider:
    """Base of classes whose marked method is a tool; parameters of ``__init__`` become inputs of the node."""

    def __init__(self) -> None:
        # Written out: the signature of object's own takes anything, which would become inputs.
        super().__init__()

    @classmethod
    def get_initialize_inputs(cls) -> dict[str, inspect.Parameter]:
        """Parameters of ``__init__`` by name."""
        parameters = inspect.signature(cls.__init__).parameters
        return {name: parameter for name, parameter in parameters.items() if name != "self"}

    @classmethod
    def get_required_initialize_inputs(cls) -> dict[str, inspect.Parameter]:
        """Those parameters of ``__init__`` that have no default."""
        inputs = cls.get_initialize_inputs()
        return {name: item for name, item in inputs.items() if item.default is inspect.Parameter.empty}


class DynamicList:
    """Where an authoring tool gets the choices of an input from; of no meaning when a flow runs."""

    def __init__(
        self, function: Callable[..., Any] | str, input_mapping: Mapping[str, str] | None = None
    ) -> None:
        self.function = function
        self.input_mapping = dict(input_mapping or {})


class GeneratedBy:
    """How an authoring tool makes the value of an input; of no meaning when a flow runs."""

    def __init__(
        self,
        function: Callable[..., Any] | str,
        reverse_function: Callable[..., Any] | str,
        input_settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.reverse_function = reverse_function
        self.input_settings = dict(input_settings or {})


class InputSetting:
    """How an authoring tool shows an input; of no meaning when a flow runs."""

    def __init__(self, **settings: Any) -> None:
        self.is_multi_select = settings.pop("is_multi_select", None)
        self.allow_manual_entry = settings.pop("allow_manual_entry", None)
        self.enabled_by = settings.pop("enabled_by", None)
        self.enabled_by_value = settings.pop("enabled_by_value", None)
        self.dynamic_list = settings.pop("dynamic_list", None)
        self.generated_by = settings.pop("generated_by", None)
        self.extra = settings
