"""What evaluation runs call: one class for each set of inputs that graders have.

An instance is made with the settings of :func:`headrace.evaluation.judges.settings.panel_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.evaluation.judges.graders import Grader
from headrace.evaluation.judges.panel import judge_answer
from headrace.evaluation.judges.settings import read_panel
from headrace.tools.base import current_node

_known_steps: dict[tuple[str, str], str] = {}
"""What geval made of criteria, so that all arms that one process evaluates are graded by the same steps."""


class _PanelEntry:
    """Makes the panel, and asks it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._panel = read_panel(settings)

    async def _judge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        context = current_node.get()
        if context is None:
            message = "a judge is a part of an evaluation run"
            raise RuntimeError(message)
        return await judge_answer(self._panel, given, context, _known_steps)


class AnswerJudge(_PanelEntry):
    """Judges an answer by itself."""

    async def __call__(self, answer: object, question: object = "") -> dict[str, Any]:
        """Scores of one answer."""
        return await self._judge({"answer": answer, "question": question})


class QuestionJudge(_PanelEntry):
    """Judges an answer to a question."""

    async def __call__(self, answer: object, question: object) -> dict[str, Any]:
        """Scores of one answer."""
        return await self._judge({"answer": answer, "question": question})


class ContextJudge(_PanelEntry):
    """Judges an answer by the context that it was written from."""

    async def __call__(self, answer: object, context: object, question: object = "") -> dict[str, Any]:
        """Scores of one answer."""
        return await self._judge({"answer": answer, "context": context, "question": question})


class ReferenceJudge(_PanelEntry):
    """Judges an answer by a reference."""

    async def __call__(self, answer: object, reference: object, question: object = "") -> dict[str, Any]:
        """Scores of one answer."""
        return await self._judge({"answer": answer, "reference": reference, "question": question})


class CriteriaJudge(_PanelEntry):
    """Judges an answer by criteria."""

    async def __call__(
        self,
        answer: object,
        question: object = "",
        context: object = "",
        reference: object = "",
        criteria: object = "",
    ) -> dict[str, Any]:
        """Scores of one answer."""
        given = {"answer": answer, "question": question, "context": context}
        return await self._judge({**given, "reference": reference, "criteria": criteria})


class PairJudge(_PanelEntry):
    """Judges an answer against the baseline's."""

    async def __call__(
        self,
        answer: object,
        baseline: object,
        question: object = "",
        context: object = "",
        reference: object = "",
        criteria: object = "",
    ) -> dict[str, Any]:
        """Scores of one answer."""
        given = {"answer": answer, "baseline": baseline, "question": question, "context": context}
        return await self._judge({**given, "reference": reference, "criteria": criteria})


_CLASSES = {
    "groundedness": ContextJudge,
    "relevance": QuestionJudge,
    "similarity": ReferenceJudge,
    "correctness": ReferenceJudge,
    "rubric": CriteriaJudge,
    "geval": CriteriaJudge,
    "pairwise": PairJudge,
}


def entry_of(grader: Grader) -> str:
    """The entry ``module:class`` of the flow that a grader is run as."""
    return f"{__name__}:{_CLASSES.get(grader.name, AnswerJudge).__name__}"
