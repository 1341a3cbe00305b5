"""``headrace experiment stop``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import stop_chain


@click.command(
    "stop", cls=Verb, examples=(("From another terminal", "headrace experiment stop --name nightly"),)
)
@click.option("-n", "--name", metavar="NAME", help="The experiment.")
@path_option("-f", "--file", help="A file with the key name in place of --name.")
@click.pass_obj
def command(session: Session, *, name: str | None, file: Path | None) -> int:
    """End a chain that runs in another terminal, after the flow that it is at.

    Ctrl-C in its own terminal ends it at once.
    """
    if name is None and file is not None:
        name = file.stem
    if not name:
        fail_usage("headrace experiment stop needs --name.", "headrace experiment list shows the names.")
    with command_workspace(session) as workspace:
        stop_chain(workspace, name)
    session.note(f"{name} ends after the flow that it is at.")
    return ExitCode.OK
