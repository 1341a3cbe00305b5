"""``headrace flow versions``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.version_view import render_versions, versions_to_json
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.versions import list_versions


@click.command(
    "versions",
    cls=Verb,
    examples=(
        ("Of one flow", "headrace flow versions ask_docs"),
        ("Of all flows, for a program", "headrace flow versions -o json"),
    ),
)
@click.argument("flow", required=False, metavar="[FLOW]")
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, flow: str | None, form: str | None) -> int:
    """List the versions of flows that were run.

    FLOW is the name of a flow, or its path. A version is kept with the first run of it. The JSON says
    where each tag was before, and which runs ran a version.
    """
    with command_workspace(session) as workspace:
        views = list_versions(workspace, flow)
        moves = workspace.store.list_tag_moves()
        now = workspace.now()
    if choose_form(form, session) == "json":
        session.write_json(versions_to_json(views, moves))
    elif not views:
        session.note("No versions are kept yet. The first run of a flow keeps one: headrace run create")
    else:
        terminal = session.terminal
        width = terminal.width if terminal.has_tty_out else None
        session.write(render_versions(views, ink=terminal.out, width=width, now=now))
    return ExitCode.OK
