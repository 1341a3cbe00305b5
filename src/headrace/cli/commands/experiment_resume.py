"""``headrace experiment resume``."""

from __future__ import annotations

import click

from headrace.cli.experiment_result import Outputs, result_options, run_and_write
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
    variables_option,
)
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
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
@running_options()
@result_options()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    experiment: str,
    environment_variables: tuple[str, ...],
    running: RunningOptions,
    outputs: Outputs,
) -> int:
    """Go on with an experiment or a race that was interrupted.

    Exactly what is not recorded is run, in the same runs and the same order, so that the verdict is
    that of an experiment which was never interrupted. It is run as it was recorded, whatever its
    file says by now; flows, data and evaluators must be what they were. --max-cost and --max-tokens
    take the place of the limits that it was begun with, and count what it has spent. Of a name the
    newest experiment is meant.
    """
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    request = ResumeExperiment(name=experiment, cap=running.cap, environment_variables=variables)
    return run_and_write(
        session,
        outputs,
        running.events,
        lambda workspace, hear: resume_experiment(workspace, request, hear, running.where),
    )
