"""``headrace ab check``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.traffic_view import check_to_json, render_check
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.traffic import read_traffic
from headrace.operations.check_traffic import check_traffic


@click.command(
    "check",
    cls=Verb,
    examples=(("Before it is served, or changed", "headrace ab check flows/triage/traffic.yaml"),),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, file: Path, form: str | None) -> int:
    """Check a traffic file and its arms, and say what it does.

    Finds every mistake of the file and of the flows that it names, and warns of what is hardly
    meant. Where the test has begun, it says which units would change arms. Nothing is changed.
    """
    with command_workspace(session) as workspace:
        check = check_traffic(workspace, read_traffic(file))
    if check.warnings:
        session.show_problems(*check.warnings)
    if choose_form(form, session) == "json":
        session.write_json(check_to_json(check))
    else:
        session.write(render_check(check, session.terminal))
    return ExitCode.OK
