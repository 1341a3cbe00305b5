"""``headrace flow validate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headrace.cli.file_values import FileValues
from headrace.cli.options import Verb, path_option
from headrace.cli.render import Sources, problems_to_json, render_github, render_problems
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import DefinitionError, ExitCode, Problem
from headrace.formats.flow_file import find_flow_file
from headrace.operations.check_flow import check_flow

FORMS = ("text", "json", "github")


@click.command(
    "validate",
    cls=Verb,
    examples=(
        ("Check a flow", "headrace flow validate --source my_flow"),
        (
            "For a program, in prompt flow's JSON shape",
            "headrace flow validate --source my_flow --output json",
        ),
        (
            "In a GitHub workflow: findings beside the lines",
            "headrace flow validate --source my_flow --output github",
        ),
    ),
)
@path_option("--source", "--flow", "source", required=True, help="Flow folder, or flow file.")
@click.option(
    "-o",
    "--output",
    "--format",
    "form",
    type=click.Choice(FORMS),
    metavar="|".join(FORMS),
    help="How findings are written; default text for a person, json for a program.",
)
@click.pass_obj
def command(session: Session, *, source: Path, form: str | None) -> int:
    """Check a flow and report every problem at once.

    Checks the flow file, its templates and tools, every reference, type, variant and
    connection, without running anything. Ends with exit code 3 when there is an error; warnings
    alone end with 0.
    """
    with command_workspace(session) as workspace:
        problems = check_flow(workspace, source)
    form = form or ("text" if session.terminal.has_tty_out else "json")
    if form == "json":
        session.write_json(problems_to_json(problems, _value_of(source)))
    elif form == "github":
        if problems:
            session.write(render_github(problems))
    else:
        _write_text(session, source, problems)
    has_errors = any(problem.severity == "error" for problem in problems)
    return ExitCode.DEFINITION if has_errors else ExitCode.OK


def _value_of(source: Path) -> Callable[[Problem], Any]:
    try:
        return FileValues(find_flow_file(source)).at
    except DefinitionError:
        return lambda _: None


def _write_text(session: Session, source: Path, problems: tuple[Problem, ...]) -> None:
    terminal = session.terminal
    if not problems:
        session.write(terminal.out.paint("No problems", "green", "bold") + f" in {source}.")
        return
    text = render_problems(
        problems,
        sources=Sources(session.folder, shows_data=terminal.has_tty_out),
        ink=terminal.out,
        width=terminal.width if terminal.has_tty_out else None,
        has_summary=True,
    )
    session.write(text)
