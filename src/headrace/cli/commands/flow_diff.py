"""``headrace flow diff``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.version_view import diff_to_json, render_diff
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.diff_flows import diff_versions


@click.command(
    "diff",
    cls=Verb,
    examples=(
        ("Two versions", "headrace flow diff ask_docs@6 ask_docs@7"),
        ("What changed since it was tagged", "headrace flow diff @prod flows/ask_docs"),
        ("What two runs ran, for a program", "headrace flow diff first second --output json"),
    ),
)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form; default text.")
@click.pass_obj
def command(session: Session, *, before: str, after: str, output: str) -> int:
    """Say what differs between two versions of a flow.

    BEFORE and AFTER are paths, versions (FLOW@NUMBER, FLOW@TAG, @TAG) or names of runs. The
    differences stand by node: prompts and code as text, then parameters, models, connections, wiring.
    """
    with command_workspace(session) as workspace:
        diff = diff_versions(workspace, before, after)
    if output == "json":
        session.write_json(diff_to_json(diff))
    else:
        session.write(render_diff(diff, ink=session.terminal.out))
    return ExitCode.OK
