"""``headrace flow init``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.init_flow import KINDS, init_flow


@click.command(
    "init",
    cls=Verb,
    examples=(
        ("A flow in a new folder", "headrace flow init --flow my_flow"),
        (
            "An evaluation flow beside it",
            "headrace flow init --flow my_flow/evaluation/exact --type evaluation",
        ),
    ),
)
@path_option("--flow", required=True, help="Folder for the flow; made when it is missing.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    metavar="|".join(KINDS),
    help=f"What kind of flow; default {KINDS[0]}.",
)
@click.pass_obj
def command(session: Session, *, flow: Path, kind: str) -> int:
    """Create a flow that runs, to start from.

    A standard flow fills a prompt and counts its words in Python; a chat flow talks to a model;
    an evaluation flow scores every line of a run and logs metrics over all of them. Nothing
    that exists is overwritten.
    """
    for path in init_flow(flow, kind):
        session.write(str(path))
    session.note(f"\nRun it:  headrace flow test --flow {flow}")
    return ExitCode.OK
