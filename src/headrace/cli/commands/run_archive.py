"""``headrace run archive``."""

from __future__ import annotations

import click

from headrace.cli.commands.run_show import show_run
from headrace.cli.options import Verb, run_name_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace


@click.command(
    "archive",
    cls=Verb,
    examples=(("Put a run aside", "headrace run archive --name first"),),
)
@run_name_option()
@click.pass_obj
def command(session: Session, *, name: str) -> int:
    """Leave a run out of lists.

    Nothing is deleted: the run can be shown, evaluated and compared as before, run list
    --archived-only lists it, and run restore brings it back.
    """
    with command_workspace(session) as workspace:
        workspace.store.update_run(name, is_archived=True)
        return show_run(session, workspace, name)
