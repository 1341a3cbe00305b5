"""``headrace experiment show``."""

from __future__ import annotations

import click

from headrace.cli.experiment_view import experiment_to_json, render_experiment
from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import chain_exists, read_chain
from headrace.operations.show_experiment import show_experiment


@click.command(
    "show",
    cls=Verb,
    examples=(
        ("One with arms", "headrace experiment show EXPERIMENT_ID"),
        ("A chain of flows", "headrace experiment show --name nightly"),
    ),
)
@click.argument("experiment", metavar="[ID|NAME]", required=False)
@click.option("-n", "--name", metavar="NAME", help="The same.")
@form_option("table", "json", help="Form; default a table at a terminal, else JSON. Chains are JSON.")
@click.pass_obj
def command(session: Session, *, experiment: str | None, name: str | None, form: str | None) -> int:
    """Show where an experiment stands, or a chain of flows and its runs.

    Of an experiment with arms: state, versions, lines done and left of each arm, what it has cost,
    and how to go on with it; of a name the newest one is meant. headrace run show tells more of a
    run.
    """
    if (experiment is None) == (name is None):
        fail_usage("headrace experiment show needs one experiment.", "headrace experiment list shows them.")
    text = experiment or name or ""
    with command_workspace(session) as workspace:
        if chain_exists(workspace, text):
            session.write_json(read_chain(workspace, text))
            return ExitCode.OK
        view = show_experiment(workspace, text)
    if choose_form(form, session) == "json":
        session.write_json(experiment_to_json(view))
    else:
        session.write(render_experiment(view, session.terminal))
    return ExitCode.OK
