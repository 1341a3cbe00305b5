"""From what judges say to one score: means, words, reasons, and nothing where somebody says nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from headrace.domain.run import Usage
from headrace.errors import Problem, RemoteRequestError
from headrace.evaluation.judges.asking import Judge
from headrace.evaluation.judges.graders import load_grader
from headrace.evaluation.judges.panel import Panel, judge_answer
from headrace.providers.base import ModelRequest, ModelResponse
from headrace.telemetry.spans import ActiveSpan
from headrace.tools.base import NodeContext

Answer = Callable[[str, Sequence[Mapping[str, Any]]], Any]
ANSWER = {"answer": "Rome", "question": "Which city?", "reference": "Rome, Italy", "context": "It is Rome."}


@dataclass
class Service:
    """Answers as ``reply`` says of the model and the messages."""

    reply: Answer
    requests: list[ModelRequest] = field(default_factory=list)
    system: str = "openai"
    address: str | None = None
    port: int | None = None

    async def send(self, request: ModelRequest) -> ModelResponse:
        self.requests.append(request)
        said = self.reply(request.model, request.body["messages"])
        message = said if isinstance(said, dict) else {"message": {"role": "assistant", "content": said}}
        return ModelResponse(
            body={"choices": [message]}, usage=Usage(calls=1, prompt_tokens=10, completion_tokens=5)
        )

    def stream(self, request: ModelRequest) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is held."""


def said(grade: int, reason: str = "So.") -> str:
    return json.dumps({"grade": grade, "reason": reason})


def judge_by(
    reply: Answer,
    *models: str,
    grader: str = "correctness",
    given: Mapping[str, Any] = ANSWER,
    steps: dict[tuple[str, str], str] | None = None,
    **fields: Any,
) -> tuple[dict[str, Any], Service]:
    service = Service(reply)
    judges = tuple(Judge(name=name, connection="c", model=name) for name in models or ("m",))
    panel = Panel(name="q", grader=load_grader(grader), judges=judges, **fields)

    async def run() -> dict[str, Any]:
        context = NodeContext(
            node="q",
            line_number=0,
            span=ActiveSpan("q", trace_id="0" * 32, parent_id=None, sink=lambda _: None),
            open_client=lambda _: service,
            loop=asyncio.get_running_loop(),
        )
        return await judge_answer(panel, given, context, {} if steps is None else steps)

    return asyncio.run(run()), service


def test_repeats_are_averaged_and_the_grade_follows() -> None:
    grades = iter((4, 5, 3))
    outputs, _ = judge_by(lambda *_: said(next(grades)), repeats=3)
    assert (outputs["q"], outputs["q_grade"]) == (0.75, 4.0)
    assert outputs["q_reason"] == "So."
    assert [item["repeat"] for item in outputs["q_judgements"]] == [0, 1, 2]


def test_the_label_is_the_most_frequent_and_else_the_one_of_the_score() -> None:
    grades = {"a": 5, "b": 5, "c": 1}
    assert judge_by(lambda model, _: said(grades[model]), "a", "b", "c")[0]["q_label"] == "correct"
    grades = {"a": 5, "b": 4}
    outputs, _ = judge_by(lambda model, _: said(grades[model]), "a", "b")
    assert (outputs["q"], outputs["q_label"]) == (0.875, "correct")


def test_a_panel_with_a_judge_that_says_nothing_has_no_score_and_keeps_the_others() -> None:
    outputs, service = judge_by(lambda model, _: said(5) if model == "a" else "Lovely!", "a", "b")
    assert outputs["q"] is outputs["q_grade"] is outputs["q_label"] is None
    assert (outputs["q.a"], outputs["q.b"]) == (1.0, None)
    assert outputs["q_reason"].startswith("The judge b gave no judgement, asked twice:")
    assert len(service.requests) == 3


def test_a_judge_that_is_readable_in_one_repeat_has_the_score_of_that() -> None:
    replies = iter((said(2), "?", "?", said(4)))
    outputs, _ = judge_by(lambda *_: next(replies), repeats=3)
    assert outputs["q"] == 0.5
    assert [item.get("score") for item in outputs["q_judgements"]] == [0.25, None, 0.75]
    assert "error" in outputs["q_judgements"][1]


