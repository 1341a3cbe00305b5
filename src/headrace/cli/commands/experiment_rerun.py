"""``headrace experiment rerun``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.compare_outputs import outputs_option
from headrace.cli.experiment_result import forecast, read_outputs, run_and_write
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
    cache_option,
    concurrency_option,
    events_option,
    on_option,
    path_option,
    variables_option,
    workers_option,
)
from headrace.cli.record_options import record_options
from headrace.cli.session import Session
from headrace.cli.spending_options import cap_options, read_cap
from headrace.cli.workspace import command_workspace
from headrace.operations.line_runners import Where
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
@concurrency_option()
@cache_option()
@cap_options()
@events_option()
@click.option("--dry-run", is_flag=True, help="Run nothing; say what calls, tokens, cost and time to expect.")
@workers_option()
@on_option()
@outputs_option()
@record_options()
@path_option("--report", help="Write the HTML report here; default .headrace/reports.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    experiment: str,
    environment_variables: tuple[str, ...],
    max_concurrency: int | None,
    cache: bool | None,
    max_cost: float | None,
    max_tokens: int | None,
    events: Path | None,
    dry_run: bool,
    workers: int | None,
    on: str | None,
    outputs: tuple[str, ...],
    report: Path | None,
    scores: Path | None,
    trackers: tuple[str, ...],
) -> int:
    """Repeat an experiment from the versions that it was begun with.

    A new experiment is made, which knows the one that it repeats. Flows, data and Python evaluators
    that have changed or are gone since are taken from the store and written below
    .headrace/versions. Results of nodes are used again as in the first one; with --no-cache every
    call is made anew. Of a name the newest experiment is meant.
    """
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    request = RerunExperiment(
        name=experiment, cap=read_cap(max_cost, max_tokens), environment_variables=variables, cache=cache
    )
    if dry_run:
        with command_workspace(session) as workspace:
            recorded, _ = recorded_experiment(workspace, request)
            return forecast(session, workspace, recorded, max_concurrency, is_recorded=True)
    where = Where(workers=workers, max_concurrency=max_concurrency, on=on)
    return run_and_write(
        session,
        read_outputs(outputs, report, scores, trackers),
        events,
        lambda workspace, hear: rerun_experiment(workspace, request, hear, where),
    )
