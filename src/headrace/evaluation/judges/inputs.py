"""What graders take, and what of a run and its data means it where no mapping says."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.evaluation.evaluators.base import REFERENCE, EvaluatorInput, prediction_input
from headrace.evaluation.judges.graders import PAIRWISE, load_grader

BASELINE = "baseline"
"""The input of :data:`PAIRWISE` that is what the baseline arm answered: the output of the same name, unless mapped."""

_QUESTION, _CONTEXT, _CRITERIA = "question", "context", "criteria"
_OTHERS: tuple[tuple[str, str, Sequence[str]], ...] = (
    (_QUESTION, "what was asked", ("question", "query", "prompt", "input")),
    (
        _CONTEXT,
        "the passages that the answer may rely on",
        ("context", "contexts", "passages", "documents", "retrieved"),
    ),
    ("reference", "the right answer", REFERENCE),
    (_CRITERIA, "what counts", ()),  # a parameter, unless every line has its own
)
"""Input, what it is, and outputs and columns that mean it, the likeliest first."""


def grader_inputs(name: str) -> tuple[EvaluatorInput, ...]:
    """The inputs of a grader.

    A question is shown to every judge whose grader takes one. Context and reference are found only for graders that
    cannot do without: to others they are shown where they are mapped, because they change what is judged.

    Raises:
        KeyError: There is no grader of this name.
    """
    grader = load_grader(name)
    inputs = [prediction_input(name="answer")]
    if name == PAIRWISE:
        inputs.append(EvaluatorInput(name=BASELINE, title="what the baseline answered"))
    for item, title, columns in _OTHERS:
        if item in grader.flow.inputs:
            is_needed = item in grader.needs and item != _CRITERIA
            is_found = is_needed or item == _QUESTION
            inputs.append(
                EvaluatorInput(
                    name=item,
                    title=title,
                    outputs=columns if is_needed and item == _CONTEXT else (),
                    columns=columns if is_found else (),
                    is_required=is_needed,
                )
            )
    return tuple(inputs)
