"""``headrace label list``."""

from __future__ import annotations

import click

from headrace.cli.label_view import count_labels
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session
from headrace.cli.table import Column, render_table
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.move_labels import label_rows

_COLUMNS = (
    Column(title="run", least=12),
    Column(title="metric", least=8),
    Column(title="by", least=6),
    Column(title="labels", is_right=True),
    Column(title="random", is_right=True),
    Column(title="mean", is_right=True),
)


@click.command(
    "list",
    cls=Verb,
    examples=(
        ("Of all runs", "headrace label list"),
        ("Of two runs, for a program", "headrace label list first second -o json"),
    ),
)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--metric", metavar="NAME", help="Only the labels of this metric.")
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(session: Session, *, runs: tuple[str, ...], metric: str | None, form: str | None) -> int:
    """Count the labels of runs.

    For each run, metric and person: how many answers are labelled, how many of them were drawn at
    random, and the mean label. What was taken back does not count.
    """
    with command_workspace(session) as workspace:
        names = runs or [run.spec.name for run in reversed(workspace.store.list_runs())]
        counts = count_labels(list(label_rows(workspace, names, metric)))
    if choose_form(form, session) == "json":
        session.write_json(counts)
    elif not counts:
        session.note("No answers are labelled yet. Label some with: headrace label take RUN... --metric NAME")
    else:
        rows = [
            [
                *(row[name] for name in ("run", "metric", "labeller")),
                *(f"{row[name]:,}" for name in ("labels", "random")),
                f"{row['mean']:.3f}",
            ]
            for row in counts
        ]
        terminal = session.terminal
        width = terminal.width if terminal.has_tty_out else None
        session.write(render_table(_COLUMNS, rows, ink=terminal.out, width=width))
    return ExitCode.OK
