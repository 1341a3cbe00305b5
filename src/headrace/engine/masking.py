"""Keep secrets out of what is recorded and shown: a tool's exception or print may quote a key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.flow import Flow
from headrace.domain.run import LineResult, NodeResult
from headrace.engine.plain import to_record
from headrace.errors import Problem, Raised
from headrace.tools.model_configuration import ModelConfiguration

MASK = "******"
_SECRET_SETTINGS = ("api_key",)
_SHORTEST = 8
"""Shorter values are placeholders or words of the language; masking them would spoil ordinary text."""


def secret_inputs(flow: Flow, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Values of the flow inputs that are declared as ``secret``."""
    return tuple(
        str(inputs[name])
        for name, declared in flow.inputs.items()
        if declared.type == "secret" and inputs.get(name)
    )


def secret_settings(settings: Any) -> tuple[str, ...]:
    """Keys among the settings that a flow was given, e.g. in the model configuration of a constructor."""
    if isinstance(settings, Mapping):
        own = [str(value) for name, value in settings.items() if name in _SECRET_SETTINGS and value]
        return (*own, *(word for value in settings.values() for word in secret_settings(value)))
    return secret_settings(vars(settings)) if isinstance(settings, ModelConfiguration) else ()


def mask_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are recorded: plain, and with :data:`MASK` for the keys among them."""
    words = set(secret_settings(settings))
    return {name: _mask_words(to_record(value), words) for name, value in settings.items()}


def _mask_words(value: Any, words: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _mask_words(item, words) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask_words(item, words) for item in value]
    return MASK if isinstance(value, str) and value in words else value


def is_masked(settings: Any) -> bool:
    """Whether :func:`mask_settings` has left something out."""
    values = (
        settings.values() if isinstance(settings, Mapping) else settings if isinstance(settings, list) else ()
    )
    return settings == MASK or any(is_masked(value) for value in values)


def mask_line(result: LineResult, secrets: Collection[str], flow: Flow) -> LineResult:
    """A line's record without secrets. Flow outputs stay: they are what the user asked for.

    Args:
        result: What happened.
        secrets: Values that connections gave out so far.
        flow: Declares which inputs are secret; those are masked whatever their length.
    """
    if not secrets and "secret" not in [item.type for item in flow.inputs.values()]:
        return result
    declared = {
        name: MASK for name, item in flow.inputs.items() if item.type == "secret" and name in result.inputs
    }
    words = _words((*secrets, *secret_inputs(flow, result.inputs)))
    if not words and not declared:
        return result
    return replace(
        result,
        inputs={**_mask(result.inputs, words), **declared},
        problem=_mask_problem(result.problem, words),
        nodes=mask_nodes(result.nodes, words),
    )


def mask_nodes(nodes: Collection[NodeResult], secrets: Collection[str]) -> tuple[NodeResult, ...]:
    """Records of nodes without secrets."""
    words = _words(secrets)
    if not words:
        return tuple(nodes)
    return tuple(
        replace(
            node,
            inputs=_mask(node.inputs, words),
            output=_mask(node.output, words),
            problem=_mask_problem(node.problem, words),
            logs=_mask(node.logs, words),
        )
        for node in nodes
    )


def mask_text(text: str, secrets: Collection[str]) -> str:
    """A text without secrets."""
    return str(_mask(text, _words(secrets)))


def mask_metrics(metrics: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """Metrics as plain data without secrets."""
    words = _words(secrets)
    return {name: _mask(to_record(value), words) for name, value in metrics.items()}


def mask_content(content: Mapping[str, Any], secrets: Collection[str]) -> Mapping[str, Any]:
    """What a span has taken down without secrets."""
    words = _words(secrets)
    return {name: _mask(value, words) for name, value in content.items()} if words else content


def mask_problem(problem: Problem | None, secrets: Collection[str]) -> Problem | None:
    """A problem without secrets."""
    return _mask_problem(problem, _words(secrets))


def _words(secrets: Collection[str]) -> tuple[str, ...]:
    # The longest first: one secret may be a part of another.
    return tuple(sorted({word for word in secrets if len(word) >= _SHORTEST}, key=len, reverse=True))


def _mask(value: Any, words: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, MASK)
        return value
    if isinstance(value, Mapping):
        masked = {key: _mask(item, words) for key, item in value.items()}
        return value if masked == value else masked  # an image's form knows more than its keys and values
    if isinstance(value, (list, tuple)):
        return [_mask(item, words) for item in value]
    return value


def _mask_problem(problem: Problem | None, words: tuple[str, ...]) -> Problem | None:
    if problem is None or not words:
        return problem
    return replace(
        problem,
        what=_mask(problem.what, words),
        fix=_mask(problem.fix, words),
        detail=tuple(_mask(problem.detail, words)),
        raised=_mask_raised(problem.raised, words),
    )


def _mask_raised(raised: Raised | None, words: tuple[str, ...]) -> Raised | None:
    if raised is None:
        return None
    return replace(raised, message=_mask(raised.message, words), traceback=_mask(raised.traceback, words))
