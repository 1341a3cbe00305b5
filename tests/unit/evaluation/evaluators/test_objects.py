"""Python that judges; objects of other libraries by small ones of their shape, and by the real ones where they are."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, overload

import pytest

from headrace.domain.scores import Score
from headrace.errors import DefinitionError, ExecutionError
from headrace.evaluation.evaluators.objects import Callee, make_callee
from headrace.evaluation.evaluators.results import read_result


def judge(callee: Callee, **inputs: Any) -> dict[str, Any]:
    found = callee.call(**inputs)
    if inspect.isawaitable(found):
        assert callee.is_async

        async def wait() -> Any:
            return await found

        found = asyncio.run(wait())
    return callee.read(found, "own")


def names(callee: Callee) -> dict[str, bool]:
    return {item.name: item.is_required for item in callee.inputs}


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (0.5, {"own": 0.5}),
        (True, {"own": 1.0}),
        ("pass", {"own": 1.0, "own_label": "pass"}),
        ("blue", {"own_label": "blue"}),
        (Score(value=0.5, label="l", reason="r"), {"own": 0.5, "own_label": "l", "own_reason": "r"}),
        ({"value": 1, "reason": "r"}, {"own": 1.0, "own_reason": "r"}),
        ({"score": 0}, {"own": 0.0}),
        ({"a": 1, "b": 0.5, "b_reason": "r", "note": "n"}, {"a": 1.0, "b": 0.5, "b_reason": "r"}),
        ({"a": {"value": 1, "label": "x"}}, {"a": 1.0, "a_label": "x"}),
        ({"a": 1, "b": None}, {"a": 1.0}),
    ],
)
def test_what_python_may_return(returned: Any, expected: dict[str, Any]) -> None:
    assert read_result(returned, "own") == expected


@pytest.mark.parametrize(
    "returned",
    [None, float("nan"), float("inf"), [1], {}, {"a": "b"}, Score(value=None, error="E1 it broke"), 10**400],
)
def test_what_is_no_score_is_missing(returned: Any) -> None:
    with pytest.raises(ExecutionError) as raised:
        read_result(returned, "own")
    assert raised.value.problems[0].code == "G921"


def test_functions_and_classes() -> None:
    async def later(answer: str, *, strict: bool = False) -> float:
        await asyncio.sleep(0)
        return float(strict)

    class Long:
        def __init__(self, least: int) -> None:
            self.least = least

        def __call__(self, response: str) -> bool:
            return len(response) >= self.least

    callee = make_callee(later, {"strict": True})
    assert (names(callee), judge(callee, answer="a")) == ({"answer": True}, {"own": 1.0})
    callee = make_callee(Long, {"least": 2})
    assert (names(callee), judge(callee, response="a")) == ({"response": True}, {"own": 0.0})


def test_what_cannot_be_called_is_refused() -> None:
    for found in (3, lambda answer, /: 1):
        with pytest.raises(DefinitionError) as raised:
            make_callee(found, {})
        assert raised.value.problems[0].code == "G926"


class AzureLike:
    """As the evaluators of azure-ai-evaluation: inputs by overloads, notes among the results."""

    __module__ = "azure.ai.evaluation.fake"

    @overload
    def __call__(self, *, response: str, ground_truth: str) -> dict[str, Any]: ...
    @overload
    def __call__(self, *, conversation: dict[str, Any]) -> dict[str, Any]: ...
    def __call__(self, **inputs: Any) -> dict[str, Any]:
        return {
            "f1_score": 0.8, "f1_score_score": 0.8, "f1_result": "pass", "f1_threshold": 0.5,
            "gpt_f1": 4, "f1_prompt_tokens": 12, "f1_score_reason": "close",
        }  # fmt: skip


def test_azure_ai_evaluation() -> None:
    callee = make_callee(AzureLike, {})
    assert names(callee) == {"response": True, "ground_truth": True}
    assert judge(callee, response="a", ground_truth="a") == {
        "f1_score": 0.8,
        "f1_score_label": "pass",
        "f1_score_reason": "close",
    }


class AutoevalsLike:
    """As the scorers of autoevals."""

    __module__ = "autoevals.fake"

    async def eval_async(self, output: Any, expected: Any = None, **more: Any) -> Any:
        return SimpleNamespace(score=0.25, metadata={"rationale": "why"}, error=more.get("error"))

    def _run_eval_sync(self, output: Any, expected: Any = None, **more: Any) -> Any:
        return None

    def __call__(self, output: Any, expected: Any = None) -> Any:
        return None


def test_autoevals() -> None:
    callee = make_callee(AutoevalsLike, {})
    assert names(callee) == {"output": True, "expected": False, "input": False}
    assert judge(callee, output="a", expected="b") == {"own": 0.25, "own_reason": "why"}
    with pytest.raises(ExecutionError, match="broke"):
        judge(callee, output="a", error=ValueError("it broke"))


class RagasLike:
    """As the metrics of ragas that name their inputs."""

    __module__ = "ragas.fake"

    async def ascore(self, response: str, reference: str) -> Any:
        return SimpleNamespace(value=float(response == reference), reason="compared")


@dataclass
class RagasSampleLike:
    """As the metrics of ragas that take a sample."""

    required_columns = {"SINGLE_TURN": {"response", "reference"}}  # noqa: RUF012 - as theirs

    async def single_turn_ascore(self, sample: Any) -> float:
        return float(sample.response == sample.reference)


RagasSampleLike.__module__ = "ragas.fake"


def test_ragas() -> None:
    callee = make_callee(RagasLike, {})
    assert names(callee) == {"response": True, "reference": True}
    assert judge(callee, response="a", reference="a") == {"own": 1.0, "own_reason": "compared"}
    callee = make_callee(RagasSampleLike, {})
    assert names(callee) == {"reference": True, "response": True}
    assert judge(callee, response="a", reference="b") == {"own": 0.0}


class DeepevalLike:
    """As the metrics of deepeval, which keep their last score in themselves."""

    __module__ = "deepeval.fake"
    _required_params = (SimpleNamespace(value="actual_output"), SimpleNamespace(value="retrieval_context"))

    async def a_measure(self, test_case: Any, _show_indicator: bool = True) -> float:
        self.score = float(test_case.actual_output in test_case.retrieval_context and not _show_indicator)
        self.reason, self.success, self.error = "looked", self.score > 0, None
        return self.score


def test_deepeval() -> None:
    callee = make_callee(DeepevalLike, {})
    assert names(callee) == {"actual_output": True, "retrieval_context": True}
    found = judge(callee, actual_output="a", retrieval_context="a")
    assert found == {"own": 1.0, "own_label": "pass", "own_reason": "looked"}


REAL = (
    ("azure.ai.evaluation", "F1ScoreEvaluator", {"response": "the cat", "ground_truth": "cat"}, 1.0),
    ("autoevals", "Levenshtein", {"output": "kitten", "expected": "sitting"}, 4 / 7),
    ("ragas.metrics.collections", "ExactMatch", {"response": "a", "reference": "a"}, 1.0),
    (
        "deepeval.metrics",
        "ExactMatchMetric",
        {"input": "q", "actual_output": "a", "expected_output": "a"},
        1.0,
    ),
)


@pytest.mark.parametrize(("module", "name", "inputs", "expected"), REAL, ids=[item[0] for item in REAL])
def test_the_real_one_where_it_is_installed(
    module: str, name: str, inputs: dict[str, str], expected: float
) -> None:
    pytest.importorskip(module.partition(".")[0] if module != "azure.ai.evaluation" else module)
    callee = make_callee(getattr(import_module(module), name), {})
    assert {key for key, is_required in names(callee).items() if is_required} <= set(inputs)
    scores = [value for value in judge(callee, **inputs).values() if isinstance(value, float)]
    assert scores == pytest.approx([expected])
