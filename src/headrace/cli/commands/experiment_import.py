"""``headrace experiment import``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.import_experiment import IMPORTED_NAME, import_experiment
from headrace.operations.new_files import write_files

_STDOUT = "-"


@click.command(
    "import",
    cls=Verb,
    examples=(
        ("Written beside it", "headrace experiment import named_entity_recognition/experiment.yaml"),
        ("Printed", "headrace experiment import math_coding/experiment.yaml --output -"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", metavar="NAME", help="The dataset that the flow runs over; default: the first.")
@click.option(
    "--output",
    metavar="FILE",
    help=f"Where to write it, or - to print it; default: {IMPORTED_NAME} beside FILE.",
)
@click.option("-y", "--yes", is_flag=True, help="Overwrite a file that is there.")
@click.pass_obj
def command(session: Session, /, *, file: Path, dataset: str | None, output: str | None, yes: bool) -> int:
    """Turn an experiment of Microsoft's LLMOps template into ours.

    Flow, dataset, mappings and evaluators go over, and every variant of the flow becomes an arm. What
    cannot be converted is said. Paths stay relative to the folder of FILE.
    """
    found = import_experiment(file, dataset)
    if output == _STDOUT:
        session.write(found.text.rstrip("\n"))
    else:
        path = file.with_name(IMPORTED_NAME) if output is None else Path(output)
        write_files({path: found.text}, is_replacing=yes)
        session.write(str(session.shorten(path)))
    for note in found.notes:
        session.note(note)
    return ExitCode.OK
