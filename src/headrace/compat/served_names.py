"""Every ``promptflow`` name that headrace serves: module, name, and the import string of what it means."""

from __future__ import annotations

from collections.abc import Mapping

INTERFACE_VERSION = "1.18.5"
"""Version of promptflow whose public names these are."""

_DECLARATION = {
    name: f"headrace.tools.declaration:{name}"
    for name in ("tool", "ToolProvider", "InputSetting", "DynamicList", "GeneratedBy", "ToolType")
}
_METRICS = {
    "log_metric": "headrace.compat.metrics:log_metric",
    "log_flow_metric": "headrace.compat.metrics:log_metric",
}
_CONNECTIONS = {
    name: f"headrace.tools.connection_types:{name}"
    for name in (
        "AzureOpenAIConnection",
        "OpenAIConnection",
        "ServerlessConnection",
        "AzureAIServicesConnection",
        "AzureContentSafetyConnection",
        "FormRecognizerConnection",
        "CognitiveSearchConnection",
        "SerpConnection",
        "CustomConnection",
        "CustomStrongTypeConnection",
    )
}
_STORES = {
    name: f"headrace.tools.connection_types:{name}" for name in ("QdrantConnection", "WeaviateConnection")
}
_CONFIGURATIONS = {
    name: f"headrace.compat.model_configuration:{name}"
    for name in ("ModelConfiguration", "AzureOpenAIModelConfiguration", "OpenAIModelConfiguration")
}
_TRACING = {
    name: f"headrace.compat.tracing:{name}"
    for name in ("trace", "start_trace", "ThreadPoolExecutorWithContext")
}
_TYPES = {
    name: f"headrace.tools.value_types:{name}"
    for name in ("Secret", "PromptTemplate", "FilePath", "AssistantDefinition")
}
_EXCEPTIONS = {
    name: f"headrace.compat.exceptions:{name}"
    for name in (
        "ErrorCategory",
        "ErrorTarget",
        "PromptflowException",
        "SystemErrorException",
        "UserErrorException",
        "ValidationException",
    )
}
_FLOWS = {name: f"headrace.sdk.flow:{name}" for name in ("Flow", "AsyncFlow")}
_LOAD_FLOW = {"load_flow": "headrace.sdk.flow:load_flow"}
_FLOW_CONTEXT = {"FlowContext": "headrace.sdk.flow_context:FlowContext"}
_VERSION = {"__version__": "headrace.compat.served_names:INTERFACE_VERSION"}


def _only(names: Mapping[str, str], *wanted: str) -> dict[str, str]:
    return {name: names[name] for name in wanted}


SERVED: Mapping[str, Mapping[str, str]] = {
    "promptflow": {**_only(_DECLARATION, "tool", "ToolProvider"), **_METRICS, **_VERSION},
    "promptflow.core": {
        **_only(_DECLARATION, "tool", "ToolProvider"),
        **_METRICS,
        **_CONFIGURATIONS,
        **_FLOWS,
        **_VERSION,
    },
    "promptflow.core._flow": _FLOWS,
    "promptflow.core._connection": {**_CONNECTIONS, **_STORES},
    "promptflow.core._model_configuration": _CONFIGURATIONS,
    "promptflow.connections": _CONNECTIONS,
    "promptflow.entities": {
        **_only(_DECLARATION, "InputSetting", "DynamicList"),
        **_only(
            _CONNECTIONS,
            "AzureContentSafetyConnection",
            "AzureOpenAIConnection",
            "CognitiveSearchConnection",
            "CustomConnection",
            "FormRecognizerConnection",
            "OpenAIConnection",
            "SerpConnection",
        ),
        **_only(_STORES, "QdrantConnection"),
        **_FLOW_CONTEXT,
    },
    "promptflow.client": _LOAD_FLOW,
    "promptflow._sdk": {},
    "promptflow._sdk._load_functions": _LOAD_FLOW,
    "promptflow._sdk.entities": _FLOW_CONTEXT,
    "promptflow._sdk.entities._flows": _FLOW_CONTEXT,
    "promptflow.contracts": {},
    "promptflow.contracts.types": _TYPES,
    "promptflow.contracts.multimedia": {"Image": "headrace.domain.multimedia:Image"},
    "promptflow.exceptions": _EXCEPTIONS,
    "promptflow.tracing": _TRACING,
    "promptflow.tracing._trace": _only(_TRACING, "trace"),
    "promptflow._core": {},
    "promptflow._core.tool": _DECLARATION,
    "promptflow._core.metric_logger": _only(_METRICS, "log_metric"),
    "promptflow._internal": _only(_DECLARATION, "tool", "ToolProvider"),
    "promptflow.tools": {},
    "promptflow.tools.aoai": {
        "AzureOpenAI": "headrace.compat.model_functions:AzureOpenAI",
        "chat": "headrace.compat.model_functions:azure_chat",
        "completion": "headrace.compat.model_functions:azure_completion",
    },
    "promptflow.tools.openai": {
        "OpenAI": "headrace.compat.model_functions:OpenAI",
        "chat": "headrace.compat.model_functions:openai_chat",
        "completion": "headrace.compat.model_functions:openai_completion",
    },
    "promptflow.tools.embedding": {"embedding": "headrace.compat.model_functions:embedding"},
    "promptflow.tools.common": {
        "init_azure_openai_client": "headrace.compat.sdk_clients:init_azure_openai_client",
        "init_openai_client": "headrace.compat.sdk_clients:init_openai_client",
        "normalize_connection_config": "headrace.compat.sdk_clients:normalize_connection_config",
        "parse_chat": "headrace.compat.templates:parse_chat",
        "render_jinja_template": "headrace.compat.templates:render_jinja_template",
    },
}
"""Module to the names in it. A module without names exists so that its parts do."""