@pytest.mark.parametrize("odd", [None, "", {"message": {"content": None}}, {"message": {"content": [1]}}, {}])
def test_a_reply_without_text_is_no_judgement_and_no_failure(odd: Any) -> None:
    outputs, service = judge_by(lambda *_: odd)
    assert outputs["q"] is None
    assert "asked twice" in outputs["q_reason"]
    assert len(service.requests) == 2


def test_a_service_that_refuses_is_raised() -> None:
    def refuse(*_: Any) -> Any:
        raise RemoteRequestError(Problem(code="P703", what="No."))

    with pytest.raises(RemoteRequestError):
        judge_by(refuse)


def winner(model: str, messages: Sequence[Mapping[str, Any]]) -> str:
    first = messages[1]["content"].split("<<<FIRST")[1].split("<<<SECOND")[0]
    if model == "fair":
        return json.dumps({"winner": "first" if "Rome" in first else "second"})
    if model == "upside":
        return json.dumps({"winner": "first"})
    return "Both are nice." if "Rome" in first else json.dumps({"winner": "first"})


@pytest.mark.parametrize(("model", "score", "label"), [("fair", 1.0, "better"), ("upside", 0.5, "tie")])
def test_a_judge_that_goes_by_the_order_sees_a_tie(model: str, score: float, label: str) -> None:
    outputs, service = judge_by(winner, model, grader="pairwise", given={**ANSWER, "baseline": "Paris"})
    assert (outputs["q"], outputs["q_label"]) == (score, label)
    assert "q_grade" not in outputs
    assert len(service.requests) == 2


def test_a_comparison_in_one_order_only_is_no_comparison() -> None:
    outputs, _ = judge_by(winner, "half", grader="pairwise", given={**ANSWER, "baseline": "Paris"})
    assert outputs["q"] is None
    assert "half gave no judgement" in outputs["q_reason"]


@pytest.mark.parametrize(
    ("baseline", "answer", "score"),
    [("Rome", "Rome", 0.5), ("", "Rome", 1.0), ("Rome", "", 0.0), (None, "Rome", None)],
)
def test_what_is_clear_asks_nobody(baseline: str | None, answer: str, score: float | None) -> None:
    given = {"answer": answer, "baseline": baseline}
    outputs, service = judge_by(winner, "fair", "upside", grader="pairwise", given=given)
    assert (outputs["q"], outputs["q.fair"], outputs["q.upside"]) == (score, score, score)
    assert outputs["q_reason"]
    assert service.requests == []


def stepwise(_: str, messages: Sequence[Mapping[str, Any]]) -> str:
    return '{"steps": ["Look."]}' if '"steps"' in messages[0]["content"] else said(4)


def test_steps_are_kept_by_model_and_criteria_and_given_ones_are_used() -> None:
    steps: dict[tuple[str, str], str] = {}
    for criteria in ("Truth.", "Truth.", "Beauty."):
        judge_by(stepwise, grader="geval", criteria=criteria, steps=steps)
    assert steps == {("c/m", "Truth."): "1. Look.", ("c/m", "Beauty."): "1. Look."}
    outputs, service = judge_by(stepwise, grader="geval", criteria="Truth.", steps=steps)
    assert (outputs["q"], len(service.requests)) == (0.75, 1)
    _, service = judge_by(stepwise, grader="geval", criteria="Truth.", steps={})
    assert len(service.requests) == 2


def test_a_judge_that_makes_no_steps_gives_no_score() -> None:
    outputs, _ = judge_by(lambda *_: said(4), grader="geval", criteria="Truth.")
    assert outputs["q"] is None
    assert outputs["q_reason"] == "The judge made no steps of the criteria."


def test_criteria_of_the_line_come_before_those_of_the_evaluator() -> None:
    _, service = judge_by(
        lambda *_: said(4), grader="rubric", criteria="Truth.", given={**ANSWER, "criteria": "Wit."}
    )
    content = service.requests[0].body["messages"][1]["content"]
    assert "Wit." in content
    assert "Truth." not in content
