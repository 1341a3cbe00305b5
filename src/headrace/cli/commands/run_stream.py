"""``headrace run stream``."""

from __future__ import annotations

import time

import click

from headrace.cli.commands.run_create import find_failure, report_failures
from headrace.cli.line_report import render_line_report
from headrace.cli.options import Verb, run_name_option
from headrace.cli.run_view import run_to_json
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.operations.follow_run import follow_run
from headrace.operations.workspace import Workspace

_PAUSE_S = 0.2
_QUIET_PAUSES = 300
"""After a minute without news it is said that there may never be any."""


@click.command(
    "stream",
    cls=Verb,
    examples=(("Watch a run that another terminal has started", "headrace run stream --name first"),),
)
@run_name_option()
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Show the lines of a run as they are finished.

    Every line with its status, time, error and what its tools printed, on standard error. A run
    that has ended is shown whole; one that another process is still running is followed until it
    ends. Then the run is printed as JSON, as run create does, with the same exit code.
    """
    with command_workspace(session) as workspace:
        _follow(session, workspace, name)
        run = workspace.store.read_run(name)
        failure = find_failure(workspace, run)
    session.write_json(run_to_json(run, failure))
    return report_failures(session, run, failure)


def _follow(session: Session, workspace: Workspace, name: str) -> None:
    n_quiet = 0
    for line in follow_run(workspace, name):
        if line is not None:
            n_quiet = 0
            session.note(render_line_report(line, ink=session.terminal.err))
            continue
        n_quiet += 1
        if n_quiet == _QUIET_PAUSES:
            session.note(
                "Nothing new for a minute. If the process that ran it is gone, end this with Ctrl-C."
            )
        time.sleep(_PAUSE_S)
