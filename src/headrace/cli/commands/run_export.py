"""``headrace run export``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option, run_name_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.export_run import export_run


@click.command(
    "export",
    cls=Verb,
    examples=(("Into a folder", "headrace run export --name first --output first_run"),),
)
@run_name_option()
@path_option("--output", required=True, help="Folder to write: new, empty, or an earlier export of this run.")
@click.pass_obj
def command(session: Session, *, name: str, output: Path) -> int:
    """Write a run into a folder, laid out as pf lays out its runs.

    Outputs, inputs, a record of every line and node, logs, metrics, errors and a copy of the
    flow, as long as the flow is still what was run.
    """
    with command_workspace(session) as workspace:
        workspace.warn(export_run(workspace, name, output))
    session.write(str(output))
    return ExitCode.OK
