"""``headrace experiment start``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.inputs import read_inputs
from headrace.cli.options import ManyValues, Verb, path_option
from headrace.cli.progress import show_progress
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.kept_chains import create_chain, start_chain


@click.command(
    "start",
    cls=Verb,
    examples=(
        ("One that was created", "headrace experiment start --name nightly"),
        ("Straight from a file", "headrace experiment start --template chain.yaml --inputs k=5"),
    ),
)
@click.option("-n", "--name", metavar="NAME", help="The experiment; with --template, its name.")
@path_option("--template", help="Create it from this file first.")
@click.option("--inputs", cls=ManyValues, multiple=True, metavar="KEY=VALUE...", help="Inputs of the chain.")
@click.option(
    "-s", "--stream", is_flag=True, help="Taken for the sake of pf's scripts: progress is shown anyway."
)
@click.pass_obj
def command(
    session: Session, *, name: str | None, template: Path | None, inputs: tuple[str, ...], stream: bool
) -> int:
    """Run a chain of flows over all its lines.

    Every flow is a run of its own, one after another, and lines keep their numbers. The chain is
    printed as JSON with the names of the runs. Ends with exit code 1 when lines failed.
    """
    del stream
    if name is None and template is None:
        fail_usage("headrace experiment start needs --name or --template.", "Say which one to start.")
    with command_workspace(session) as workspace, show_progress(session) as on_event:
        if template is not None:
            name = create_chain(workspace, template, name)["name"]
        record, runs = start_chain(workspace, str(name), read_inputs(inputs), on_event)
    session.write_json(record)
    return ExitCode.FAILED if any(run.n_failed for run in runs) else ExitCode.OK
