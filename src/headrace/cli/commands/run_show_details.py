"""``headrace run show-details``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb, form_option, limit_options, run_name_option
from headrace.cli.run_view import details_to_json, render_details
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode

_DEFAULT_LINES = 100


@click.command(
    "show-details",
    cls=Verb,
    examples=(
        ("The first lines", "headrace run show-details --name first --max-results 10"),
        (
            "Everything, problems included, for a program",
            "headrace run show-details --name first --all-results -o json",
        ),
    ),
)
@run_name_option()
@limit_options(_DEFAULT_LINES)
@form_option("json", "table", help="How to print; default table.")
@click.pass_obj
def command(session: Session, *, name: str, max_results: int, all_results: bool, form: str | None) -> int:
    """Show the inputs and outputs of a run's lines.

    Every line has its status and, where it failed, its error; outputs that it does not have read
    (Failed). Cells are cut to the width of the terminal, in a file or pipe to 2,000 characters;
    -o json has them whole.
    """
    with command_workspace(session) as workspace:
        run = workspace.store.read_run(name)
        lines = list(workspace.store.read_lines(run.spec.name, limit=None if all_results else max_results))
    if form == "json":
        session.write_json(details_to_json(lines))
        return ExitCode.OK
    terminal = session.terminal
    if lines:
        session.write(
            render_details(lines, ink=terminal.out, width=terminal.width if terminal.has_tty_out else None)
        )
    n_recorded = run.n_completed + run.n_failed
    if len(lines) < n_recorded:
        session.note(f"\n{len(lines):,} of {plural(n_recorded, 'line')}; --all-results shows the rest.")
    return ExitCode.OK
