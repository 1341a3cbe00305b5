"""``headrace flow save``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.save_flow import save_flow


@click.command(
    "save",
    cls=Verb,
    examples=(
        ("Beside the code", "headrace flow save --entry intent:extract_intent"),
        ("With a copy of the code", "headrace flow save --entry intent:Intent --code src --path my_flow"),
    ),
)
@click.option(
    "--entry", required=True, metavar="MODULE:NAME", help="Function or class that becomes the flow."
)
@path_option("--code", help="Folder that its module is imported from; default: this one.")
@path_option("--path", help="Folder for the flow, new or empty; default: beside the code.")
@click.pass_obj
def command(session: Session, *, entry: str, code: Path | None, path: Path | None) -> int:
    """Make a flex flow of a function or class that exists.

    Writes flow.flex.yaml with the inputs, outputs and constructor arguments that the code has.
    The module is imported; nothing is called.
    """
    written = save_flow(entry, code or Path(), path)
    session.write(f"Saved flow to {session.shorten(written)}.")
    return ExitCode.OK
