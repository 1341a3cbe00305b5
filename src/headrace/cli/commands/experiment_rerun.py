"""``headrace experiment rerun``."""

from __future__ import annotations

import click

from headrace.cli.experiment_result import Outputs, forecast, result_options, run_and_write
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
    cache_option,
    variables_option,
)
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.operations.rerun_experiment import RerunExperiment, recorded_experiment, rerun_experiment


@click.command(
    "rerun",
    cls=Verb,
    examples=(
        ("From the recorded versions", "headrace experiment rerun EXPERIMENT_ID"),
        ("Paying for every call again", "headrace experiment rerun EXPERIMENT_ID --no-cache"),
    ),
)
@click.argument("experiment", metavar="ID|NAME")
@variables_option()
@running_options()
@cache_option()
@click.option("--dry-run", is_flag=True, help="Run nothing; say what calls, tokens, cost and time to expect.")
@result_options()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    experiment: str,
    environment_variables: tuple[str, ...],
    running: RunningOptions,
    cache: bool | None,
    dry_run: bool,
    outputs: Outputs,
) -> int:
    """Repeat an experiment from the versions that it was begun with.

    A new experiment is made, which knows the one that it repeats. Flows, data and Python evaluators
    that have changed or are gone since are taken from the store and written below
    .headrace/versions. Results of nodes are used again as in the first one; with --no-cache every
    call is made anew. Of a name the newest experiment is meant.
    """
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    request = RerunExperiment(name=experiment, cap=running.cap, environment_variables=variables, cache=cache)
    if dry_run:
        with command_workspace(session) as workspace:
            recorded, _ = recorded_experiment(workspace, request)
            return forecast(session, workspace, recorded, running.where.max_concurrency, is_recorded=True)
    return run_and_write(
        session,
        outputs,
        running.events,
        lambda workspace, hear: rerun_experiment(workspace, request, hear, running.where),
    )
