"""``headrace run resume``."""

from __future__ import annotations

import click

from headrace.cli.commands.run_create import find_failure, report_failures
from headrace.cli.inputs import read_variables
from headrace.cli.options import (
    Verb,
    run_name_option,
    variables_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.run_view import run_to_json
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.operations.resume_run import ResumeRequest, resume_run


@click.command(
    "resume",
    cls=Verb,
    examples=(
        ("After Ctrl-C, a crash or a power failure", "headrace run resume --name first"),
        ("The failed lines as well", "headrace run resume --name first --retry-failed"),
    ),
)
@run_name_option()
@click.option("--retry-failed", "retries_failed", is_flag=True, help="Run failed lines again as well.")
@variables_option()
@running_options()
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    retries_failed: bool,
    environment_variables: tuple[str, ...],
    running: RunningOptions,
) -> int:
    """Go on with a run that was interrupted.

    The lines that are not recorded are run, in the same run, then the aggregation nodes. Flow and
    data must be what they were, so that the result is that of a run that was never interrupted;
    after a change, use headrace run create --resume-from. Values of --environment-variables are
    not recorded and have to be given again.
    """
    variables = read_variables(environment_variables, session.folder, session.settings.environment)
    with command_workspace(session) as workspace, show_progress(session, running.events) as on_event:
        request = ResumeRequest(
            name=name,
            environment_variables=variables,
            max_concurrency=running.where.max_concurrency,
            workers=running.where.workers,
            on=running.where.on,
            retries_failed=retries_failed,
            cap=running.cap,
        )
        run = resume_run(workspace, request, on_event)
        failure = find_failure(workspace, run)
    session.write_json(run_to_json(run, failure))
    return report_failures(session, run, failure)
