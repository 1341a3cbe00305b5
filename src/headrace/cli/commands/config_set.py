"""``headrace config set``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, parse_pairs, path_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.configuration import change_settings


@click.command(
    "set",
    cls=Verb,
    examples=(
        ("Write every run into a folder as well", "headrace config set run.output_path=~/runs"),
        (
            "Beside the flow, for one project",
            "headrace config set run.output_path='${flow_directory}/.runs' --path .",
        ),
    ),
)
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE...")
@path_option("--path", help="Folder whose pf.yaml is written, for work in and below it; default: your own.")
@click.pass_obj
def command(session: Session, *, pairs: tuple[str, ...], path: Path | None) -> int:
    """Change prompt flow's settings.

    They are kept in the file where pf keeps them, so both read the same. A setting that means
    nothing here is kept all the same, and said to have no effect.
    """
    changes = parse_pairs("config set", pairs)
    changed = change_settings(session.settings, changes, path)
    session.write(f"Set {', '.join(changes)} in {changed.file}.")
    for note in changed.notes:
        session.note(note)
    return ExitCode.OK
