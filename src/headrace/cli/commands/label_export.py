"""``headrace label export``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb, path_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.label_answers import LabelRequest
from headrace.operations.move_labels import blank_rows, label_rows, render_rows
from headrace.operations.new_files import write_files

_FORMS = ("jsonl", "csv")


@click.command(
    "export",
    cls=Verb,
    examples=(
        ("All labels of two runs", "headrace label export first second --file labels.jsonl"),
        (
            "50 drawn lines to label in a spreadsheet",
            "headrace label export first second --metric f1 --draw 50 --file blank.csv",
        ),
    ),
)
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option("--metric", metavar="NAME", help="Only the labels of this metric; what --draw asks about.")
@click.option(
    "--draw",
    "n_lines",
    type=click.IntRange(min=1),
    metavar="N",
    help="Instead of labels, write the answers to N lines drawn at random, with values to fill in.",
)
@click.option("--seed", type=int, default=0, metavar="N", help="Another draw; default 0.")
@path_option("--file", help="Write into this .jsonl or .csv file; default: JSON lines on standard output.")
@click.option("-y", "--yes", is_flag=True, help="Overwrite the file.")
@click.pass_obj
def command(
    session: Session,
    *,
    runs: tuple[str, ...],
    metric: str | None,
    n_lines: int | None,
    seed: int,
    file: Path | None,
    yes: bool,
) -> int:
    """Write labels, or answers to label elsewhere, into a file.

    Drawn answers stand under an item in place of their run, so that whoever labels them does not
    see whose they are; headrace label import finds the runs again.
    """
    if not runs:
        fail_usage("No run is named.", "Name the runs whose labels are to be written.")
    if n_lines is not None and metric is None:
        fail_usage("--draw needs --metric.", "Say what the answers are labelled for: --metric NAME.")
    form = "jsonl" if file is None else file.suffix.removeprefix(".")
    if form not in _FORMS:
        fail_usage("Labels are written as .jsonl or .csv.", "Give the file one of these endings.")
    with command_workspace(session) as workspace:
        if n_lines is not None:
            rows = blank_rows(
                workspace, LabelRequest(runs=runs, metric=metric or "", n_lines=n_lines, seed=seed)
            )
        else:
            rows = label_rows(workspace, runs, metric)
    text = render_rows(rows, form)
    if file is None:
        click.echo(text, nl=False)
    else:
        write_files({file: text}, is_replacing=yes)
        session.write(f"{plural(len(rows), 'row')} written to {file}.")
    return ExitCode.OK
