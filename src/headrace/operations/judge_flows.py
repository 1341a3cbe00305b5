"""The flows that graders are run as, written beside the runs so that any process can load them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.domain.connection import Connection
from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.run import Cap
from headrace.errors import Problem, UsageError, raise_if_errors
from headrace.evaluation.judges.entry import entry_of
from headrace.evaluation.judges.graders import GRADERS
from headrace.evaluation.judges.settings import (
    check_judges,
    is_grader,
    panel_outputs,
    panel_settings,
    read_panel,
)
from headrace.formats.arms import parse_model
from headrace.formats.positions import dump_yaml
from headrace.operations.new_files import write_files
from headrace.operations.workspace import Workspace
from headrace.source import Span
from headrace.tools.model_parameters import FAMILIES

_FOLDER = "judges"
_READER = "baseline"
_DIGEST_LENGTH = 12
_NO_NAME = re.compile(r"[^\w.-]+")


def judge_flow(workspace: Workspace, evaluator: EvaluatorSpec, place: Span | None = None) -> Path:
    """The flow that a grader is run as, written below ``.headrace``.

    Its folder is named after what is in it, so that two evaluators never share one that differs.

    Args:
        workspace: For connections and the place.
        evaluator: One whose ``builtin`` is a grader.
        place: Where it stands in an experiment file.

    Raises:
        DefinitionError: G942 to G944, F003; C501 for an unknown connection, C504 for one that is no model service.
        StateError: S808 when it cannot be written.
    """
    problems = check_judges(evaluator, place)
    raise_if_errors((*problems, *_connection_problems(workspace, evaluator, place)))
    flow = _flow(workspace, evaluator)
    text = dump_yaml(flow)
    digest = sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    # The flow is called after its folder.
    folder = (
        workspace.state_folder / _FOLDER / digest / (_NO_NAME.sub("_", evaluator.name).strip(".") or "judge")
    )
    file = folder / "flow.flex.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_files({file: text}, is_replacing=True)
    return file


def give_judges(evaluators: Sequence[EvaluatorSpec], judges: Sequence[str]) -> tuple[EvaluatorSpec, ...]:
    """The evaluators, with the same panel for every grader among them.

    Args:
        evaluators: As they were named.
        judges: ``connection/model`` texts; without any the evaluators stay as they are.

    Raises:
        UsageError: C507 when no grader is among them, or a text names no model.
    """
    models = tuple(parse_model(text) for text in judges)
    if models and not any(is_grader(evaluator.builtin) for evaluator in evaluators):
        what = "Judges are named, but no evaluator that asks one."
        fix = f"Name one of them as well: {', '.join(GRADERS)}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return tuple(
        replace(evaluator, models=models) if models and is_grader(evaluator.builtin) else evaluator
        for evaluator in evaluators
    )


def check_judge_prices(evaluators: Iterable[EvaluatorSpec], cap: Cap | None) -> None:
    """Refuse to keep to a cost that nobody knows.

    Raises:
        UsageError: C507 when the cost is limited and a judge has no price.
    """
    if cap is None or cap.cost_usd is None:
        return
    unpriced = dict.fromkeys(
        f"{model.connection}/{model.model}"
        for evaluator in evaluators
        if is_grader(evaluator.builtin)
        for model in evaluator.models
        if model.price is None
    )
    if unpriced:
        what = f"The cost cannot be limited: the price of the judges {', '.join(unpriced)} is not known."
        fix = "Give the price of each model among the evaluators, or limit the tokens with --max-tokens."
        raise UsageError(Problem(code="C507", what=what, fix=fix))


def _flow(workspace: Workspace, evaluator: EvaluatorSpec) -> dict[str, Any]:
    settings = panel_settings(evaluator)
    # Not read by the judges: another address under the same name is another judge, whose results are its own.
    settings["places"] = [_address(workspace, model.connection) for model in evaluator.models]
    panel = read_panel(settings)
    return {
        "entry": entry_of(panel.grader),
        "type": "evaluation",
        "outputs": {name: {"type": kind} for name, kind in panel_outputs(panel).items()},
        "sample": {"init": {"settings": settings}},
    }


def _connection_problems(
    workspace: Workspace, evaluator: EvaluatorSpec, place: Span | None
) -> Iterator[Problem]:
    for model in evaluator.models:
        connection = workspace.connections.find(model.connection)
        if connection is None:
            yield replace(workspace.connections.unknown(model.connection), span=place)
        elif connection.type == _READER:
            yield refuse_reader(model.name, place)
        elif connection.type not in FAMILIES:
            what = f"The connection {model.connection!r} is of type {connection.type}, which is no model service."
            fix = "Name the connection of a model service."
            yield Problem(code="C504", what=what, span=place, fix=fix)


def refuse_reader(model: str, place: Span | None = None) -> Problem:
    """G943: the embedded reader is no judge."""
    return Problem(
        code="G943",
        what=f"The model {model!r} is the embedded baseline: a reader that finds and copies words, and no language "
        "model. It cannot judge an answer.",
        span=place,
        fix="Name a language model of a connection of yours, such as my_connection/gpt-4o-mini.",
    )


def _address(workspace: Workspace, name: str) -> str:
    connection: Connection | None = workspace.connections.find(name)
    configs = sorted(connection.configs.items()) if connection else []
    return sha256(json.dumps(configs, default=str).encode()).hexdigest()[:_DIGEST_LENGTH]
