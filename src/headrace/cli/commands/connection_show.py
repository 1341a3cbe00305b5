"""``headrace connection show``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, UsageError
from headrace.formats.connection_file import connection_to_json


@click.command(
    "show",
    cls=Verb,
    examples=(("A connection", "headrace connection show --name my_aoai"),),
)
@click.option("-n", "--name", required=True, metavar="CONNECTION", help="The connection.")
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Show one connection, secrets masked.

    As JSON, with overrides from the environment applied.
    """
    with command_workspace(session) as workspace:
        connection = workspace.connections.find(name)
        if connection is None:
            raise UsageError(workspace.connections.unknown(name))
    session.write_json(connection_to_json(connection))
    return ExitCode.OK
