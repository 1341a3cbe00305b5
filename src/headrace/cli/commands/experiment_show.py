"""``headrace experiment show``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import read_chain


@click.command("show", cls=Verb, examples=(("One of them", "headrace experiment show --name nightly"),))
@click.option("-n", "--name", required=True, metavar="NAME", help="The experiment.")
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Show a chain of flows and the runs that it led to.

    Printed as JSON; headrace run show tells more of a run.
    """
    with command_workspace(session) as workspace:
        session.write_json(read_chain(workspace, name))
    return ExitCode.OK
