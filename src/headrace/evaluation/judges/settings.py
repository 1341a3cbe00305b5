"""What an experiment says about the judges of an evaluator, checked, and written so that a run can be made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.flow import Flow
from headrace.domain.variant import ModelSpec, Price
from headrace.errors import Problem, nearest
from headrace.evaluation.judges.asking import Judge, request_parameters
from headrace.evaluation.judges.graders import GEVAL, GRADERS, PAIRWISE, Grader, load_grader
from headrace.evaluation.judges.panel import Panel
from headrace.source import Span

JUDGES_PROPERTY = "headrace.judges"
"""Property of an evaluation run: the version of each judge that graded its lines."""

_CRITERIA = "criteria"
_STEPS = "steps"
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "rubric": (_CRITERIA,),
    GEVAL: (_CRITERIA, _STEPS),
    PAIRWISE: (_CRITERIA,),
}
_DIGEST_LENGTH = 12


def is_grader(name: str | None) -> bool:
    """Whether a built-in evaluator is one that asks models."""
    return name in GRADERS


def check_judges(evaluator: EvaluatorSpec, place: Span | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong with the judges of an evaluator, apart from their connections.

    Args:
        evaluator: One whose ``builtin`` is a grader.
        place: Where it stands in an experiment file.

    Returns:
        G942 where no model is named, F003 where two judges have one name, G944 for parameters.
    """
    return tuple(_judge_problems(evaluator, place))


def _judge_problems(evaluator: EvaluatorSpec, place: Span | None) -> Iterator[Problem]:
    name = evaluator.builtin or ""
    if not evaluator.models:
        what = f"The evaluator {evaluator.name!r} grades with a model, and no model is named."
        judge = "my_connection/gpt-4o-mini"
        fix = f"Write {{builtin: {name}, models: [{judge}]}}, or --judge {judge} on the command line."
        yield Problem(code="G942", what=what, span=place, fix=fix)
    names = [model.name for model in evaluator.models]
    for repeated in sorted({item for item in names if names.count(item) > 1}):
        what = f"Two judges of the evaluator {evaluator.name!r} are called {repeated!r}."
        yield Problem(code="F003", what=what, span=place, fix="Give each a name of its own: {name: …, …}.")
    known = _PARAMETERS.get(name, ())
    for key, value in evaluator.parameters.items():
        if key not in known:
            near = nearest(key, known)
            has = f"Its parameters are: {', '.join(known)}." if known else f"Remove {key}."
            what = f"The grader {name} has no parameter {key!r}."
            fix = f'Did you mean "{near}"?' if near else has
            yield Problem(code="G944", what=what, span=place, fix=fix)
        elif not _lines(value):
            what = f"The parameter {key} of the grader {name} should be a text."
            yield Problem(code="G944", what=what, span=place, fix=f"Say in words what {key} are.")
    needs_criteria = _CRITERIA in load_grader(name).needs
    if needs_criteria and _CRITERIA not in {**evaluator.parameters, **evaluator.column_mapping}:
        what = f"The grader {name} grades by criteria, and none are given."
        fix = "Add parameters: {criteria: …}, or map the input criteria to a column."
        yield Problem(code="G944", what=what, span=place, fix=fix)


def calls_per_answer(evaluator: EvaluatorSpec) -> int:
    """Calls that a grader makes for one answer that is not clear without a judge, steps of geval aside."""
    positions = 2 if evaluator.builtin == PAIRWISE else 1
    return len(evaluator.models) * evaluator.repeats * positions


def panel_settings(evaluator: EvaluatorSpec) -> dict[str, Any]:
    """The judges of an evaluator as plain data; :func:`read_panel` reads it.

    Args:
        evaluator: One in which :func:`check_judges` finds nothing.
    """
    grader = load_grader(evaluator.builtin or "")
    return {
        "name": evaluator.name,
        "grader": grader.name,
        "digest": grader.digest,
        "judges": [_model_json(model) for model in evaluator.models],
        "repeats": evaluator.repeats,
        _CRITERIA: _lines(evaluator.parameters.get(_CRITERIA)),
        _STEPS: _lines(evaluator.parameters.get(_STEPS)),
    }


def read_panel(settings: Mapping[str, Any]) -> Panel:
    """Make a panel of what :func:`panel_settings` has written."""
    return Panel(
        name=settings["name"],
        grader=load_grader(settings["grader"]),
        judges=tuple(_read_judge(item) for item in settings["judges"]),
        repeats=settings["repeats"],
        criteria=settings[_CRITERIA],
        steps=settings[_STEPS],
    )


def judge_versions(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The version of each judge: ``grader@version · connection/model · digest``.

    The digest is over the text of the prompty, the parameters of the request, criteria and steps.

    Args:
        settings: As :func:`panel_settings` has written them.
    """
    panel = read_panel(settings)
    grader = panel.grader
    return tuple(
        f"{grader.name}@{grader.version} · {judge.connection}/{judge.model} · {_digest(grader, judge, settings)}"
        for judge in panel.judges
    )


def judge_properties(flow: Flow) -> dict[str, Any]:
    """What a run of the flow of a grader notes about its judges."""
    settings = {**flow.sample_init, **flow.init_values}["settings"]
    return {JUDGES_PROPERTY: list(judge_versions(settings))}


def panel_outputs(panel: Panel) -> dict[str, str]:
    """Names and types of what a panel gives for a line, as :func:`.panel.judge_answer` returns it."""
    name = panel.name
    outputs = {name: "double"}
    if panel.grader.name != PAIRWISE:
        outputs[f"{name}_grade"] = "double"
    outputs |= {f"{name}_label": "string", f"{name}_reason": "string"}
    if len(panel.judges) > 1:
        outputs |= {f"{name}.{judge.name}": "double" for judge in panel.judges}
    return {**outputs, f"{name}_judgements": "list"}


def _digest(grader: Grader, judge: Judge, settings: Mapping[str, Any]) -> str:
    made_of = [grader.digest, request_parameters(grader, judge), settings[_CRITERIA], settings[_STEPS]]
    text = json.dumps(made_of, sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


def _lines(value: Any) -> str:
    """A text, or a list of texts as its lines; empty for anything else."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    return value.strip() if isinstance(value, str) else ""


def _model_json(model: ModelSpec) -> dict[str, Any]:
    price = model.price
    return {
        "name": model.name,
        "connection": model.connection,
        "model": model.model,
        "parameters": dict(model.parameters),
        "price": {"input_usd": price.input_usd, "output_usd": price.output_usd} if price else None,
    }


def _read_judge(data: Mapping[str, Any]) -> Judge:
    return Judge(
        name=data["name"],
        connection=data["connection"],
        model=data["model"],
        parameters=data["parameters"],
        price=Price(**data["price"]) if data["price"] else None,
    )
