"""``headrace data show``."""

from __future__ import annotations

import click

from headrace.cli.data_view import data_to_json, render_data_version
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.data_versions import find_data, read_beginning


@click.command(
    "show",
    cls=Verb,
    examples=(
        ("A version", "headrace data show flows/triage/data/test.jsonl@1"),
        ("What a run has read", "headrace data show first"),
    ),
)
@click.argument("version", metavar="VERSION")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form; default text.")
@click.pass_obj
def command(session: Session, *, version: str, output: str) -> int:
    """Show a version of data: its id, its runs and its first lines.

    VERSION is DATA@NUMBER, DATA@DIGEST or the name of a run. DATA is a path, or its end where that is clear.
    """
    with command_workspace(session) as workspace:
        view = find_data(workspace, version)
        if output == "json":
            session.write_json(data_to_json(view))
            return ExitCode.OK
        content = read_beginning(workspace, view.version)
    session.write(render_data_version(view, content.decode("utf-8", "replace"), ink=session.terminal.out))
    return ExitCode.OK
