"""The flows that evaluators are run as."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.evaluation import EvaluatorSpec
from headrace.errors import DefinitionError, Problem
from headrace.evaluation.judges.settings import is_grader
from headrace.operations.judge_flows import judge_flow
from headrace.operations.workspace import Workspace
from headrace.source import Span


def evaluator_flow(workspace: Workspace, evaluator: EvaluatorSpec, place: Span | None = None) -> Path:
    """The flow that an evaluator is run as.

    Args:
        workspace: For connections and the place of what is written.
        evaluator: The evaluator.
        place: Where it stands in an experiment file.

    Raises:
        DefinitionError: F010 for an evaluator that is no flow; for a grader as
            :func:`headrace.operations.judge_flows.judge_flow`.
    """
    if is_grader(evaluator.builtin):
        return judge_flow(workspace, evaluator, place)
    if evaluator.flow_path is None:
        what = f"The evaluator {evaluator.name!r} is no evaluation flow."
        fix = "Name an evaluation flow."
        raise DefinitionError(Problem(code="F010", what=what, span=place, fix=fix))
    return Path(evaluator.flow_path)
