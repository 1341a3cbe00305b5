"""What a tool says about itself to other programs, as in ``flow.tools.json`` (promptflow-format: 1.1, 3.3, 3.4)."""

from __future__ import annotations

import base64
import inspect
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from headrace.domain.flow import NO_DEFAULT
from headrace.domain.tool import ToolParameter
from headrace.tools.declaration import DynamicList, InputSetting
from headrace.tools.model_parameters import APIS, AZURE, OPENAI, PACKAGE_LLM_PARAMETERS
from headrace.tools.python import FoundTool
from headrace.tools.registry import BUILT_IN_TOOLS, PACKAGE_LOADERS
from headrace.tools.signature import Signature

MODEL_CONNECTIONS = ("AzureOpenAIConnection", "OpenAIConnection", "ServerlessConnection")
_SETTING_FIELDS = ("is_multi_select", "allow_manual_entry", "enabled_by", "enabled_by_value")
_OWN_OPTIONS = ("type", "name", "description", "input_settings", "streaming_option_parameter", "icon")


def describe_python_tool(found: FoundTool, signature: Signature, source: str) -> dict[str, Any]:
    """The description of a tool of a Python file.

    Args:
        found: The tool.
        signature: What it takes.
        source: Path of the file, relative to the flow's folder.
    """
    options = found.options
    settings = options.get("input_settings") or {}
    kinds = {**found.init, **inspect.signature(found.function).parameters}
    inputs = {
        item.name: _describe_input(item, kinds[item.name].annotation, settings.get(item.name), source)
        for item in signature.spec.parameters
        if item.name != signature.prompt
    }
    described = {"type": options.get("type") or "python", "inputs": inputs}
    if options.get("description"):
        described["description"] = options["description"]
    if found.provider is not None:
        described["class_name"] = found.provider.__name__
    described |= {"source": source, "function": found.function.__name__}
    if signature.spec.takes_any:
        described["enable_kwargs"] = True
    if options.get("icon"):
        described["icon"] = _icon(options["icon"], Path(inspect.getfile(found.function)).parent)
    return described | {name: value for name, value in options.items() if name not in _OWN_OPTIONS}


def describe_template(kind: str, variables: Sequence[str], source: str) -> dict[str, Any]:
    """The description of a template of a prompt or model node."""
    inputs = {name: {"type": ["string"]} for name in variables}
    return {"type": kind, "inputs": inputs, "source": source}


def built_in_tools() -> dict[str, dict[str, Any]]:
    """The descriptions of the package tools that headrace brings itself, under promptflow's names."""
    tools = {}
    for tool_id in (*PACKAGE_LOADERS, *BUILT_IN_TOOLS):
        *modules, function = tool_id.split(".")
        class_name = modules.pop() if modules[-1][0].isupper() else None
        inputs = BUILT_IN_TOOLS[tool_id]["inputs"] if tool_id in BUILT_IN_TOOLS else _model_inputs(tool_id)
        tools[tool_id] = {
            "name": function,
            "type": "custom_llm" if tool_id == "promptflow.tools.llm.llm" else "python",
            "module": ".".join(modules),
            **({"class_name": class_name} if class_name else {}),
            "function": function,
            "inputs": inputs,
        }
    return tools


def _model_inputs(tool_id: str) -> dict[str, Any]:
    *_, module, operation = tool_id.split(".")
    own = {"aoai": ("AzureOpenAIConnection",), "openai": ("OpenAIConnection",)}
    connection = {"connection": {"type": list(own.get(module, MODEL_CONNECTIONS))}}
    if operation == "embedding":
        names = {"input": "string", "deployment_name": "string", "model": "string"}
        return connection | {name: {"type": [kind]} for name, kind in names.items()}
    parameters: Sequence[ToolParameter] = PACKAGE_LLM_PARAMETERS
    if module in own:
        parameters = APIS[AZURE if module == "aoai" else OPENAI, operation].parameters
        connection["prompt"] = {"type": ["prompt_template"]}
    described = {item.name: _described(item) for item in parameters if item.name != "connection"}
    return connection | described


def _described(item: ToolParameter) -> dict[str, Any]:
    described: dict[str, Any] = {"type": list(item.types)}
    default = item.default.value if isinstance(item.default, Enum) else item.default
    if default is not NO_DEFAULT and default is not None and default != "":
        described["default"] = str(default)
    return described


def _describe_input(item: ToolParameter, annotation: Any, setting: Any, source: str) -> dict[str, Any]:
    described = _described(item)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        described["enum"] = [member.value for member in annotation]
    if isinstance(setting, InputSetting):
        fields = {name: getattr(setting, name) for name in _SETTING_FIELDS}
        described |= {name: value for name, value in fields.items() if value is not None}
        if setting.dynamic_list is not None:
            described["dynamic_list"] = _dynamic(setting.dynamic_list, source)
    return described


def _dynamic(choices: DynamicList, source: str) -> dict[str, Any]:
    """Where an authoring tool asks for the choices, and what it has to pass."""
    function = choices.function
    path = function if isinstance(function, str) else f"{source}:{function.__name__}"
    described: dict[str, Any] = {"func_path": path}
    if callable(function):
        described["func_kwargs"] = list(_arguments(function, choices.input_mapping))
    return described


def _arguments(function: Any, mapping: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            continue
        has_default = parameter.default is not inspect.Parameter.empty
        described = {"name": name, "optional": has_default}
        if name in mapping:
            described["reference"] = f"${{inputs.{mapping[name]}}}"
        if has_default:
            described["default"] = parameter.default
        yield described


def _icon(icon: Any, folder: Path) -> str:
    """An icon as a data address; what is no file is passed on."""
    path = folder / str(icon)
    if not path.is_file():
        return str(icon)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
