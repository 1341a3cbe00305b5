"""``headrace experiment test``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.inputs import read_inputs
from headrace.cli.options import ManyValues, Verb, path_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode, failure_exit_code
from headrace.formats.chain import load_chain
from headrace.operations.run_chain import run_chain_once


@click.command(
    "test",
    cls=Verb,
    examples=(("With the first line of its data", "headrace experiment test --template chain.yaml"),),
)
@path_option("--template", required=True, help="Prompt flow's experiment file: flows in a chain.")
@click.option("--inputs", cls=ManyValues, multiple=True, metavar="KEY=VALUE...", help="Inputs of the chain.")
@click.pass_obj
def command(session: Session, *, template: Path, inputs: tuple[str, ...]) -> int:
    """Run a chain of flows once, on the first line of its data.

    The outputs of every flow are printed as JSON. Ends with exit code 1 when a flow fails.
    """
    chain = load_chain(template)
    with command_workspace(session) as workspace:
        outputs, failed = run_chain_once(workspace, chain, read_inputs(inputs))
    session.write_json(outputs)
    if failed is None or failed.line.problem is None:
        return ExitCode.OK
    session.show_problems(failed.line.problem)
    return failure_exit_code(failed.line.problem)
