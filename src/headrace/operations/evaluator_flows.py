"""Evaluators as flows: an evaluation flow as it is, a built-in or Python one as a flow of one function.

The flow of a built-in or Python evaluator is written below the state folder of the workspace, under a name made of its
content. So it is run, resumed, shared over processes and recorded like any flow, and can be looked at.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import headrace
from headrace.domain.evaluation import EvaluatorSpec
from headrace.errors import DefinitionError, HeadraceError, Problem, nearest
from headrace.evaluation.evaluators.base import EvaluatorInput
from headrace.evaluation.evaluators.packages import package_version
from headrace.evaluation.evaluators.registry import BUILTINS, make_judge, score_names
from headrace.evaluation.judges.graders import GRADERS
from headrace.evaluation.judges.inputs import BASELINE, grader_inputs
from headrace.evaluation.judges.settings import is_grader
from headrace.formats.flow_file import load_flow
from headrace.formats.mapping import BASELINE_OUTPUTS, RUN_OUTPUTS
from headrace.formats.positions import dump_yaml
from headrace.operations.judge_flows import judge_flow
from headrace.operations.new_files import write_files
from headrace.operations.python_evaluators import describe_python
from headrace.operations.workspace import Workspace
from headrace.source import Span

BUILTIN_ENTRY = "headrace.evaluation.evaluators.entry:BuiltinEntry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a run and its data offer to the inputs of an evaluator.

    Attributes:
        outputs: Names of the run's outputs; ``None`` where they are not known before it has run.
        columns: Names of the data's columns.
        is_for_all: Whether one mapping feeds several evaluators, so that one may lack an input that it names.
    """

    outputs: Sequence[str] | None
    columns: Sequence[str]
    is_for_all: bool = False


def as_flow(
    workspace: Workspace, evaluator: EvaluatorSpec, offer: Offer, place: Span | None = None
) -> EvaluatorSpec:
    """An evaluator with the flow that it is run as, and with the mapping of every input.

    Args:
        workspace: Where flows are written.
        evaluator: The evaluator; one that is a flow comes back as it is.
        offer: What its inputs may be.
        place: Where it stands in an experiment file.

    Raises:
        DefinitionError: G922 for an unknown built-in, G923 for wrong options, G924 for a library that is not installed,
            G925 where it is not clear what an input is, G926 for Python that cannot judge; for a grader as
            :func:`headrace.operations.judge_flows.judge_flow`.
    """
    if evaluator.flow_path is not None:
        return evaluator
    if is_grader(evaluator.builtin):
        evaluator = replace(evaluator, flow_path=str(judge_flow(workspace, evaluator, place)))
        try:
            return replace(evaluator, column_mapping=_judge_mapping(evaluator, offer))
        except DefinitionError as error:
            raise _placed(error, place) from error
    try:
        if evaluator.python is not None:
            return _python_flow(workspace, evaluator, offer)
        return _builtin_flow(workspace, evaluator, offer)
    except HeadraceError as error:
        raise _placed(error, place) from error


def _judge_mapping(evaluator: EvaluatorSpec, offer: Offer) -> Mapping[str, str]:
    """The mapping of a grader; what the baseline answered is the output of the name that the answer has."""
    inputs = grader_inputs(evaluator.builtin or "")
    given = evaluator.column_mapping
    if any(item.name == BASELINE for item in inputs) and BASELINE not in given:
        found = [item for item in inputs if item.name != BASELINE]
        answer = fill_mapping(found, evaluator, offer)["answer"]
        mapping = {**given, BASELINE: answer.replace(RUN_OUTPUTS, BASELINE_OUTPUTS, 1)}
        evaluator = replace(evaluator, column_mapping=mapping)
    return fill_mapping(inputs, evaluator, offer)


def _placed(error: HeadraceError, place: Span | None) -> DefinitionError:
    return DefinitionError(*(replace(problem, span=problem.span or place) for problem in error.problems))


def _builtin_flow(workspace: Workspace, evaluator: EvaluatorSpec, offer: Offer) -> EvaluatorSpec:
    builtin = BUILTINS.get(evaluator.builtin or "")
    if builtin is None:
        raise DefinitionError(_unknown(evaluator.builtin or ""))
    make_judge(builtin, evaluator.parameters)
    if evaluator.models or evaluator.repeats > 1:
        what = f"The evaluator {builtin.name} asks no model, so it has no use for models or repeats."
        raise DefinitionError(Problem(code="G923", what=what, fix="Remove them."))
    scores = score_names(builtin, evaluator.name, evaluator.parameters)
    versions = [f"headrace {headrace.__version__}"]
    if builtin.package:
        versions.append(f"{builtin.package} {package_version(builtin.package)}")
    init = {
        "evaluator": builtin.name,
        "name": evaluator.name,
        "parameters": dict(evaluator.parameters),
        "version": ", ".join(versions),
    }
    flow = _write_flow(workspace, evaluator.name, BUILTIN_ENTRY, builtin.inputs, scores, init)
    return replace(
        evaluator, flow_path=str(flow), column_mapping=fill_mapping(builtin.inputs, evaluator, offer)
    )


def _python_flow(workspace: Workspace, evaluator: EvaluatorSpec, offer: Offer) -> EvaluatorSpec:
    found = describe_python(evaluator)
    flow = _write_flow(
        workspace, evaluator.name, found.entry, found.inputs, (), found.init, code=str(found.folder)
    )
    return replace(
        evaluator, flow_path=str(flow), column_mapping=fill_mapping(found.inputs, evaluator, offer)
    )


