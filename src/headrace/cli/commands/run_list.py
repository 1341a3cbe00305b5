"""``headrace run list``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, choose_form, form_option, limit_options
from headrace.cli.run_view import render_run_table, run_to_json
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode


@click.command(
    "list",
    cls=Verb,
    examples=(
        ("The last 50", "headrace run list"),
        (
            "The runs of one experiment, for a program",
            "headrace run list --experiment ask_docs_20260101_120000_000000 -o json",
        ),
    ),
)
@limit_options(50)
@click.option("--experiment", metavar="ID", help="Only the runs of this experiment.")
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(
    session: Session, *, max_results: int, all_results: bool, experiment: str | None, form: str | None
) -> int:
    """List runs, newest first.

    A table at a terminal, JSON otherwise.
    """
    with command_workspace(session) as workspace:
        runs = workspace.store.list_runs(limit=None if all_results else max_results, experiment=experiment)
        now = workspace.now()
    if choose_form(form, session) == "json":
        session.write_json([run_to_json(run) for run in runs])
    elif not runs:
        session.note("No runs yet. Make one with: headrace run create --flow FLOW --data DATA")
    else:
        terminal = session.terminal
        session.write(
            render_run_table(
                runs, ink=terminal.out, width=terminal.width if terminal.has_tty_out else None, now=now
            )
        )
    return ExitCode.OK
