"""Parameters of the model APIs as ``llm`` nodes know them (promptflow-format: 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.tool import ModelName, ToolParameter

CHAT = "chat"
COMPLETION = "completion"
AZURE = "azure"
OPENAI = "openai"
BASELINE = "baseline"

FAMILIES: Mapping[str, str] = {
    "azure_open_ai": AZURE,
    "open_ai": OPENAI,
    "serverless": OPENAI,
    BASELINE: OPENAI,
}
"""Connection type to the family of parameters that its requests have."""

DEPLOYMENT_NAME = "deployment_name"
MODEL = "model"
STREAM_OPTIONS = "stream_options"
"""Sent with requests for a stream alone: services refuse it with others."""
PASSED_ON = ("max_completion_tokens", "reasoning_effort", STREAM_OPTIONS)
"""Chat parameters that prompt flow does not know and that newer models need; sent as they are when a node
sets them and its template has no variable of the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelApi:
    """One API of one family of services.

    Attributes:
        model_parameter: The input that names the model: ``deployment_name`` on Azure, else ``model``.
        parameters: What a node may set, in order.
        reserved: Names that a template variable may not have.
        fixed: What requests hold besides, whatever a node sets.
    """

    family: str
    operation: str
    model_parameter: str
    parameters: tuple[ToolParameter, ...]
    reserved: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def default(self, name: str) -> Any:
        """Default of a parameter; ``None`` for one that has none or that this API does not have."""
        found = next((item for item in self.parameters if item.name == name), None)
        return found.default if found and not found.is_required else None

    def model_name(self, connection_type: str) -> ModelName:
        """How a node names the model that it asks by a connection of a type."""
        return name_of_model(connection_type, str(self.default(self.model_parameter) or ""))


def name_of_model(connection_type: str, default: str = "") -> ModelName:
    """How a node names the model that it asks by a connection of a type.

    Args:
        connection_type: One of :data:`FAMILIES`.
        default: The model that is asked where none is named.
    """
    is_azure = FAMILIES[connection_type] == AZURE
    return ModelName(
        key=DEPLOYMENT_NAME if is_azure else MODEL,
        unread=MODEL if is_azure else DEPLOYMENT_NAME,
        connection_type=connection_type,
        default=default,
        is_optional=connection_type == "serverless",
    )


def _optional(**defaults: tuple[str, Any]) -> tuple[ToolParameter, ...]:
    return tuple(
        ToolParameter(name=name, types=(type_name,), default=default)
        for name, (type_name, default) in defaults.items()
    )


_SAMPLING = _optional(
    temperature=("double", 1.0),
    top_p=("double", 1.0),
    stream=("bool", False),
    stop=("list", None),
    presence_penalty=("double", None),
    frequency_penalty=("double", None),
    logit_bias=("object", None),
    user=("string", ""),
)
_CHAT = _optional(
    max_tokens=("int", None),
    function_call=("object", None),
    functions=("list", None),
    tool_choice=("object", None),
    tools=("list", None),
    response_format=("object", None),
    seed=("int", None),
)
_COMPLETION = _optional(
    max_tokens=("int", 16),
    n=("int", 1),
    suffix=("string", None),
    logprobs=("int", None),
    echo=("bool", False),
    best_of=("int", 1),
)
_N = _optional(n=("int", 1))
_DEPLOYMENT = (ToolParameter(name="deployment_name", types=("string",)),)


def _api(family: str, operation: str, *parameters: ToolParameter) -> ModelApi:
    names = tuple(parameter.name for parameter in parameters)
    return ModelApi(
        family=family,
        operation=operation,
        model_parameter="deployment_name" if family == AZURE else "model",
        parameters=parameters,
        reserved=("connection", "prompt", *names),
    )


APIS: Mapping[tuple[str, str], ModelApi] = {
    (AZURE, CHAT): _api(AZURE, CHAT, *_DEPLOYMENT, *_N, *_SAMPLING, *_CHAT),
    (AZURE, COMPLETION): _api(AZURE, COMPLETION, *_DEPLOYMENT, *_SAMPLING, *_COMPLETION),
    (OPENAI, CHAT): _api(OPENAI, CHAT, *_optional(model=("string", "")), *_SAMPLING, *_CHAT),
    (OPENAI, COMPLETION): _api(
        OPENAI, COMPLETION, *_optional(model=("string", "text-davinci-003")), *_SAMPLING, *_COMPLETION
    ),
}

PACKAGE_LLM_PARAMETERS = (
    ToolParameter(name="connection", types=("object",)),
    *_optional(
        api=("string", CHAT),
        deployment_name=("string", ""),
        model=("string", ""),
        suffix=("string", None),
        logprobs=("int", None),
        echo=("bool", False),
        best_of=("int", 1),
        max_tokens=("int", None),
        tool_choice=("object", None),
        tools=("list", None),
        response_format=("object", None),
        seed=("int", None),
    ),
    *(item for item in _SAMPLING if item.name != "user"),
)
"""Parameters of the package tool ``promptflow.tools.llm.llm``, which takes both families and both APIs."""

VISION_PARAMETERS = (
    *_optional(
        temperature=("double", 1.0), top_p=("double", 1.0), stop=("list", None), max_tokens=("int", None)
    ),
    *_optional(presence_penalty=("double", 0), frequency_penalty=("double", 0), seed=("int", None)),
    *_optional(detail=("string", "auto")),
)
"""What a node of the vision tools may set besides connection and model; ``detail`` is taken and has no effect."""
