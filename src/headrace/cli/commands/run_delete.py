"""``headrace run delete``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, run_name_option, yes_option
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "delete",
    cls=Verb,
    examples=(("Without a question", "headrace run delete --name first --yes"),),
)
@run_name_option("The run to delete.")
@yes_option()
@click.pass_obj
def command(session: Session, *, name: str, yes: bool) -> int:
    """Delete a run and everything recorded with it.

    Asks first; in a script say --yes.
    """
    with command_workspace(session) as workspace:
        run = workspace.store.read_run(name)
        n_lines = plural(run.n_completed + run.n_failed, "recorded line")
        if not yes and not session.confirm(f"Delete run {name} with {n_lines}?"):
            session.note("Nothing was deleted.")
            return ExitCode.FAILED
        workspace.store.delete_run(name)
    session.note(f"Deleted {name}.")
    return ExitCode.OK