def _unknown(name: str) -> Problem:
    near = nearest(name, [*BUILTINS, *GRADERS])
    fix = f'Did you mean "{near}"?' if near else "headrace evaluator list shows all."
    return Problem(
        code="G922",
        what=f"There is no built-in evaluator {name!r}.",
        fix=f"{fix} For an evaluation flow write flow: PATH.",
    )


def _write_flow(
    workspace: Workspace,
    name: str,
    entry: str,
    inputs: Sequence[EvaluatorInput],
    scores: Sequence[str],
    init: Mapping[str, Any],
    code: str | None = None,
) -> Path:
    """The folder of the flow; written unless it is there already."""
    content: dict[str, Any] = {
        "type": "evaluation",
        "entry": entry,
        **({"code": code} if code is not None else {}),
        # Without a type of its own an input is given as it is, which a default of nothing stands for.
        "inputs": {item.name: {"type": "object", "default": None} for item in inputs},
        "outputs": {name: {"type": "double"} for name in scores},
        "init": {key: {"type": _type(value), "default": value} for key, value in init.items()},
    }
    text = dump_yaml({key: value for key, value in content.items() if value != {}})
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    folder = workspace.state_folder / "evaluators" / digest / (re.sub(r"[^\w.-]+", "_", name) or "evaluator")
    file = folder / "flow.flex.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_files({file: text}, is_replacing=True)
    return folder


def _type(value: Any) -> str:
    return "string" if isinstance(value, str) else "object"


def fill_mapping(inputs: Sequence[EvaluatorInput], evaluator: EvaluatorSpec, offer: Offer) -> dict[str, str]:
    """The mapping of an evaluator with what is clear from the names of outputs and columns.

    Raises:
        DefinitionError: G925 for every input of which it is not clear what it is, and for names that are no inputs.
    """
    given = evaluator.column_mapping
    mapping: dict[str, str] = {}
    foreign = () if offer.is_for_all else (name for name in given if name not in {i.name for i in inputs})
    problems = [_no_input(evaluator, name, inputs) for name in foreign]
    for item in inputs:
        if item.name in given:
            mapping[item.name] = given[item.name]
            continue
        found = _find(item, offer)
        if found is not None:
            mapping[item.name] = found
        elif item.is_required:
            problems.append(_unclear(evaluator, item, offer))
    if problems and offer.is_for_all:
        known = [item.name for item in inputs]
        misspelled = (name for name in given if name not in known and nearest(name, known))
        problems += [_no_input(evaluator, name, inputs) for name in misspelled]
    if problems:
        raise DefinitionError(*problems)
    return mapping


def check_used(given: Sequence[EvaluatorSpec], found: Sequence[EvaluatorSpec]) -> None:
    """Refuse names of a mapping for several evaluators that none of them has an input for.

    Args:
        given: The evaluators with the mapping as it was given.
        found: The same with the flows that they are run as, and with the mapping of every input.

    Raises:
        DefinitionError: G925 for each such name, unless all evaluators are flows, which are checked as such.
    """
    own = [item for item in given if item.flow_path is None]
    asked = dict.fromkeys(name for item in own for name in item.column_mapping)
    if not asked:
        return
    known = {name: None for item in found for name in load_flow(Path(item.flow_path or "")).inputs}
    problems = []
    for name in (name for name in asked if name not in known):
        near = nearest(name, list(known))
        problems.append(
            Problem(
                code="G925",
                what=f"None of the evaluators has an input {name!r}.",
                pointer=("column_mapping", name),
                fix=f'Did you mean "{near}"?' if near else f"Their inputs: {', '.join(known) or 'none'}.",
            )
        )
    if problems:
        raise DefinitionError(*problems)


def _find(item: EvaluatorInput, offer: Offer) -> str | None:
    if item.fact:
        return f"${{run.{item.fact}}}"
    outputs = list(offer.outputs or ())
    if item.takes_only_output and len(outputs) == 1:
        return f"${{run.outputs.{outputs[0]}}}"
    # A column of the input's own name says what is meant, whatever else there is.
    if item.columns and item.name in offer.columns:
        return f"${{data.{item.name}}}"
    for source, wanted, known in (
        ("run.outputs", item.outputs, outputs),
        ("data", item.columns, offer.columns),
    ):
        name = next((name for name in wanted if name in known), None)
        if name is not None:
            return f"${{{source}.{name}}}"
    if item.takes_only_output and offer.outputs is None:
        return "${run.outputs.output}"
    return None


def _no_input(evaluator: EvaluatorSpec, name: str, inputs: Sequence[EvaluatorInput]) -> Problem:
    known = [item.name for item in inputs]
    near = nearest(name, known)
    return Problem(
        code="G925",
        what=f"The evaluator {evaluator.name!r} has no input {name!r}.",
        pointer=("column_mapping", name),
        fix=f'Did you mean "{near}"?' if near else f"Its inputs: {', '.join(known) or 'none'}.",
    )


def _unclear(evaluator: EvaluatorSpec, item: EvaluatorInput, offer: Offer) -> Problem:
    candidates = [f"${{run.outputs.{name}}}" for name in offer.outputs or ()]
    candidates += [f"${{data.{name}}}" for name in offer.columns]
    return Problem(
        code="G925",
        what=f"It is not clear what the input {item.name!r} of the evaluator {evaluator.name!r} is: {item.title}.",
        fix=f"Map it in column_mapping: {item.name} to one of {', '.join(candidates[:12]) or 'nothing yet'}.",
    )
