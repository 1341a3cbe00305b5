"""``headrace experiment create``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import create_chain


@click.command(
    "create",
    cls=Verb,
    examples=(("Under a name", "headrace experiment create --template chain.yaml --name nightly"),),
)
@path_option("--template", required=True, help="Prompt flow's experiment file: flows in a chain.")
@click.option("-n", "--name", metavar="NAME", help="Default: the name of the file and the time.")
@click.pass_obj
def command(session: Session, *, template: Path, name: str | None) -> int:
    """Keep a chain of flows under a name, to start it by.

    The flows are used where they are, as they are when the chain is started. To compare arms,
    see headrace compare.
    """
    with command_workspace(session) as workspace:
        session.write_json(create_chain(workspace, template, name))
    return ExitCode.OK
