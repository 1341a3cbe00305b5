"""``headrace connection delete``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "delete",
    cls=Verb,
    examples=(("Without a question", "headrace connection delete --name my_aoai --yes"),),
)
@click.option("-n", "--name", required=True, metavar="CONNECTION", help="The connection to delete.")
@yes_option()
@click.pass_obj
def command(session: Session, *, name: str, yes: bool) -> int:
    """Delete a stored connection.

    Deletes the nearest file of that name; asks first, unless --yes is given. As with pf, deleting
    what does not exist is no error.
    """
    with command_workspace(session) as workspace:
        if name not in workspace.connections.names():
            session.note(f"There is no connection {name}; nothing was deleted.")
            return ExitCode.OK
        if not yes and not session.confirm(f"Delete connection {name}?"):
            session.note("Nothing was deleted.")
            return ExitCode.FAILED
        path = workspace.connections.delete(name)
    session.note(f"Deleted {session.shorten(path)}.")
    return ExitCode.OK
