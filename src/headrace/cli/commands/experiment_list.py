"""``headrace experiment list``."""

from __future__ import annotations

import click

from headrace.cli.experiment_view import listed_to_json
from headrace.cli.options import Verb, limit_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import list_chains
from headrace.operations.show_experiment import list_experiments


@click.command("list", cls=Verb, examples=(("All of them", "headrace experiment list --all-results"),))
@limit_options(50)
@click.pass_obj
def command(session: Session, *, max_results: int, all_results: bool) -> int:
    """List experiments with arms and chains of flows, newest first.

    Printed as JSON; "kind" is "arms" or "chain".
    """
    with command_workspace(session) as workspace:
        records = listed_to_json(list_experiments(workspace), list_chains(workspace))
    session.write_json(records if all_results else records[:max_results])
    return ExitCode.OK
