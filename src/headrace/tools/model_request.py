"""From a node's arguments to the request that reaches the service, field by field (promptflow-format: 3.5).

Every function here is pure. Numbers that arrive as text are taken for what they say, because references
carry text; empty text means that a parameter is not set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.errors import NodeError, Problem
from headrace.planning.convert import ConversionError, convert_input
from headrace.providers.base import ModelRequest
from headrace.tools.chat import Message
from headrace.tools.model_parameters import AZURE, PASSED_ON, STREAM_OPTIONS, ModelApi

# Prompt flow's Azure tools refuse "required", which the service has learnt since.
_TOOL_CHOICES = (None, "auto", "none", "required")
_FUNCTION_CALLS = (None, "auto", "none")


def chat_request(
    api: ModelApi, messages: Sequence[Message], arguments: Mapping[str, Any], *, is_stream: bool = False
) -> ModelRequest:
    """A chat request.

    Always sent: temperature, top_p, stream, and n where the API has it. Sent only when set: everything else.

    Args:
        api: Which parameters there are.
        messages: The prompt.
        arguments: The node's parameters by name; others are ignored.
        is_stream: Whether the answer is asked for piece by piece.

    Raises:
        NodeError: T201 for a parameter of the wrong form.
    """
    values = _Values(api, arguments)
    body: dict[str, Any] = {
        "messages": list(messages),
        "temperature": values.number("temperature"),
        "top_p": values.number("top_p"),
        "stream": is_stream,
    }
    if values.get("n") is not None:
        body["n"] = values.number("n")
    body |= _functions(api, values)
    if stop := values.get("stop"):
        body["stop"] = stop
    if (max_tokens := values.get("max_tokens")) is not None and str(max_tokens).lower() != "inf":
        body["max_tokens"] = values.whole("max_tokens")
    for name in ("presence_penalty", "frequency_penalty", "seed"):
        if values.get(name) is not None:
            body[name] = values.number(name)
    for name in ("logit_bias", "response_format"):
        if value := values.structure(name):
            body[name] = value
    if user := values.get("user"):
        body["user"] = user
    body |= api.fixed
    passed_on = [name for name in PASSED_ON if is_stream or name != STREAM_OPTIONS]
    body |= {name: arguments[name] for name in passed_on if arguments.get(name) not in (None, "")}
    return ModelRequest(operation="chat", model=values.model(), body=body)


def completion_request(api: ModelApi, prompt: str, arguments: Mapping[str, Any]) -> ModelRequest:
    """A completion request: every parameter is sent, those that are not set as null.

    Raises:
        NodeError: T201 for a parameter of the wrong form.
    """
    values = _Values(api, arguments)
    body: dict[str, Any] = {
        "prompt": prompt,
        "suffix": values.get("suffix") or None,
        "max_tokens": None if values.get("max_tokens") is None else values.whole("max_tokens"),
        "temperature": values.number("temperature"),
        "top_p": values.number("top_p"),
        "n": values.whole("n"),
        "stream": False,
        "logprobs": values.whole("logprobs") if values.get("logprobs") else None,
        "echo": _is_true(values.get("echo")),
        "stop": values.get("stop") or None,
        "best_of": values.whole("best_of"),
        "logit_bias": values.structure("logit_bias") or {},
        "user": values.get("user") or "",
    }
    for name in ("presence_penalty", "frequency_penalty"):
        value = values.get(name)
        if value is not None or api.family != AZURE:
            body[name] = None if value is None else values.number(name)
    return ModelRequest(operation="completion", model=values.model(), body=body)


def embedding_request(connection_type: str, model: str, text: Any) -> ModelRequest:
    """An embedding request for one text; the numbers are asked for in base64, as the ``openai`` package does."""
    body: dict[str, Any] = {"input": text, "encoding_format": "base64"}
    if connection_type == "serverless":
        body = {"input": [text], "encoding_format": "float"}
    return ModelRequest(operation="embeddings", model=model, body=body)


def asks_for_stream(arguments: Mapping[str, Any]) -> bool:
    """Whether the node itself sets ``stream``."""
    return _is_true(arguments.get("stream"))


def has_tools(arguments: Mapping[str, Any]) -> bool:
    """Whether the model may answer with a call instead of text."""
    return bool(arguments.get("tools") or arguments.get("functions"))


class _Values:
    """A node's parameters with defaults filled in."""

    def __init__(self, api: ModelApi, arguments: Mapping[str, Any]) -> None:
        self._api = api
        self._arguments = arguments

    def get(self, name: str) -> Any:
        """The value; the default where it is not set, null or empty text."""
        value = self._arguments.get(name)
        if value is None or (isinstance(value, str) and not value):
            return self._api.default(name)
        return value

    def number(self, name: str) -> Any:
        """A number; whole numbers stay whole."""
        value = self.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        return _convert(name, value, "int" if name in ("n", "seed") else "double")

    def whole(self, name: str) -> int:
        """A whole number."""
        number: int = _convert(name, self.get(name), "int")
        return number

    def structure(self, name: str) -> Any:
        """A mapping, also when it is written as JSON text."""
        value = self.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value

    def model(self) -> str:
        """Model or deployment name."""
        return str(self.get(self._api.model_parameter) or "")


