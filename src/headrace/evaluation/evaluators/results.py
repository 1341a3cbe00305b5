"""What Python evaluators return, as scores: numbers, mappings, and the results of other libraries by their shape.

| returned | becomes |
| --- | --- |
| a number or truth value | the score |
| text | the label; with a value for the words of ``WORD_VALUES``, such as pass and fail |
| an object or mapping with ``value`` or ``score`` | the score, with ``label`` and ``reason`` |
| any other mapping | a score for each number; ``S_label`` and ``S_reason`` beside them |
| the mapping of azure-ai-evaluation | the same, with ``S_result`` as the label and without its notes |
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from headrace.domain.scores import WORD_VALUES, Score
from headrace.evaluation.evaluators.base import MAIN, flatten, unscorable

_VALUES = ("value", "score")
_LABELS = ("label", "result")
_REASONS = ("reason", "reasoning", "rationale", "explanation")
_PARTS = frozenset((*_VALUES, *_LABELS, *_REASONS, "name", "metadata", "error", "cost_usd", "traces"))
_AZURE_NOTES = re.compile(
    r"gpt_.+|.+_(?:threshold|passed|prompt_tokens|completion_tokens|total_tokens|finish_reason|model|sample_input"
    r"|sample_output|status|properties|details)"
)


def read_result(found: Any, evaluator: str, *, is_azure: bool = False) -> dict[str, Any]:
    """Outputs of a line: scores by name, with labels and reasons beside them.

    Args:
        found: What the evaluator returned.
        evaluator: Its name, which is also that of a single score.
        is_azure: Whether azure-ai-evaluation made it.

    Raises:
        UnscorableError: G921 where there is no score in it.
    """
    if isinstance(found, Mapping) and not is_one_score(found):
        outputs = _read_mapping(found, is_azure=is_azure)
    else:
        outputs = flatten({MAIN: _read_score(found, evaluator)}, evaluator)
    if not any(isinstance(value, float) or name.endswith("_label") for name, value in outputs.items()):
        what = f"{evaluator} gave no score: what it returned holds no finite number."
        raise unscorable(what, "Return a number, a Score, or a mapping of numbers.")
    return outputs


def is_one_score(keys: Collection[str]) -> bool:
    """Whether a mapping of these keys is a score with what stands beside it, and not several scores."""
    return _PARTS.issuperset(keys) and any(key in keys for key in _VALUES)


def _read_mapping(found: Mapping[str, Any], *, is_azure: bool) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for key, value in found.items():
        name = str(key)
        if is_azure and _AZURE_NOTES.fullmatch(name):
            continue
        if is_azure and name.endswith("_result"):
            name = f"{name.removesuffix('_result')}_label"
        if isinstance(value, Mapping) and _PARTS.issuperset(value):
            outputs |= flatten({MAIN: _read_score(value, name)}, name)
            continue
        number = _number(value)
        if number is not None:
            outputs[name] = number
        elif isinstance(value, str) and name.endswith(("_label", "_reason")):
            outputs[name] = value
    if is_azure:
        _name_labels(outputs)
    return outputs


def _name_labels(outputs: dict[str, Any]) -> None:
    """Drop the second name ``S_score`` of a score, and give labels and reasons the name of theirs."""
    for name in [name for name in outputs if name.endswith("_score")]:
        if outputs.get(name.removesuffix("_score")) == outputs[name]:
            del outputs[name]
    for name in [name for name in outputs if name.endswith(("_label", "_reason"))]:
        stem, _, kind = name.rpartition("_")
        if stem not in outputs and f"{stem}_score" in outputs:
            outputs[f"{stem}_score_{kind}"] = outputs.pop(name)


def _read_score(found: Any, evaluator: str) -> Score:
    number = _number(found)
    if number is not None:
        return Score(value=number)
    if isinstance(found, str):
        return Score(value=WORD_VALUES.get(found.strip().lower()), label=found)
    if found is None or isinstance(found, (bool, int, float, list, tuple)):
        what = f"{evaluator} gave no score: it returned {_kind(found)}."
        raise unscorable(what, "Return a number, a Score, or a mapping of numbers.")
    error = _part(found, ("error",))
    if error is not None:
        what = (
            f"{evaluator} gave no score: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )
        raise unscorable(what, "See what the evaluator says.")
    value = _part(found, _VALUES)
    label, reason = _part(found, _LABELS), _part(found, _REASONS)
    if reason is None:
        reason = _part(_part(found, ("metadata",)) or {}, _REASONS)
    if isinstance(value, str):
        label, value = label or value, WORD_VALUES.get(value.strip().lower())
    return Score(
        value=_number(value),
        label=label if isinstance(label, str) else None,
        reason=reason if isinstance(reason, str) and reason else None,
    )


def _part(found: Any, names: tuple[str, ...]) -> Any:
    """The first of some parts that an object or mapping has a value for."""
    if isinstance(found, Mapping):
        return next((found[name] for name in names if found.get(name) is not None), None)
    return next((value for name in names if (value := getattr(found, name, None)) is not None), None)


def _number(value: Any) -> float | None:
    """A finite number; those of numpy count, being made into Python's by ``item``."""
    if not isinstance(value, (bool, int, float)) and hasattr(value, "item") and not hasattr(value, "value"):
        try:
            value = value.item()
        except (TypeError, ValueError):
            return None
    if not isinstance(value, (bool, int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _kind(found: Any) -> str:
    if found is None:
        return "nothing"
    return "no finite number" if isinstance(found, (int, float)) else f"a {type(found).__name__}"
