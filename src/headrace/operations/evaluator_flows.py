"""The flows that evaluators are run as."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.evaluation import EvaluatorSpec
from headrace.errors import DefinitionError, Problem
from headrace.source import Span


def evaluator_flow(evaluator: EvaluatorSpec, place: Span | None = None) -> Path:
    """The flow that an evaluator is run as.

    Args:
        evaluator: The evaluator.
        place: Where it stands in an experiment file.

    Raises:
        DefinitionError: F010 for an evaluator that is no flow.
    """
    if evaluator.flow_path is None:
        what = f"The evaluator {evaluator.name!r} is no evaluation flow."
        fix = "Name an evaluation flow."
        raise DefinitionError(Problem(code="F010", what=what, span=place, fix=fix))
    return Path(evaluator.flow_path)