def _convert(name: str, value: Any, type_name: str) -> Any:
    try:
        return convert_input(value, type_name)
    except ConversionError as error:
        raise NodeError(_refused(name, f"{error}")) from error


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _functions(api: ModelApi, values: _Values) -> dict[str, Any]:
    """``tools`` with ``tool_choice``, else ``functions`` with ``function_call``, else nothing."""
    if tools := values.get("tools"):
        choice = values.structure("tool_choice")
        if api.family != AZURE:
            return {"tools": tools, "tool_choice": choice}
        check_tools(tools)
        return {"tools": tools, "tool_choice": check_tool_choice(choice)}
    if functions := values.get("functions"):
        check_functions(functions)
        return {
            "functions": functions,
            "function_call": check_function_call(values.structure("function_call")),
        }
    return {}


def check_tools(tools: Any) -> None:
    """Look at the parameter ``tools`` as prompt flow's Azure tools do.

    Raises:
        NodeError: T201 for the first item of the wrong form.
    """
    for number, item in enumerate(tools):
        if not isinstance(item, Mapping) or "type" not in item or "function" not in item:
            raise NodeError(_refused("tools", f"item {number} must be a mapping with type and function"))
        _check_function("tools", number, item["function"])


def check_functions(functions: Any) -> None:
    """Look at the parameter ``functions``.

    Raises:
        NodeError: T201 for the first item of the wrong form.
    """
    for number, function in enumerate(functions):
        _check_function("functions", number, function)


def _check_function(name: str, number: int, function: Any) -> None:
    if not isinstance(function, Mapping) or "name" not in function or "parameters" not in function:
        raise NodeError(_refused(name, f"the function of item {number} needs name and parameters"))
    parameters = function["parameters"]
    is_schema = isinstance(parameters, Mapping) and parameters.get("type") == "object"
    if not is_schema or not isinstance(parameters.get("properties"), Mapping):
        why = f"the parameters of item {number} must be a JSON schema with type: object and properties"
        raise NodeError(_refused(name, why))


def check_tool_choice(choice: Any) -> Any:
    """``tool_choice`` as it is sent; ``auto`` where it is not set.

    Raises:
        NodeError: T201 when it has the wrong form.
    """
    if choice in _TOOL_CHOICES:
        return choice or "auto"
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if not isinstance(function, Mapping) or "type" not in choice or "name" not in function:
        why = "it must be auto, none, required, or a mapping with type and function.name"
        raise NodeError(_refused("tool_choice", why))
    return choice


def check_function_call(choice: Any) -> Any:
    """``function_call`` as it is sent; ``auto`` where it is not set.

    Raises:
        NodeError: T201 when it has the wrong form.
    """
    if choice in _FUNCTION_CALLS:
        return choice or "auto"
    if not isinstance(choice, Mapping) or "name" not in choice:
        raise NodeError(_refused("function_call", "it must be auto, none, or a mapping with name"))
    return choice


def _refused(name: str, why: str) -> Problem:
    return Problem(
        code="T201",
        what=f"The model parameter {name!r} has the wrong form: {why}.",
        fix=f"Correct {name} among the node's inputs, or what it refers to.",
    )
