"""``headrace data restore``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.data_versions import restore_data


@click.command(
    "restore",
    cls=Verb,
    examples=(("Into a new file", "headrace data restore flows/triage/data/test.jsonl@1 test_1.jsonl"),),
)
@click.argument("version", metavar="VERSION")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.pass_obj
def command(session: Session, *, version: str, file: Path) -> int:
    """Write the file of a version of data.

    FILE does not exist; nothing is overwritten. Of data in which a run chose lines the whole file is
    written; of a folder or a pattern, FILE becomes a folder of all files. Data of more than 1 GB is not kept.
    """
    with command_workspace(session) as workspace:
        found = restore_data(workspace, version, file)
    session.write(f"Restored {found.name} to {session.shorten(file)}.")
    return ExitCode.OK
