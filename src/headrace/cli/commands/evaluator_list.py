"""``headrace evaluator list``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.table import Column, render_table
from headrace.errors import ExitCode
from headrace.operations.describe_evaluators import EvaluatorDescription, list_evaluators

_COLUMNS = (Column(title="name"), Column(title="needs"), Column(title="measures", least=20, wraps=True))


@click.command("list", cls=Verb, examples=(("All of them", "headrace evaluator list"),))
@click.option("--output", type=click.Choice(["table", "json"]), default="table", help="Form; default table.")
@click.pass_obj
def command(session: Session, *, output: str) -> int:
    """List the built-in evaluators.

    Name, what it needs, which is a library or a model, and what it measures. Everything else can
    judge as well: an evaluation flow, and any function or class of Python.
    """
    found = list_evaluators()
    if output == "json":
        session.write_json([item.to_json() for item in found])
        return ExitCode.OK
    rows = [(item.name, _needs(item), item.title) for item in found]
    terminal = session.terminal
    session.write(render_table(_COLUMNS, rows, ink=terminal.out, width=terminal.width))
    return ExitCode.OK


def _needs(item: EvaluatorDescription) -> str:
    if item.is_grader:
        return "a model"
    if not item.library:
        return ""
    return item.library if item.version else f"{item.library} (not installed)"
