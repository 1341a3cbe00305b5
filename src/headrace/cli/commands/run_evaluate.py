"""``headrace run evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headrace.cli.commands.run_create import find_failure, report_failures
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
    evaluators_option,
    judges_option,
    pairs_option,
    variables_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.run_view import run_to_json
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.experiment_evaluators import check_names, parse_evaluator
from headrace.operations.evaluate_run import EvaluateRequest, evaluate_run
from headrace.operations.judge_flows import give_judges


@click.command(
    "evaluate",
    cls=Verb,
    examples=(
        ("With built-in evaluators", "headrace run evaluate first --evaluator f1 --evaluator latency"),
        (
            "With a function, saying what it gets",
            "headrace run evaluate first --evaluator checks.py:style "
            "--column-mapping answer='${run.outputs.answer}'",
        ),
    ),
)
@click.argument("run", metavar="RUN")
@evaluators_option(required=True)
@judges_option()
@pairs_option(
    "--column-mapping", help="Where the evaluators' inputs come from; default: found by their names."
)
@variables_option()
@running_options()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    run: str,
    evaluators: tuple[str, ...],
    judges: tuple[str, ...],
    column_mapping: dict[str, Any],
    environment_variables: tuple[str, ...],
    running: RunningOptions,
) -> int:
    """Judge the answers of a run.

    Makes an evaluation run for each evaluator over the completed lines of RUN; headrace run
    show-metrics shows the means, headrace compare uses the scores. Prints the evaluation runs.
    """
    specs = tuple(parse_evaluator(text, Path(), column_mapping) for text in evaluators)
    check_names(specs)
    specs = give_judges(specs, judges)
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    with command_workspace(session) as workspace, show_progress(session, running.events) as on_event:
        request = EvaluateRequest(
            run=run,
            evaluators=specs,
            environment_variables=variables,
            max_concurrency=running.where.max_concurrency,
            workers=running.where.workers,
            on=running.where.on,
            cap=running.cap,
        )
        found = evaluate_run(workspace, request, on_event)
        failures = [find_failure(workspace, item) for item in found]
    session.write_json([run_to_json(*pair) for pair in zip(found, failures, strict=True)])
    codes = [report_failures(session, *pair) for pair in zip(found, failures, strict=True)]
    return max(codes, default=ExitCode.OK)
