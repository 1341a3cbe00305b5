"""``headrace tool list``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.formats.flow_file import load_flow
from headrace.operations.describe_tools import list_tools


@click.command(
    "list",
    cls=Verb,
    examples=(
        ("Tools that any flow can use", "headrace tool list"),
        ("Those of a flow's own files as well", "headrace tool list --flow my_flow"),
    ),
)
@path_option("--flow", help="Flow folder, or flow file.")
@click.pass_obj
def command(session: Session, *, flow: Path | None) -> int:
    """List the package tools that can be used, and the tools of a flow.

    Printed as JSON, as in prompt flow's flow.tools.json: by id below package, by path of the
    source below code. Ends with exit code 3 when a file of the flow holds no tool.
    """
    listed = list_tools(load_flow(flow) if flow else None)
    session.write_json(listed.to_json())
    if listed.problems:
        session.show_problems(*listed.problems)
        return ExitCode.DEFINITION
    return ExitCode.OK
