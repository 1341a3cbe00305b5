"""Problems as prompt flow writes errors into its records (promptflow-format: 9.2). Pure: data in, data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.domain.flow import DAG
from headrace.errors import Problem, Raised

_USER = "UserError"
_MODEL = "OpenAIError"
_MODEL_TOOL = "Tool/promptflow.tools.openai"
_INPUT = ("ValidationError", "InvalidFlowRequest")

# Prompt flow's own words for what went wrong, outermost first, and the part of it that says so. A problem without a
# word of prompt flow's carries its own name.
_WORDS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "E603": (("LineExecutionTimeoutError",), "Executor"),
    "R106": (("NodeReferenceError", "InvalidReferenceProperty"), "Unknown"),
    "E602": (("ToolValidationError", "JinjaTemplateError"), "Tool/promptflow.tools.template_rendering"),
    "E604": (("FlowOutputUnserializable",), "FlowExecutor"),
    "T201": ((*_INPUT, "InputTypeError"), "Executor"),
    "P701": ((_MODEL, "AuthenticationError"), _MODEL_TOOL),
    "P702": ((_MODEL, "RateLimitError"), _MODEL_TOOL),
    "P703": ((_MODEL, "InternalServerError"), _MODEL_TOOL),
    "P704": ((_MODEL, "APITimeoutError"), _MODEL_TOOL),
    "P705": ((_MODEL, "BadRequestError"), _MODEL_TOOL),
    "P706": ((_MODEL, "BadRequestError"), _MODEL_TOOL),
    "P708": ((_MODEL, "APIConnectionError"), _MODEL_TOOL),
}
_IN_SCRIPT = (("ScriptExecutionError",), "Unknown")

ErrorInfo = dict[str, Any]
"""An error dictionary."""


def render_error(problem: Problem, kind: str = DAG) -> ErrorInfo:
    """The error dictionary of a problem.

    What the user's code raised has prompt flow's message and the exception's details; any other problem has our own
    sentence.

    Args:
        problem: What went wrong.
        kind: Kind of the flow that it went wrong in.
    """
    if problem.raised is not None:
        return _raised_info(problem.raised, kind)
    words, place = _WORDS.get(problem.code, ((_class_name(problem.name),), "Executor"))
    if kind != DAG and words[0] == _MODEL:
        words, place = _IN_SCRIPT  # the model is called by the flow's own code there
    return _error_info(problem.what, words, place) | _debug_info(words[-1], problem.what, None)


def _raised_info(raised: Raised, kind: str) -> ErrorInfo:
    message = f"Execution failure in '{raised.node}': ({raised.type}) {raised.message}"
    details: dict[str, Any] = {
        "type": raised.type,
        "message": raised.message,
        "traceback": raised.traceback,
    }
    if kind == DAG:
        word = "ToolExecutionError"
        info = _error_info(message, (word,), f"Tool/{raised.module}")
        info["messageFormat"] = "Execution failure in '{node_name}'."
        info["messageParameters"] = {"node_name": raised.node}
        details |= {"filename": raised.file, "lineno": raised.line, "name": raised.function}
        info["additionalInfo"] = [{"type": "ToolExecutionErrorDetails", "info": details}]
    else:
        word = "ScriptExecutionError"
        info = _error_info(message, (word,), "Unknown")
        info["messageFormat"] = "Execution failure in '{func_name}': {error_type_and_message}"
        text = f"({raised.type}) {raised.message}"
        info["messageParameters"] = {"func_name": raised.node, "error_type_and_message": text}
        info["additionalInfo"] = [{"type": "FlexFlowExecutionErrorDetails", "info": details}]
    inner = {"type": raised.type, "message": raised.message, "stackTrace": raised.traceback}
    return info | _debug_info(word, message, {**inner, "innerException": None})


def render_cancellation(node: str) -> ErrorInfo:
    """The error dictionary of a node that was cut while it ran: its line was over before it."""
    words = ("ToolCanceledError",)
    message = f"Node {node!r} was cut: its line had failed or run out of time."
    return _error_info(message, words, "Executor") | _debug_info(words[-1], message, None)


def render_run_error(
    lines: Sequence[tuple[int, Problem]], n_lines: int, whole: Problem | None, kind: str = DAG
) -> ErrorInfo:
    """What a run with failures has in ``error.json``.

    Args:
        lines: Line number and problem of every line that failed, at least one unless ``whole`` is given.
        n_lines: Lines of the run.
        whole: The problem of an aggregation node, or of the run as a whole.
        kind: Kind of the flow.
    """
    errors: list[dict[str, Any]] = [
        {"line_number": number, "error": render_error(problem, kind)} for number, problem in lines
    ]
    count = f"Failed to run {len(errors)}/{n_lines} lines. " if errors else ""
    if whole is not None:
        entry: dict[str, Any] = {"error": render_error(whole, kind)}
        if whole.raised is not None and kind == DAG:
            entry["aggregation_node_name"] = whole.raised.node
        errors.append(entry)
    message = f"{count}First error message is: {errors[0]['error']['message']}"
    info = _error_info(message, ("SDKError", "BulkRunException"), "Runtime")
    info["additionalInfo"] = [{"type": "BulkRunErrors", "info": {"errors": errors}}]
    return info | _debug_info("BulkRunException", message, None)


def _error_info(message: str, words: Sequence[str], place: str) -> ErrorInfo:
    inner: dict[str, Any] | None = None
    for word in reversed(words):
        inner = {"code": word, "innerError": inner}
    return {
        "message": message,
        "messageFormat": "",
        "messageParameters": {},
        "referenceCode": place,
        "code": _USER,
        "innerError": inner,
    }


def _debug_info(kind: str, message: str, inner: ErrorInfo | None) -> ErrorInfo:
    return {"debugInfo": {"type": kind, "message": message, "stackTrace": "", "innerException": inner}}


def _class_name(name: str) -> str:
    """A kebab name in the form of prompt flow's words: ``timed-out`` becomes ``TimedOut``."""
    return "".join(part.capitalize() for part in name.split("-"))
