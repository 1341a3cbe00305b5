"""``headrace run show-metrics``."""

from __future__ import annotations

import click

from headrace.cli.commands.run_create import find_failure, report_failures
from headrace.cli.options import Verb, run_name_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "show-metrics",
    cls=Verb,
    examples=(("Metrics of an evaluation run", "headrace run show-metrics --name first_judged"),),
)
@run_name_option()
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Show the metrics that a run logged.

    Metrics are what aggregation nodes pass to log_metric; a run without any prints {}. As with pf,
    a metric that is not a number is printed as NaN, which strict JSON readers refuse. Why the
    aggregation failed, and the first error where lines failed, are said on standard error.
    """
    with command_workspace(session) as workspace:
        run = workspace.store.read_run(name)
        failure = find_failure(workspace, run)
    session.write_json(dict(run.metrics))
    report_failures(session, run, failure)
    return ExitCode.OK
