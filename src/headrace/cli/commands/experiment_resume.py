"""``headrace experiment resume``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.compare_outputs import outputs_option
from headrace.cli.experiment_result import read_outputs, run_and_write
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
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
from headrace.operations.line_runners import Where
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment


@click.command(
    "resume",
    cls=Verb,
    examples=(
        ("After Ctrl-C, a crash or a power failure", "headrace experiment resume EXPERIMENT_ID"),
        ("With more money", "headrace experiment resume EXPERIMENT_ID --max-cost 5"),
    ),
)
@click.argument("experiment", metavar="ID|NAME")
@variables_option()
@concurrency_option()
@cap_options()
@events_option()
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
    max_cost: float | None,
    max_tokens: int | None,
    events: Path | None,
    workers: int | None,
    on: str | None,
    outputs: tuple[str, ...],
    report: Path | None,
    scores: Path | None,
    trackers: tuple[str, ...],
) -> int:
    """Go on with an experiment or a race that was interrupted.

    Exactly what is not recorded is run, in the same runs and the same order, so that the verdict is
    that of an experiment which was never interrupted. It is run as it was recorded, whatever its
    file says by now; flows, data and evaluators must be what they were. --max-cost and --max-tokens
    take the place of the limits that it was begun with, and count what it has spent. Of a name the
    newest experiment is meant.
    """
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    request = ResumeExperiment(
        name=experiment, cap=read_cap(max_cost, max_tokens), environment_variables=variables
    )
    where = Where(workers=workers, max_concurrency=max_concurrency, on=on)
    return run_and_write(
        session,
        read_outputs(outputs, report, scores, trackers),
        events,
        lambda workspace, hear: resume_experiment(workspace, request, hear, where),
    )
