"""``headrace flow tag``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.versions import move_tag


@click.command(
    "tag",
    cls=Verb,
    examples=(
        ("For the first time", "headrace flow tag ask_docs@7 prod"),
        ("Take it from another version", "headrace flow tag ask_docs@8 prod --move"),
    ),
)
@click.argument("version", metavar="VERSION")
@click.argument("tag", metavar="TAG")
@click.option("--move", is_flag=True, help="Take the tag from the version that has it.")
@click.pass_obj
def command(session: Session, *, version: str, tag: str, move: bool) -> int:
    """Put a tag on a version of a flow.

    VERSION is FLOW@NUMBER, FLOW@TAG, FLOW@DIGEST or the name of a run. From then on FLOW@TAG means
    that version, and @TAG as well where no other flow has the tag. Where the tag was before stays known.
    """
    with command_workspace(session) as workspace:
        moved = move_tag(workspace, version, tag, is_moving=move)
    session.write(f"{moved.flow}@{moved.tag} is {moved.flow}@{moved.number}.")
    return ExitCode.OK
