"""``headrace run restore``."""

from __future__ import annotations

import click

from headrace.cli.commands.run_show import show_run
from headrace.cli.options import Verb, run_name_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace


@click.command(
    "restore",
    cls=Verb,
    examples=(("Bring a run back", "headrace run restore --name first"),),
)
@run_name_option()
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Put an archived run back on lists.

    A run that is not archived stays as it is.
    """
    with command_workspace(session) as workspace:
        workspace.store.update_run(name, is_archived=False)
        return show_run(session, workspace, name)
