"""``headrace run show``."""

from __future__ import annotations

import click

from headrace.cli.commands.run_create import find_failure
from headrace.cli.options import Verb, run_name_option
from headrace.cli.run_view import run_to_json
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.run_owner import as_of
from headrace.operations.workspace import Workspace


@click.command(
    "show",
    cls=Verb,
    examples=(("A run", "headrace run show --name first"),),
)
@run_name_option()
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Show one run.

    Printed as JSON: status, flow, data, mapping, counts of lines, tokens, times, metrics and,
    where lines failed, the first problem.
    """
    with command_workspace(session) as workspace:
        return show_run(session, workspace, name)


def show_run(session: Session, workspace: Workspace, name: str) -> ExitCode:
    """Print the run of that name as JSON."""
    run = as_of(workspace.store.read_run(name), workspace.now())
    session.write_json(run_to_json(run, find_failure(workspace, run)))
    return ExitCode.OK
