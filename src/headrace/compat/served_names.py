"""Every ``promptflow`` name that headrace serves: module, name, and the import string of what it means.

What is not here is in ``refused_names``, with the reason; a test compares both with stock's own names.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.compat.exception_names import EXCEPTION_FAMILIES, exception_names

INTERFACE_VERSION = "1.18.5"
"""Version of promptflow whose public names these are."""


def _from(module: str, names: str) -> dict[str, str]:
    """Names that are called in our module what promptflow calls them."""
    return {name: f"headrace.{module}:{name}" for name in names.split()}


def _errors(module: str) -> dict[str, str]:
    where = f"promptflow.{module}"
    made = {name: f"headrace.compat.exception_families:{where}.{name}" for name in exception_names(where)}
    return {**_TARGETS, **_ROOTS, **made}


_TOOL = _from("tools.declaration", "tool ToolProvider")
_METRICS = dict.fromkeys(("log_metric", "log_flow_metric"), "headrace.compat.metrics:log_metric")
_METRIC = _from("compat.metrics", "log_metric")
_SETTINGS = _from("tools.declaration", "InputSetting DynamicList")
_CONNECTIONS = _from(
    "tools.connection_types",
    "AzureOpenAIConnection OpenAIConnection ServerlessConnection AzureAIServicesConnection "
    "AzureContentSafetyConnection FormRecognizerConnection CognitiveSearchConnection SerpConnection "
    "CustomConnection CustomStrongTypeConnection",
)
_STORES = _from("tools.connection_types", "QdrantConnection WeaviateConnection")
_CONFIGURATIONS = _from(
    "tools.model_configuration", "ModelConfiguration AzureOpenAIModelConfiguration OpenAIModelConfiguration"
)
_TYPES = _from("tools.value_types", "Secret PromptTemplate FilePath AssistantDefinition")
_TARGETS = _from("compat.exceptions", "ErrorCategory ErrorTarget")
_ROOTS = _from(
    "compat.exceptions", "PromptflowException SystemErrorException UserErrorException ValidationException"
)
_FLOWS = {**_from("sdk.flow", "Flow AsyncFlow"), **_from("sdk.prompty", "Prompty AsyncPrompty")}
_LOAD_FLOW = _from("sdk.flow", "load_flow")
_CLIENT = _from("sdk.client", "PFClient")
_LOAD_RUN = _from("sdk.client", "load_run")
_LOAD_CONNECTION = _from("sdk.connections", "load_connection")
_RUN = _from("sdk.run", "Run")
_OPERATIONS = {
    **_from("sdk.runs", "RunOperations"),
    **_from("sdk.flows", "FlowOperations"),
}
_CONNECTION_OPERATIONS = _from("sdk.connections", "ConnectionOperations")
_FLOW_CONTEXT = _from("sdk.flow_context", "FlowContext")
_VERSION = {"__version__": "headrace.compat.served_names:INTERFACE_VERSION"}
_CONTEXT = _from("compat.operation_context", "OperationContext")
_POOL = _from("compat.tracing", "ThreadPoolExecutorWithContext")
_SET_CONTEXT = _from("compat.asynchronous", "set_context")
_ATTRIBUTES = _from("compat.files", "AttrDict")
_SYS_PATH = _from("compat.files", "inject_sys_path")
_CACHE = _from("compat.tool_lists", "enable_cache")
_COLLECTED = _from("compat.tool_lists", "collect_tools_from_directory")
_REGISTERED = {
    **_from("compat.tool_lists", "register_connections"),
    **dict.fromkeys(
        ("register_apis", "register_builtins", "register_api_method", "register_builtin_method"),
        "headrace.compat.tool_lists:register",
    ),
}
_LOGGERS = _from(
    "compat.loggers",
    "logger flow_logger bulk_logger service_logger get_logger LOG_FORMAT DATETIME_FORMAT",
)
_VALUES = _from("compat.plain_values", "serialize")
_CASES = _from("compat.files", "camel_to_snake load_json")
_INJECTION = _from("compat.tracing", "inject_openai_api recover_openai_api")

SERVED: Mapping[str, Mapping[str, str]] = {
    "promptflow": {**_TOOL, **_METRICS, **_CLIENT, **_LOAD_FLOW, **_LOAD_RUN, **_VERSION},
    "promptflow._version": {"VERSION": "headrace.compat.served_names:INTERFACE_VERSION"},
    "promptflow.core": {**_TOOL, **_METRICS, **_CONFIGURATIONS, **_FLOWS, **_VERSION},
    "promptflow.core._flow": _FLOWS,
    "promptflow.core._connection": {**_CONNECTIONS, **_STORES},
    "promptflow.core._model_configuration": _CONFIGURATIONS,
    "promptflow.core._prompty_utils": {
        **_from(
            "compat.prompty_parts",
            "build_messages convert_model_configuration_to_connection convert_prompt_template",
        ),
        **_from("compat.templates", "parse_chat"),
    },
    "promptflow.core._errors": _errors("core._errors"),
    "promptflow.connections": _CONNECTIONS,
    "promptflow.constants": _from("compat.constants", "ConnectionAuthMode ConnectionDefaultApiVersion"),
    "promptflow._constants": _from(
        "compat.constants",
        "DEFAULT_ENCODING FLOW_DAG_YAML FLOW_FLEX_YAML FLOW_TOOLS_JSON LINE_NUMBER_KEY LINE_TIMEOUT_SEC "
        "PROMPTFLOW_CONNECTIONS PROMPT_FLOW_DIR_NAME PROMPTY_EXTENSION CHAT_HISTORY DEFAULT_OUTPUT_NAME "
        "CONNECTION_NAME_PROPERTY CONNECTION_SECRET_KEYS MessageFormatType FlowLanguage ConnectionType",
    ),
    "promptflow.entities": {
        **_SETTINGS,
        **_FLOW_CONTEXT,
        **_RUN,
        **_from(
            "tools.connection_types",
            "AzureContentSafetyConnection AzureOpenAIConnection CognitiveSearchConnection CustomConnection "
            "FormRecognizerConnection OpenAIConnection SerpConnection QdrantConnection",
        ),
    },
    "promptflow.client": {**_CLIENT, **_LOAD_FLOW, **_LOAD_RUN},
    "promptflow.operations": {**_OPERATIONS, **_CONNECTION_OPERATIONS},
    "promptflow._sdk": {},
    "promptflow._sdk._constants": _from(
        "compat.constants",
        "CONNECTION_SCRUBBED_VALUE CONNECTION_SCRUBBED_VALUE_NO_CHANGE DEFAULT_ENCODING DEFAULT_VARIANT FLOW_META_JSON "
        "FLOW_TOOLS_JSON FlowRunProperties FlowType LINE_NUMBER LOGGER_NAME ListViewType LocalStorageFilenames "
        "MAX_RUN_LIST_RESULTS MAX_SHOW_DETAILS_RESULTS PROMPT_FLOW_DIR_NAME RunStatus SCRUBBED_VALUE "
        "SCRUBBED_VALUE_NO_CHANGE SCRUBBED_VALUE_USER_INPUT",
    ),
    "promptflow._sdk._load_functions": {**_LOAD_FLOW, **_LOAD_RUN, **_LOAD_CONNECTION},
    "promptflow._sdk._pf_client": _CLIENT,
    "promptflow._sdk.entities._run": _RUN,
    "promptflow._sdk.operations": _OPERATIONS,
    "promptflow._sdk.operations._connection_operations": _CONNECTION_OPERATIONS,
    "promptflow._sdk.operations._flow_operations": _from("sdk.flows", "FlowOperations"),
    "promptflow._sdk.operations._run_operations": _from("sdk.runs", "RunOperations"),
    "promptflow._sdk._errors": _errors("_sdk._errors"),
    "promptflow._sdk._configuration": _errors("_sdk._configuration"),
    "promptflow._sdk.entities": {**_CONNECTIONS, **_STORES, **_FLOW_CONTEXT, **_RUN},
    "promptflow._sdk.entities._connection": {**_CONNECTIONS, **_STORES},
    "promptflow._sdk.entities._flows": _FLOW_CONTEXT,
    "promptflow.contracts": {},
    "promptflow.contracts._errors": _errors("contracts._errors"),
    "promptflow.contracts.types": {**_TYPES, **_ATTRIBUTES},
    "promptflow.contracts.multimedia": _from("domain.multimedia", "Image Text"),
    "promptflow.contracts.run_info": _from("compat.run_contracts", "Status RunInfo FlowRunInfo"),
    "promptflow.contracts.run_mode": _from("compat.run_contracts", "RunMode"),
    "promptflow.contracts.tool": {
        **_from("compat.tool_contracts", "ValueType ConnectionType ToolFuncCallScenario"),
        **_from("tools.declaration", "ToolType"),
        **_TYPES,
    },
    "promptflow.core._serving": {},
    "promptflow.core._serving.app": {"create_app": "headrace.operations.serve_flow:create_app"},
    "promptflow.exceptions": {**_TARGETS, **_ROOTS},
    "promptflow.tracing": {**_from("compat.tracing", "trace start_trace"), **_POOL, **_VERSION},
    "promptflow.tracing._trace": _from("compat.tracing", "trace enrich_prompt_template"),
    "promptflow.tracing._start_trace": _from("compat.tracing", "start_trace setup_exporter_from_environ"),
    "promptflow.tracing._context_utils": {**_POOL, **_SET_CONTEXT},
    "promptflow.tracing._experimental": _from("compat.tracing", "enrich_prompt_template"),
    "promptflow.tracing._operation_context": _CONTEXT,
    "promptflow.tracing._utils": {**_VALUES, **_from("compat.tracing", "is_tracing_disabled")},
    "promptflow.tracing._integrations": {},
    "promptflow.tracing._integrations._openai_injector": _INJECTION,
    "promptflow.tracing.contracts": {},
    "promptflow.tracing.contracts.trace": _from("compat.run_contracts", "Trace TraceType"),
    "promptflow._core": {},
    "promptflow._core._errors": _errors("_core._errors"),
    "promptflow._core.cache_manager": _CACHE,
    "promptflow._core.metric_logger": {
        **_METRIC,
        **_from("compat.metrics", "add_metric_logger remove_metric_logger"),
    },
    "promptflow._core.operation_context": _CONTEXT,
    "promptflow._core.token_provider": _from(
        "compat.token_provider", "AzureTokenProvider StaticTokenProvider TokenProviderABC"
    ),
    "promptflow._core.tool": {
        **_TOOL,
        **_SETTINGS,
        **_from("tools.declaration", "GeneratedBy ToolType"),
        **_from("compat.constants", "INPUTS_TO_ESCAPE_PARAM_KEY STREAMING_OPTION_PARAMETER_ATTR"),
    },
    "promptflow._core.tool_meta_generator": _errors("_core.tool_meta_generator"),
    "promptflow._core.tools_manager": {
        **_errors("_core.tools_manager"),
        **_REGISTERED,
        **_COLLECTED,
        **_from("compat.tool_lists", "PACKAGE_TOOLS_ENTRY"),
    },
    "promptflow._internal": {
        **_TOOL,
        **_CONTEXT,
        **_CACHE,
        **_LOGGERS,
        **_VALUES,
        **_ATTRIBUTES,
        **_SYS_PATH,
        **_SET_CONTEXT,
        **_CASES,
        **{
            name: _REGISTERED[name] for name in ("register_apis", "register_builtins", "register_connections")
        },
        **_from("compat.tracing", "inject_openai_api setup_exporter_from_environ"),
        **_from("compat.metrics", "add_metric_logger"),
        **_from("compat.constants", "PROMPTFLOW_CONNECTIONS"),
        "VERSION": "headrace.compat.served_names:INTERFACE_VERSION",
    },
    "promptflow._utils": {},
    "promptflow._utils._errors": _errors("_utils._errors"),
    "promptflow._utils.async_utils": _from(
        "compat.asynchronous",
        "async_run_allowing_running_loop async_to_sync sync_to_async sync_iterator_to_async",
    ),
    "promptflow._utils.context_utils": {
        **_SYS_PATH,
        "_change_working_dir": "headrace.compat.files:change_working_dir",
    },
    "promptflow._utils.dataclass_serializer": {
        **_VALUES,
        **_from("compat.plain_values", "convert_dataclass_to_dict convert_eager_flow_output_to_dict"),
    },
    "promptflow._utils.load_data": _from("compat.files", "load_data"),
    "promptflow._utils.logger_utils": {
        **_LOGGERS,
        **_from("compat.loggers", "LoggerFactory get_cli_sdk_logger get_pf_logging_level PF_LOGGING_LEVEL"),
    },
    "promptflow._utils.multimedia_utils": _from(
        "compat.multimedia",
        "BasicMultimediaProcessor ImageProcessor MultimediaProcessor OpenaiVisionMultimediaProcessor "
        "load_multimedia_data_recursively persist_multimedia_data resolve_multimedia_data_recursively",
    ),
    "promptflow._utils.thread_utils": _from("compat.asynchronous", "ThreadWithContextVars"),
    "promptflow._utils.utils": {
        **_CASES,
        **_ATTRIBUTES,
        **_SET_CONTEXT,
        **_from("compat.files", "dump_list_to_jsonl load_list_from_jsonl snake_to_camel"),
        **_from("compat.constants", "DEFAULT_ENCODING"),
    },
    "promptflow._utils.yaml_utils": {
        **_from("compat.files", "load_yaml load_yaml_string dump_yaml"),
        **_from("compat.constants", "DEFAULT_ENCODING"),
    },
    "promptflow.batch": {},
    "promptflow.batch._errors": _errors("batch._errors"),
    "promptflow.executor": {},
    "promptflow.executor._errors": _errors("executor._errors"),
    "promptflow.tools": {
        **_from("compat.model_functions", "AzureOpenAI OpenAI"),
        **_from("compat.serpapi", "SerpAPI"),
    },
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
    "promptflow.tools.azure_content_safety": _from(
        "compat.content_safety", "analyze_text TextCategorySensitivity"
    ),
    "promptflow.tools.embedding": _from("compat.model_functions", "embedding EmbeddingModel"),
    "promptflow.tools.exception": _errors("tools.exception"),
    "promptflow.tools.list": _COLLECTED,
    "promptflow.tools.llm": _from("compat.model_functions", "llm"),
    "promptflow.tools.open_model_llm": _from("sdk.open_model", "OpenModelLLM ModelFamily API"),
    "promptflow.tools.serpapi": _from("compat.serpapi", "search SerpAPI SafeMode Engine"),
    "promptflow.tools.template_rendering": _from("compat.templates", "render_template_jinja2"),
    "promptflow.tools.common": {
        **_from(
            "compat.sdk_clients",
            "init_azure_openai_client init_openai_client normalize_connection_config",
        ),
        **_from("compat.templates", "parse_chat render_jinja_template"),
        **_from("compat.openai_faults", "handle_openai_error"),
    },
}
"""Module to the names in it. A module without names exists so that its parts do."""

assert all(module in SERVED for module in EXCEPTION_FAMILIES)  # noqa: S101 - a family that nobody can import is a slip
