"""``headrace label import``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.move_labels import import_labels


@click.command(
    "import",
    cls=Verb,
    examples=(
        ("Labels that name their runs", "headrace label import labels.jsonl"),
        ("A filled-in draw of two runs", "headrace label import blank.csv first second --by Ada"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--by", metavar="NAME", help="Who has labelled, where rows do not say.")
@click.pass_obj
def command(session: Session, *, file: Path, runs: tuple[str, ...], by: str | None) -> int:
    """Keep the labels of a file.

    A row names run, line_number, metric and value (0 to 1, pass or fail), and may name labeller,
    is_random and note; or it is one of headrace label export --draw, whose runs are named after the
    file. Rows without a value are left out. Nothing is kept when one row is wrong.
    """
    with command_workspace(session) as workspace:
        counts = import_labels(workspace, file, runs, labeller=by)
    total = sum(counts.values())
    session.write(f"{plural(total, 'label')} kept for {plural(len(counts), 'run')}.")
    return ExitCode.OK
