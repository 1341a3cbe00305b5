"""``headrace data delete``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.data_versions import find_data


@click.command(
    "delete",
    cls=Verb,
    examples=(("Without a question", "headrace data delete flows/triage/data/test.jsonl@1 --yes"),),
)
@click.argument("version", metavar="VERSION")
@yes_option()
@click.pass_obj
def command(session: Session, *, version: str, yes: bool) -> int:
    """Delete the kept file of a version of data.

    Its number and digest stay, because runs name them, and so do the inputs that runs recorded; delete
    these with headrace run delete. Asks first; in a script say --yes.
    """
    with command_workspace(session) as workspace:
        view = find_data(workspace, version)
        name = view.version.name
        read_by = f", which {plural(len(view.runs), 'run')} read" if view.runs else ""
        if not yes and not session.confirm(f"Delete the file of {name}{read_by}?"):
            session.note("Nothing was deleted.")
            return ExitCode.FAILED
        is_deleted = workspace.store.forget_data(view.version.data, view.version.number)
    session.note(f"Deleted the file of {name}." if is_deleted else f"No file of {name} is kept.")
    return ExitCode.OK
