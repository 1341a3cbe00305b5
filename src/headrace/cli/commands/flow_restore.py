"""``headrace flow restore``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.versions import restore_version


@click.command(
    "restore",
    cls=Verb,
    examples=(("Into a new folder", "headrace flow restore ask_docs@7 ask_docs_7"),),
)
@click.argument("version", metavar="VERSION")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--expect", metavar="DIGEST", help="Fail unless the version has this digest, or begin of one.")
@click.pass_obj
def command(session: Session, *, version: str, folder: Path, expect: str | None) -> int:
    """Write the files of a version into a folder.

    FOLDER is empty or does not exist; nothing is overwritten. Files that lay outside of the flow's
    folder keep their places around it, so the flow may lie further inside. Large files, keys and
    passwords are kept in no version; what is missing is named.
    """
    with command_workspace(session) as workspace:
        file = restore_version(workspace, version, folder, expects=expect)
    session.write(f"Restored {version} to {session.shorten(file)}.")
    return ExitCode.OK
