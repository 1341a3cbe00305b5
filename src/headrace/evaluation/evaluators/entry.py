"""What the flow of a built-in evaluator calls: scores by name, with labels and reasons beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluation.evaluators.base import flatten
from headrace.evaluation.evaluators.registry import BUILTINS, make_judge
from headrace.providers.loading import load_by_name


class BuiltinEntry:
    """A built-in evaluator as the entry of a flow.

    Args:
        evaluator: Its name.
        name: What it is called here.
        parameters: Its options.
        version: Noted with the run; does nothing.
    """

    headrace_inputs = True
    headrace_cache = False

    def __init__(self, evaluator: str, name: str, parameters: dict[str, Any], version: str = "") -> None:
        del version
        self._builtin = BUILTINS[evaluator]
        self._name = name
        self._judge = make_judge(self._builtin, parameters)

    async def __call__(self, **inputs: Any) -> dict[str, Any]:
        """The scores of one line; awaited only so that no thread is asked for a few microseconds of work.

        Raises:
            UnscorableError: G921 where nothing can be said of the line.
        """
        return self.score(**inputs)

    def score(self, **inputs: Any) -> dict[str, Any]:
        """The scores of one line.

        Raises:
            UnscorableError: G921 where nothing can be said of the line.
        """
        return flatten(self._judge(**inputs), self._name)

    def __aggregate__(self, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Mean of each score over the lines that have it, and what else the evaluator says of all lines."""
        means = mean_scores(lines)
        if self._builtin.aggregate:
            own = self._builtin.outputs[0].name or self._name
            means |= load_by_name(self._builtin.aggregate)(lines, own)
        return means


def mean_scores(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean of every output that is a number, over the lines that have it as a finite number."""
    values: dict[str, list[float]] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, (bool, int, float)) and math.isfinite(value):
                values.setdefault(name, []).append(float(value))
    return {name: math.fsum(found) / len(found) for name, found in values.items()}
