"""``headrace data versions``."""

from __future__ import annotations

import click

from headrace.cli.data_view import data_to_json, render_data
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.data_versions import list_data


@click.command(
    "versions",
    cls=Verb,
    examples=(
        ("Of one file", "headrace data versions flows/triage/data/test.jsonl"),
        ("Of all data, for a program", "headrace data versions -o json"),
    ),
)
@click.argument("data", required=False, metavar="[DATA]")
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, data: str | None, form: str | None) -> int:
    """List the versions of data that runs have read.

    DATA is the path of a data file or folder. A version is kept with the first run that reads it.
    """
    with command_workspace(session) as workspace:
        views = list_data(workspace, data)
        now = workspace.now()
    if choose_form(form, session) == "json":
        session.write_json([data_to_json(view) for view in views])
    elif not views:
        session.note("No versions are kept yet. The first run over data keeps one: headrace run create")
    else:
        terminal = session.terminal
        width = terminal.width if terminal.has_tty_out else None
        session.write(render_data(views, ink=terminal.out, width=width, now=now))
    return ExitCode.OK
